//! Remembers what `node_modules` was made from.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use firefly_domain::{Failure, Step};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::tool::disk_failure;

/// The stamp, which goes when `node_modules` goes.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    inputs: String,
}

/// The stamp of these inputs, whose order matters.
pub(super) fn of(inputs: &[&[u8]]) -> Stamp {
    let mut hash = Sha256::new();
    for part in inputs {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let inputs = hash.finalize();
    Stamp {
        inputs: inputs.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Whether `node_modules` was made from exactly these inputs.
pub(super) fn matches(workspace: &Path, stamp: &Stamp) -> bool {
    std::fs::read(file(workspace))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Stamp>(&bytes).ok())
        .is_some_and(|found| found == *stamp)
}

/// Removes the stamp before npm begins, so that half an installation has none.
pub(super) fn clear(workspace: &Path) -> Result<(), Failure> {
    let path = file(workspace);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(disk_failure(Step::Install, "remove", &path, &error))
        }
        _ => Ok(()),
    }
}

/// Puts the stamp on a finished installation.
pub(super) fn write(workspace: &Path, stamp: &Stamp) -> Result<(), Failure> {
    let path = file(workspace);
    // A project without dependencies gets no node_modules from npm.
    std::fs::create_dir_all(workspace.join("node_modules"))
        .and_then(|()| Ok(serde_json::to_vec(stamp)?))
        .and_then(|bytes| std::fs::write(&path, bytes))
        .map_err(|error| disk_failure(Step::Install, "write", &path, &error))
}

fn file(workspace: &Path) -> PathBuf {
    workspace.join("node_modules/.firefly-install.json")
}
