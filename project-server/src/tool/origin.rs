//! Remembers which source a workspace was made from, so that it is never taken for one of another.

use std::path::{Path, PathBuf};

use firefly_domain::source::URL_LENGTH_MAX;
use firefly_domain::{Failure, FailureCode, Source, Step};

use super::{disk_failure, read_limited};

/// A source is a URL, a path or a name, with some JSON around it.
const RECORD_BYTES_MAX: u64 = 4 * URL_LENGTH_MAX as u64;

/// Writes down the source of a checkout.
pub(super) fn record(checkout: &Path, source: &Source) -> Result<(), Failure> {
    let path = file(checkout);
    serde_json::to_vec(source)
        .map_err(Into::into)
        .and_then(|bytes| std::fs::write(&path, bytes))
        .map_err(|error| disk_failure(Step::Source, "write", &path, &error))
}

/// Refuses a checkout that was made from another source. One without a record was put there by a person, and is taken.
pub(super) fn check(checkout: &Path, asked: &Source) -> Result<(), Failure> {
    let recorded = read_limited(&file(checkout), RECORD_BYTES_MAX)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Source>(&bytes).ok());
    match recorded {
        Some(recorded) if !is_same(&recorded, asked) => Err(Failure::new(
            Step::Source,
            FailureCode::WorkspaceFailed,
            format!(
                "the workspace was made from {recorded} and not from {asked}; open that one again, \
                 or save what is needed and delete the project first"
            ),
        )),
        _ => Ok(()),
    }
}

fn is_same(recorded: &Source, asked: &Source) -> bool {
    match (recorded, asked) {
        (Source::Git(one), Source::Git(other)) => place(one.as_str()) == place(other.as_str()),
        (Source::Path(one), Source::Path(other)) => Path::new(one) == Path::new(other),
        _ => recorded == asked,
    }
}

/// What is left of a URL without the ways in which people write the same one differently.
fn place(url: &str) -> String {
    let lower = url.to_ascii_lowercase();
    let place = lower.split_once("://").map_or(&*lower, |(_, rest)| rest);
    let place = place.trim_end_matches('/');
    place.strip_suffix(".git").unwrap_or(place).to_owned()
}

fn file(checkout: &Path) -> PathBuf {
    checkout.join(".git/firefly-source")
}

#[cfg(test)]
mod tests {
    use firefly_domain::GitUrl;

    use super::*;

    #[test]
    fn one_repository_is_known_by_each_of_its_spellings() {
        let git = |url: &str| Source::Git(GitUrl::parse(url).unwrap());
        let one = git("https://host.test/Owner/app");
        for other in [
            "https://host.test/owner/app.git",
            "https://HOST.test/owner/app/",
            "http://host.test/owner/app",
        ] {
            assert!(is_same(&one, &git(other)), "{other}");
        }
        let path = |path: &str| Source::Path(path.to_owned());
        assert!(is_same(&path("/srv/app"), &path("/srv/app/")));
        for other in [
            git("https://other.test/owner/app"),
            git("https://host.test:8080/owner/app"),
            git("https://host.test/owner/app2"),
            path("host.test/owner/app"),
        ] {
            assert!(!is_same(&one, &other), "{other}");
        }
    }

    #[test]
    fn a_checkout_without_a_record_is_taken() {
        let checkout = tempfile::tempdir().unwrap();
        let asked = Source::Path("/somewhere".to_owned());
        assert_eq!(check(checkout.path(), &asked), Ok(()));
        std::fs::create_dir(checkout.path().join(".git")).unwrap();
        std::fs::write(file(checkout.path()), "no JSON").unwrap();
        assert_eq!(check(checkout.path(), &asked), Ok(()));
    }
}
