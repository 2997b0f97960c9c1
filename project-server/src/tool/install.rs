//! The install step: npm brings what package.json asks for, in the layout that Montage needs, and leaves the checkout clean.
//!
//! `--install-strategy=nested` puts each package's dependencies below itself; Montage 17 looks for its own at
//! `node_modules/montage/node_modules/…` and boots in no other layout. `--no-save` reads a lock file without ever
//! writing one (tried with npm 9, 10 and 11). But a lock file also fixes places: one that was made by a plain
//! `npm install` keeps Montage's dependencies at the top, whatever the strategy says. For such a project Montage comes
//! before the lock: npm gets `--no-package-lock`, and chooses versions by package.json alone. See [`lock`].
//!
//! The finished layout is stamped with a hash of its inputs, so opening the project again does not run npm. Packages may
//! hold programs built for one Node on one kind of processor, which are inputs too.

mod home;
mod lock;
mod npm;
mod stamp;

use std::io::ErrorKind;
use std::path::Path;

use firefly_domain::{Failure, FailureCode, Step};
use serde_json::{Map, Value};

use super::protocol::Outcome;
use super::{disk_failure, read_limited};
use lock::Lock;

/// A larger package.json is no manifest any more.
const PACKAGE_JSON_BYTES_MAX: u64 = 1024 * 1024;

/// Makes `node_modules` what package.json and the lock file ask for.
pub(super) fn run(workspace: &Path) -> Result<Outcome, Failure> {
    let Some(manifest) = read_manifest(workspace)? else {
        return Ok(Outcome::Installed {
            packages: 0,
            reused: false,
        });
    };
    let lock = Lock::read(workspace)?;
    let flags = npm::flags(lock.as_ref().is_some_and(Lock::places_montage_flat));
    let stamp = stamp::of(&[
        &manifest,
        lock.as_ref().map(Lock::bytes).unwrap_or_default(),
        flags.join(" ").as_bytes(),
        &npm::settings(workspace)?,
        &npm::node_version(),
        std::env::consts::ARCH.as_bytes(),
    ]);
    let reused = stamp::matches(workspace, &stamp);
    if !reused {
        stamp::clear(workspace)?;
        npm::install(workspace, &flags)?;
        stamp::write(workspace, &stamp)?;
    }
    Ok(Outcome::Installed {
        packages: count_packages(workspace),
        reused,
    })
}

/// Reads package.json and makes sure that it is an object; `None` if there is none.
fn read_manifest(workspace: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let path = workspace.join("package.json");
    let bytes = match read_limited(&path, PACKAGE_JSON_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return Err(invalid("is larger than 1 MiB".to_owned()));
        }
        Err(error) => return Err(disk_failure(Step::Install, "read", &path, &error)),
    };
    // Editors on Windows put a byte order mark in front, and npm takes it.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(_)) => Ok(Some(bytes)),
        Ok(_) => Err(invalid("is not a JSON object".to_owned())),
        // The error names the line and the column.
        Err(error) => Err(invalid(format!("is not JSON: {error}"))),
    }
}

fn invalid(what: String) -> Failure {
    Failure::new(
        Step::Install,
        FailureCode::PackageJsonInvalid,
        format!("package.json {what}; correct it and open the project again"),
    )
}

/// How many packages npm says that `node_modules` holds.
fn count_packages(workspace: &Path) -> u64 {
    let inventory = std::fs::read(workspace.join("node_modules/.package-lock.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
    inventory
        .as_ref()
        .and_then(|inventory| inventory.get("packages")?.as_object())
        .map_or(0, |packages| packages.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(package_json: &str) -> tempfile::TempDir {
        let workspace = tempfile::tempdir().unwrap();
        std::fs::write(workspace.path().join("package.json"), package_json).unwrap();
        workspace
    }

    #[test]
    fn a_directory_without_package_json_needs_no_packages() {
        let workspace = tempfile::tempdir().unwrap();
        assert_eq!(
            run(workspace.path()),
            Ok(Outcome::Installed {
                packages: 0,
                reused: false
            })
        );
    }

    #[test]
    fn a_broken_package_json_is_named_with_its_place() {
        for (text, what) in [
            ("{\n  \"name\": oops\n}", "line 2 column 11"),
            ("", "line 1 column 0"),
            ("[]", "not a JSON object"),
            ("\"x\"", "not a JSON object"),
        ] {
            let failure = run(workspace(text).path()).unwrap_err();
            assert_eq!(failure.code, FailureCode::PackageJsonInvalid);
            assert!(failure.detail.contains(what), "{}", failure.detail);
        }
    }

    #[test]
    fn npm_runs_once_and_leaves_nothing_in_the_checkout() {
        let workspace = workspace(r#"{"name":"plain","version":"1.0.0"}"#);
        let first = run(workspace.path()).unwrap();
        assert_eq!(
            first,
            Outcome::Installed {
                packages: 0,
                reused: false
            }
        );
        assert_eq!(
            run(workspace.path()).unwrap(),
            Outcome::Installed {
                packages: 0,
                reused: true
            }
        );
        assert!(!workspace.path().join("package-lock.json").exists());
        for (file, content) in [
            ("package.json", r#"{"name":"plain","version":"1.0.1"}"#),
            (".npmrc", "omit=dev\n"),
        ] {
            std::fs::write(workspace.path().join(file), content).unwrap();
            assert_eq!(run(workspace.path()).unwrap(), first, "{file}");
        }
    }
}
