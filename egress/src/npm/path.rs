//! What a path of the registry asks for.
//!
//! Nothing of a path reaches a disk or the registry that was not read here: names are what npm lets names be.
//!
//! The registry is at `/npm/`. It is at `/` too, since npm replaces the whole path when it asks for a tarball that a lock
//! file names with the address of npm's own registry.

use std::fmt;

/// Below it is the registry.
pub(super) const PREFIX: &str = "/npm/";

/// npm's own bound; names were longer for a short time, long ago.
const NAME_BYTES_MAX: usize = 214;

/// A name, a version and an ending.
const FILE_BYTES_MAX: usize = 512;

const TARBALL_ENDING: &str = ".tgz";

/// Names that npm does not give out, since they mean something elsewhere.
const NO_NAMES: [&str; 2] = ["node_modules", "favicon.ico"];

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Route {
    /// All that is known of a package.
    Package(Package),
    /// One version of it, or what a tag points at.
    Manifest(Package, Word),
    /// The files of one version.
    Tarball(Tarball),
    /// Whether the registry is there.
    Ping,
    /// Something that the registry does for people who are signed in, or that is no business of a cache.
    Unserved,
}

/// The name of a package, with its scope if it has one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Package {
    scope: Option<Word>,
    name: Word,
}

/// The archive with the files of one version.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Tarball {
    pub(super) package: Package,
    file: Word,
}

/// A part of a path that is safe in every path.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Word(String);

/// The path of a request is none of the registry's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "there is nothing at this path; packages are at /npm/<name> and their files at /npm/<name>/-/<file>.tgz"
)]
pub(super) struct NoRoute;

/// Reads a path; a query is not part of it.
pub(super) fn route(path: &str) -> Result<Route, NoRoute> {
    let path = decoded(path)?;
    let at_root = || read(path.strip_prefix('/').ok_or(NoRoute)?);
    match path.strip_prefix(PREFIX).map(read) {
        Some(Ok(route)) => Ok(route),
        // Only what npm makes up itself: the files of the package that is called `npm`.
        Some(Err(_)) => at_root().and_then(|route| match route {
            Route::Tarball(_) => Ok(route),
            _ => Err(NoRoute),
        }),
        None => at_root(),
    }
}

/// The only escapes that npm and its kin write in names.
fn decoded(path: &str) -> Result<String, NoRoute> {
    let mut decoded = path.to_owned();
    for (escape, meaning) in [
        ("%2f", "/"),
        ("%2F", "/"),
        ("%40", "@"),
        ("%2b", "+"),
        ("%2B", "+"),
    ] {
        decoded = decoded.replace(escape, meaning);
    }
    if decoded.contains('%') {
        return Err(NoRoute);
    }
    Ok(decoded)
}

fn read(path: &str) -> Result<Route, NoRoute> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["-", "ping"] => return Ok(Route::Ping),
        // Not the file of a package without a name.
        ["-", file] if file.ends_with(TARBALL_ENDING) => return Err(NoRoute),
        ["-", _, ..] => return Ok(Route::Unserved),
        _ => {}
    }
    let (package, rest) = match parts.as_slice() {
        [scope, name, rest @ ..] if scope.starts_with('@') => {
            let scope = Some(Word::name(&scope[1..])?);
            let name = Word::name(name)?;
            (Package { scope, name }, rest)
        }
        [name, rest @ ..] => {
            let name = Word::name(name)?;
            let scope = None;
            (Package { scope, name }, rest)
        }
        [] => return Err(NoRoute),
    };
    if package.path().len() > NAME_BYTES_MAX {
        return Err(NoRoute);
    }
    match rest {
        [] => Ok(Route::Package(package)),
        ["-", file] if file.ends_with(TARBALL_ENDING) => {
            let file = Word::parse(file, FILE_BYTES_MAX)?;
            Ok(Route::Tarball(Tarball { package, file }))
        }
        [version] if *version != "-" => {
            let version = Word::parse(version, NAME_BYTES_MAX)?;
            Ok(Route::Manifest(package, version))
        }
        _ => Err(NoRoute),
    }
}

impl Package {
    /// As it stands in paths.
    pub(super) fn path(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Some(scope) => write!(f, "@{}/{}", scope.0, self.name.0),
            None => f.write_str(&self.name.0),
        }
    }
}

