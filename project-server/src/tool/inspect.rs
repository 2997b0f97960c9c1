//! Counts the work that exists in a workspace and nowhere else.
//!
//! It reads with gix and runs nothing that the workspace could name (filters, hooks, file system monitors), so it is
//! safe on a workspace of strangers. A file that only a filter could compare counts as changed: the cautious answer.

use std::fs;
use std::path::{Path, PathBuf};

use firefly_domain::control::Unsaved;
use gix::ObjectId;
use gix::status::{Submodule, UntrackedFiles};

use super::repository;
use super::staging::STAGING_PREFIX;

/// Enough to say "many"; the walk ends here.
const COMMITS_MAX: usize = 10_000;

/// Where `git stash` puts the latest stash.
const STASH_REF: &str = "refs/stash";

/// Directories deeper than this are not counted file by file.
const DEPTH_MAX: usize = 64;

/// Why a workspace could not be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The directory cannot be listed.
    #[error("cannot list the workspace {}; check that it exists and may be read", .path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The repository in it cannot be opened or read.
    #[error("cannot read the git repository in {}; repair it before anything is deleted", .path.display())]
    Repository {
        /// The workspace.
        path: PathBuf,
        /// What gix said.
        #[source]
        source: gix::Error,
    },
}

/// Counts changed and untracked files, and commits that no remote branch has, each stash being one.
///
/// It blocks, and takes as long as `git status`. A workspace without a repository counts all its files, unless they
/// come from a checkout that was never finished.
pub fn inspect(workspace: &Path) -> Result<Unsaved, InspectError> {
    let listed = |source| InspectError::List {
        path: workspace.to_owned(),
        source,
    };
    if workspace.join(".git").symlink_metadata().is_err() {
        return loose_files(workspace).map_err(listed);
    }
    let count = || -> gix::Result<Unsaved> {
        let repository = repository::open(workspace)?;
        Ok(Unsaved {
            files: changed_files(&repository)?,
            commits: own_commits(&repository)?,
        })
    };
    count().map_err(|source| InspectError::Repository {
        path: workspace.to_owned(),
        source,
    })
}

fn loose_files(workspace: &Path) -> std::io::Result<Unsaved> {
    let mut files = 0;
    for entry in fs::read_dir(workspace)? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(STAGING_PREFIX.as_bytes())
        {
            return Ok(Unsaved::NONE);
        }
        if name != "node_modules" {
            files += count_files(&entry, DEPTH_MAX)?;
        }
    }
    Ok(Unsaved { files, commits: 0 })
}

fn count_files(entry: &fs::DirEntry, depth: usize) -> std::io::Result<u64> {
    if !entry.file_type()?.is_dir() || depth == 0 {
        return Ok(1);
    }
    let mut files = 0;
    for inner in fs::read_dir(entry.path())? {
        files += count_files(&inner?, depth - 1)?;
    }
    Ok(files)
}

fn changed_files(repository: &gix::Repository) -> gix::Result<u64> {
    let changes = repository
        .status(gix::progress::Discard)?
        .untracked_files(UntrackedFiles::Files)
        .index_worktree_rewrites(None)
        .tree_index_track_renames(gix::status::tree_index::TrackRenames::Disabled)
        .index_worktree_submodules(Submodule::Given {
            ignore: gix::submodule::config::Ignore::All,
            check_dirty: false,
        })
        .into_iter(None)?;
    // A file may differ from the index and the index from the commit: that is still one file.
    let mut paths = std::collections::HashSet::new();
    for change in changes {
        let change = change?;
        let counts = match &change {
            gix::status::Item::IndexWorktree(item) => item.summary().is_some(),
            gix::status::Item::TreeIndex(_) => true,
        };
        if counts && !is_ours(change.location()) {
            paths.insert(change.location().to_owned());
        }
    }
    Ok(paths.len() as u64)
}

/// Workspaces made before the exclude file was written, or whose owner emptied it, are covered here.
fn is_ours(path: &gix::bstr::BStr) -> bool {
    path.starts_with(b".firefly-")
}

/// Tags are left out: a clone brings those of commits that no branch has, and they would count for ever.
fn own_commits(repository: &gix::Repository) -> gix::Result<u64> {
    let stashes = stashes(repository)?;
    // A stash is made of two or three commits, but is one piece of work; what it was made upon may be another.
    let mut tips: Vec<ObjectId> = stashes
        .iter()
        .filter_map(|stash| repository.find_commit(*stash).ok())
        .filter_map(|stash| stash.parent_ids().next().map(|id| id.detach()))
        .collect();
    tips.extend(repository.head()?.id().map(|id| id.detach()));
    let mut saved = Vec::new();
    for reference in repository.references()?.all()? {
        let mut reference = reference?;
        let name = reference.name().as_bstr().to_owned();
        let list = if name.starts_with(b"refs/heads/") {
            &mut tips
        } else if name.starts_with(b"refs/remotes/") || name.starts_with(b"refs/firefly/") {
            &mut saved
        } else {
            continue;
        };
        // A dangling symbolic ref, such as a remote HEAD whose branch was pruned, saves nothing.
        if let Ok(id) = reference.peel_to_id() {
            list.push(id.detach());
        }
    }
    let mut commits = stashes.len() as u64;
    if tips.is_empty() {
        return Ok(commits);
    }
    let walk = repository.rev_walk(tips).with_hidden(saved).all()?;
    for commit in walk.take(COMMITS_MAX) {
        commit?;
        commits += 1;
    }
    Ok(commits)
}

/// Every stash. Only the latest has a ref; those before it are lines of that ref's log.
fn stashes(repository: &gix::Repository) -> gix::Result<Vec<ObjectId>> {
    let Some(latest) = repository.try_find_reference(STASH_REF)? else {
        return Ok(Vec::new());
    };
    let mut log = latest.log_iter();
    let mut stashes: Vec<ObjectId> = log
        .all()
        .map_err(gix::Error::from_error)?
        .into_iter()
        .flatten()
        .take(COMMITS_MAX)
        // A line that cannot be read is somebody's stash all the same.
        .map(|line| line.map_or(ObjectId::null(gix::hash::Kind::Sha1), |line| line.new_oid()))
        .collect();
    if stashes.is_empty() {
        stashes.extend(latest.try_id().map(|id| id.detach()));
    }
    Ok(stashes)
}
