//! How much the workspaces hold, and which of them the most.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::disk::size;
use crate::doctor::check::Check;
use crate::up::data_dir::WORKSPACES;

const NAME: &str = "workspaces";

/// Files that are looked at in all; a few seconds on a cold disk. What comes behind them is not counted, and that is said.
const FILES_MAX: u64 = 500_000;

/// Bytes of a block as `stat` counts them, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    workspaces: u64,
    bytes: u64,
    /// The one with the most, by its name.
    largest: Option<(String, u64)>,
    /// Whether there was more than was looked at.
    more: bool,
}

/// Nothing before there are workspaces.
pub fn check(data_dir: &Path, quick: bool) -> Option<Check> {
    let files_max = if quick { 0 } else { FILES_MAX };
    let found = look(&data_dir.join(WORKSPACES), files_max)?;
    Some(tell(&found, quick))
}

fn look(directory: &Path, files_max: u64) -> Option<Found> {
    let mut left = files_max;
    let mut found = Found::default();
    for entry in std::fs::read_dir(directory).ok()?.flatten() {
        found.workspaces += 1;
        let bytes = measure(&entry.path(), &mut left);
        found.bytes += bytes;
        if found.largest.as_ref().is_none_or(|(_, most)| bytes > *most) {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.largest = Some((name, bytes));
        }
    }
    found.more = left == 0;
    Some(found)
}

/// The bytes that a directory takes on its disk, as far as `left` files go. Links are not followed.
fn measure(directory: &Path, left: &mut u64) -> u64 {
    let mut bytes = 0;
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        // Somebody may delete it at the same time.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if *left == 0 {
                return bytes;
            }
            *left -= 1;
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes += metadata.blocks() * BLOCK_BYTES;
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    bytes
}

fn tell(found: &Found, quick: bool) -> Check {
    let count = format!("workspaces: {}", found.workspaces);
    let said = match &found.largest {
        Some((name, most)) if !quick => {
            let at_least = if found.more { "more than " } else { "" };
            format!(
                "{count}, {at_least}{} in all; the largest is {name} with {}",
                size(found.bytes),
                size(*most)
            )
        }
        _ => count,
    };
    Check::fine(NAME, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspaces_are_measured_as_far_as_may_be() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(look(&home.path().join("none"), 10), None);
        for (name, bytes) in [("small", 10), ("large", 300_000)] {
            let deep = home.path().join(name).join("deep");
            std::fs::create_dir_all(&deep).unwrap();
            std::fs::write(deep.join("file"), vec![1; bytes]).unwrap();
        }
        std::os::unix::fs::symlink("/usr", home.path().join("small/link")).unwrap();
        let found = look(home.path(), 100).unwrap();
        assert_eq!((found.workspaces, found.more), (2, false));
        let (name, bytes) = found.largest.clone().unwrap();
        assert_eq!(name, "large");
        assert!(bytes >= 300_000 && bytes <= found.bytes, "{found:?}");
        assert!(found.bytes < 1_000_000, "the link was followed");
        assert!(look(home.path(), 2).unwrap().more);
        let said = tell(&found, false).said;
        assert!(
            said.starts_with("workspaces: 2, ") && said.contains("the largest is large"),
            "{said}"
        );
    }
}