impl Tarball {
    /// The path below a registry.
    pub(super) fn path(&self) -> String {
        format!("{}/-/{}", self.package, self.file.0)
    }
}

impl Word {
    /// The characters that JavaScript's `encodeURIComponent` leaves as they are, and the plus of versions.
    fn parse(text: &str, bytes_max: usize) -> Result<Self, NoRoute> {
        let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!'()*+".contains(&byte);
        let is_word = !text.is_empty()
            && text.len() <= bytes_max
            && !text.starts_with('.')
            && text.bytes().all(is_harmless);
        is_word.then(|| Self(text.to_owned())).ok_or(NoRoute)
    }

    fn name(text: &str) -> Result<Self, NoRoute> {
        let is_given_out = text != "-"
            && !text.starts_with('_')
            && !NO_NAMES.contains(&text)
            && !text.contains('+');
        Self::parse(text, NAME_BYTES_MAX)
            .and_then(|word| is_given_out.then_some(word).ok_or(NoRoute))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str) -> String {
        match route(path) {
            Ok(Route::Package(package)) => format!("package {package}"),
            Ok(Route::Manifest(package, version)) => format!("{package} at {}", version.as_str()),
            Ok(Route::Tarball(tarball)) => {
                format!("file {} of {}", tarball.file.as_str(), tarball.package)
            }
            Ok(Route::Ping) => "ping".into(),
            Ok(Route::Unserved) => "unserved".into(),
            Err(NoRoute) => "-".into(),
        }
    }

    #[test]
    fn paths_are_read_as_npm_writes_them() {
        let table = [
            ("/npm/montage", "package montage"),
            ("/npm/JSONStream", "package JSONStream"),
            ("/npm/@types/node", "package @types/node"),
            ("/npm/@types%2fnode", "package @types/node"),
            ("/npm/%40types%2Fnode", "package @types/node"),
            ("/npm/npm", "package npm"),
            ("/npm", "package npm"),
            ("/npm/montage/latest", "montage at latest"),
            ("/npm/montage/17.2.2", "montage at 17.2.2"),
            ("/npm/@types/node/1.0.0", "@types/node at 1.0.0"),
            (
                "/npm/montage/-/montage-17.2.2.tgz",
                "file montage-17.2.2.tgz of montage",
            ),
            (
                "/npm/@types/node/-/node-1.0.0.tgz",
                "file node-1.0.0.tgz of @types/node",
            ),
            (
                "/npm/a/-/a-1.0.0+build.1.tgz",
                "file a-1.0.0+build.1.tgz of a",
            ),
            (
                "/montage/-/montage-17.2.2.tgz",
                "file montage-17.2.2.tgz of montage",
            ),
            (
                "/@types/node/-/node-1.0.0.tgz",
                "file node-1.0.0.tgz of @types/node",
            ),
            ("/npm/-/npm-10.9.0.tgz", "file npm-10.9.0.tgz of npm"),
            ("/montage", "package montage"),
            ("/npm/-/ping", "ping"),
            ("/npm/-/npm/v1/security/advisories/bulk", "unserved"),
            ("/npm/-/v1/search", "unserved"),
            ("/-/npm/v1/security/audits/quick", "unserved"),
        ];
        for (path, wanted) in table {
            assert_eq!(shown(path), wanted, "{path}");
        }
    }

    #[test]
    fn nothing_leads_out_of_a_path() {
        let long = format!("/npm/{}", "a".repeat(NAME_BYTES_MAX + 1));
        let none = [
            "",
            "/",
            "/npm/",
            "/npm/..",
            "/npm/../etc/passwd",
            "/npm/a/../b",
            "/npm/a/..",
            "/npm/.a",
            "/npm/_a",
            "/npm/%2e%2e",
            "/npm/..%2fa",
            "/npm/@a",
            "/npm/@/a",
            "/npm/@a/",
            "/npm/@../a",
            "/npm/a//b",
            "/npm/a/-",
            "/npm/a/-/",
            "/npm/a/-/b",
            "/npm/a/-/.tgz",
            "/npm/a/-/../b.tgz",
            "/npm/a/-/b/c.tgz",
            "/npm/a/-/..%2fb.tgz",
            "/npm/a b",
            "/npm/a\\b",
            "/npm/a%00",
            "/npm/node_modules",
            "/npm/a/1/2",
            "/npm/é",
            &long,
        ];
        for path in none {
            assert_eq!(shown(path), "-", "{path}");
        }
    }
}
