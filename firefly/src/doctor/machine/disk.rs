//! Room on a disk, in bytes and in files.

use std::path::{Path, PathBuf};

use rustix::fs::{StatVfs, statvfs};

use super::super::check::Check;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// With less, the event log may refuse the next command.
const BYTES_MIN: u64 = 100 * MIB;

/// A project with its packages takes some hundred megabytes.
const BYTES_COMFORTABLE: u64 = 2 * GIB;

/// Files of a few checkouts.
const FILES_MIN: u64 = 1_000;

/// `node_modules` of one project may have 100,000.
const FILES_COMFORTABLE: u64 = 100_000;

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    bytes_free: u64,
    bytes: u64,
    /// `None` where the file system does not count them.
    files_free: Option<u64>,
}

impl From<StatVfs> for Room {
    fn from(found: StatVfs) -> Self {
        Self {
            bytes_free: found.f_bavail.saturating_mul(found.f_frsize),
            bytes: found.f_blocks.saturating_mul(found.f_frsize),
            files_free: (found.f_files > 0).then_some(found.f_favail),
        }
    }
}

/// The room that there is at a path, or where it will be made.
pub fn check(name: &'static str, path: &Path) -> Check {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from("/"));
    let there = absolute.ancestors().find(|path| path.exists());
    let shown = path.display();
    match statvfs(there.unwrap_or_else(|| Path::new("/"))) {
        Ok(found) => judge(name, &shown.to_string(), Room::from(found)),
        Err(error) => Check::warning(
            name,
            format!("nobody can say how much room there is for {shown}: {error}"),
            "look at the disk that it is on",
        ),
    }
}

fn judge(name: &'static str, shown: &str, room: Room) -> Check {
    let files = room
        .files_free
        .map(|files| format!(", room for {files} files"));
    let said = format!(
        "{} of {} are free for {shown}{}",
        size(room.bytes_free),
        size(room.bytes),
        files.unwrap_or_default()
    );
    let files = room.files_free.unwrap_or(u64::MAX);
    let mend =
        "make room, such as by deleting projects that are saved elsewhere (`firefly delete`)";
    if room.bytes_free < BYTES_MIN || files < FILES_MIN {
        Check::broken(name, said, mend)
    } else if room.bytes_free < BYTES_COMFORTABLE || files < FILES_COMFORTABLE {
        Check::warning(name, said, mend)
    } else {
        Check::fine(name, said)
    }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (1024, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::check::Verdict;
    use super::*;

    #[test]
    fn a_disk_is_judged_by_its_bytes_and_by_its_files() {
        let of = |bytes_free, files_free| {
            let room = Room {
                bytes_free,
                bytes: 100 * GIB,
                files_free,
            };
            judge("disk", "/data", room).verdict
        };
        assert_eq!(of(2 * GIB, Some(100_000)), Verdict::Fine);
        assert_eq!(of(2 * GIB, None), Verdict::Fine);
        assert_eq!(of(2 * GIB - 1, None), Verdict::Warning);
        assert_eq!(of(2 * GIB, Some(99_999)), Verdict::Warning);
        assert_eq!(of(99 * MIB, None), Verdict::Broken);
        assert_eq!(of(2 * GIB, Some(999)), Verdict::Broken);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_looked_for_where_it_will_be() {
        let check = check("disk", Path::new("/no/such/directory"));
        assert!(
            check.said.contains("free for /no/such/directory"),
            "{check:?}"
        );
    }

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_536, "1.5 KiB"),
            (MIB, "1.0 MiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
