//! What an event of the file system means: pure decisions over paths.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};

use super::Change;

/// Whether an event can mean a change at all; most are about reading.
pub(super) fn matters(event: &notify::Event) -> bool {
    match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Metadata(_)) => event.need_rescan(),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// What one burst of events comes to.
#[derive(Default)]
pub(super) struct Batch {
    pub change: Change,
    /// Paths that came or went, some of which may be directories.
    pub moved: BTreeSet<PathBuf>,
    /// Events are missing.
    pub lost: bool,
}

impl Batch {
    /// Takes in one more event of a workspace.
    pub(super) fn add(&mut self, workspace: &Path, event: &notify::Event) {
        self.lost |= event.need_rescan();
        let moves = matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        );
        for path in &event.paths {
            let Ok(relative) = path.strip_prefix(workspace) else {
                continue;
            };
            let change = meaning(relative);
            self.change.shown |= change.shown;
            self.change.work |= change.work;
            if moves && is_watched(relative) {
                self.moved.insert(path.clone());
            }
        }
    }
}

/// What a change of this file means, by its path inside the workspace.
fn meaning(relative: &Path) -> Change {
    let mut parts = relative.iter();
    if relative.starts_with(".git") {
        parts.next();
        let work = parts.next().is_some_and(|name| {
            let lock = relative.extension().is_some_and(|end| end == "lock");
            !lock
                && ["HEAD", "index", "packed-refs", "refs"]
                    .iter()
                    .any(|known| name == *known)
        });
        return Change { shown: false, work };
    }
    if relative.starts_with("node_modules") || ours(relative) {
        return Change::default();
    }
    let hidden = parts.any(|part| part.as_encoded_bytes().starts_with(b"."));
    let installed = relative.iter().any(|part| part == "node_modules");
    Change {
        shown: !hidden && !installed,
        work: !installed,
    }
}

/// Whether a directory of this path, inside the workspace, is watched.
pub(super) fn is_watched(relative: &Path) -> bool {
    if relative.starts_with(".git") {
        return relative.iter().count() == 1 || relative.starts_with(".git/refs");
    }
    !relative
        .iter()
        .any(|part| part == "node_modules" || part.as_encoded_bytes().starts_with(b"."))
}

fn ours(relative: &Path) -> bool {
    relative
        .iter()
        .next()
        .is_some_and(|first| first.as_encoded_bytes().starts_with(b".firefly-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_means_what_it_should() {
        for (path, shown, work) in [
            ("index.html", true, true),
            ("ui/main.reel/main.js", true, true),
            (".eslintrc", false, true),
            ("ui/.main.js.swp", false, true),
            ("node_modules/montage/montage.js", false, false),
            ("packages/a/node_modules/b/c.js", false, false),
            (".firefly-clone-1/checkout/index.html", false, false),
            (".git/index", false, true),
            (".git/index.lock", false, false),
            (".git/HEAD", false, true),
            (".git/refs/heads/main", false, true),
            (".git/refs/heads/main.lock", false, false),
            (".git/objects/ab", false, false),
        ] {
            assert_eq!(meaning(Path::new(path)), Change { shown, work }, "{path}");
        }
    }

    #[test]
    fn only_useful_directories_are_watched() {
        for (path, watched) in [
            ("", true),
            ("ui/main.reel", true),
            (".git", true),
            (".git/refs/heads/feature", true),
            (".git/objects", false),
            (".github", false),
            ("node_modules", false),
            ("a/node_modules/b", false),
        ] {
            assert_eq!(is_watched(Path::new(path)), watched, "{path}");
        }
    }
}
