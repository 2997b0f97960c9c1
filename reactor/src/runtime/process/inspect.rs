//! Looking at a workspace that no child works on, with the same program as a short-lived child.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use firefly_domain::ProjectId;
use firefly_domain::control::Unsaved;
use tokio::process::Command;

use super::super::Exit;
use super::super::last_words::LastWords;
use super::{Error, child};

/// Runs the inspection tool on a workspace.
pub(super) async fn inspect(
    mut command: Command,
    workspace: &Path,
    project: ProjectId,
) -> Result<Unsaved, super::super::Error> {
    command
        .args(["tool", "inspect"])
        .arg(workspace)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let failed = |exit_code, last_words| super::super::Error::Inspection {
        project,
        exit: Exit {
            exit_code,
            oom: false,
            finished_at: None,
        },
        last_words,
    };
    let program = PathBuf::from(command.as_std().get_program());
    let output =
        match tokio::time::timeout(super::super::INSPECTION_DEADLINE, command.output()).await {
            Ok(output) => output.map_err(|source| Error::Spawn { program, source })?,
            Err(_) => return Err(failed(None, "it took too long".to_owned())),
        };
    let exit_code = child::exit_code(output.status);
    match serde_json::from_slice(&output.stdout) {
        Ok(unsaved) if output.status.success() => Ok(unsaved),
        _ => {
            let last_words = LastWords::default();
            last_words.push(&String::from_utf8_lossy(&output.stderr));
            Err(failed(exit_code, last_words.to_string()))
        }
    }
}
