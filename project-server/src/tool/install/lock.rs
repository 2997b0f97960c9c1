//! Reads a lock file for one question: would it put Montage's dependencies where Montage does not look?

use std::io::ErrorKind;
use std::path::Path;

use firefly_domain::{Failure, FailureCode, Step};
use serde_json::{Map, Value};

use crate::tool::{disk_failure, read_limited};

/// npm's own precedence.
const LOCK_FILES: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];

/// Real ones reach a few megabytes.
const LOCK_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A lock file of the project.
pub(super) struct Lock {
    bytes: Vec<u8>,
    content: Map<String, Value>,
}

impl Lock {
    /// Reads the lock file that npm would read, if there is one.
    pub(super) fn read(workspace: &Path) -> Result<Option<Self>, Failure> {
        for name in LOCK_FILES {
            let path = workspace.join(name);
            match read_limited(&path, LOCK_BYTES_MAX) {
                Ok(bytes) => return Self::parse(name, bytes).map(Some),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(disk_failure(Step::Install, "read", &path, &error)),
            }
        }
        Ok(None)
    }

    fn parse(name: &str, bytes: Vec<u8>) -> Result<Self, Failure> {
        match serde_json::from_slice(&bytes) {
            Ok(content) => Ok(Self { bytes, content }),
            Err(error) => Err(Failure::new(
                Step::Install,
                FailureCode::InstallFailed,
                format!(
                    "{name} is not a JSON object ({error}); make it anew with npm, or remove it"
                ),
            )),
        }
    }

    /// The file as it is.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a dependency of Montage stands anywhere else than directly below Montage.
    pub(super) fn places_montage_flat(&self) -> bool {
        match self.content.get("packages").and_then(Value::as_object) {
            Some(packages) => flat_in_packages(packages),
            None => self.flat_in_old_tree(),
        }
    }

    /// Lock files of npm 5 and 6 have a tree of `dependencies` only.
    fn flat_in_old_tree(&self) -> bool {
        let montage = self
            .content
            .get("dependencies")
            .and_then(|tree| tree.get("montage"));
        let required = montage.and_then(|montage| montage.get("requires")?.as_object());
        let below = montage.and_then(|montage| montage.get("dependencies")?.as_object());
        required.is_some_and(|required| {
            required
                .keys()
                .any(|name| below.is_none_or(|below| !below.contains_key(name)))
        })
    }
}

fn flat_in_packages(packages: &Map<String, Value>) -> bool {
    packages
        .get("node_modules/montage")
        .and_then(|montage| montage.get("dependencies")?.as_object())
        .is_some_and(|required| {
            required.keys().any(|name| {
                !packages.contains_key(&format!("node_modules/montage/node_modules/{name}"))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(content: &str) -> bool {
        Lock::parse("package-lock.json", content.as_bytes().to_vec())
            .unwrap()
            .places_montage_flat()
    }

    #[test]
    fn a_plain_lock_of_a_montage_app_is_flat_and_a_nested_one_is_not() {
        let montage = r#""node_modules/montage":{"dependencies":{"bluebird":"1"}}"#;
        assert!(flat(&format!(
            r#"{{"packages":{{{montage},"node_modules/bluebird":{{}}}}}}"#
        )));
        assert!(!flat(&format!(
            r#"{{"packages":{{{montage},"node_modules/montage/node_modules/bluebird":{{}}}}}}"#
        )));
        let old = r#"{"dependencies":{"montage":{"requires":{"bluebird":"1"}"#;
        assert!(flat(&format!("{old}}}}}}}")));
        assert!(!flat(&format!(
            r#"{old},"dependencies":{{"bluebird":{{}}}}}}}}}}"#
        )));
    }

    #[test]
    fn a_lock_without_montage_is_taken_as_it_is() {
        for content in [
            "{}",
            r#"{"packages":{"node_modules/left-pad":{}}}"#,
            r#"{"dependencies":{"left-pad":{"requires":{"x":"1"}}}}"#,
        ] {
            assert!(!flat(content), "{content}");
        }
    }
}
