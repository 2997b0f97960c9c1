//! Reads the path of a request: which file of the workspace is wanted, if any may be.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The directory of our own scripts; the name is part of the preview's URLs since the first Firefly.
const SCRIPT_DIRECTORY: &str = "{$PREVIEW}";

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Our own script.
    Script,
    /// A file or directory of the workspace.
    Path(WantedPath),
}

/// A path inside the workspace that names nothing hidden.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WantedPath {
    /// Relative, decoded, without `..`, dot names and empty parts. Empty for the workspace itself.
    pub relative: PathBuf,
    /// Whether the request ended in a slash, as one for a directory does.
    pub slash: bool,
}

/// Decodes the part of the URL behind the prefix; `None` for anything that is never served.
pub(super) fn read(raw: &str) -> Option<Wanted> {
    let (raw, slash) = match raw.strip_suffix('/') {
        Some(rest) => (rest, true),
        None => (raw, raw.is_empty()),
    };
    let mut relative = PathBuf::new();
    if !raw.is_empty() {
        for part in raw.split('/') {
            relative.push(decode(part)?);
        }
    }
    if relative.starts_with(SCRIPT_DIRECTORY) {
        let ours = relative.ends_with("preview.js") && relative.iter().count() == 2 && !slash;
        return ours.then_some(Wanted::Script);
    }
    Some(Wanted::Path(WantedPath { relative, slash }))
}

/// Decodes one part; `None` if it is empty, hidden, or holds what no file name can hold.
fn decode(part: &str) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? * 16 + hex(rest.next()?)?,
            _ => byte,
        });
    }
    let hidden = bytes.first().is_none_or(|first| *first == b'.');
    let impossible = bytes.iter().any(|byte| matches!(byte, 0 | b'/'));
    (!hidden && !impossible).then(|| OsString::from_vec(bytes))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    fn path(raw: &str) -> Option<(String, bool)> {
        match read(raw)? {
            Wanted::Path(path) => Some((path.relative.to_string_lossy().into_owned(), path.slash)),
            Wanted::Script => None,
        }
    }

    #[test]
    fn paths_are_decoded_and_directories_recognised() {
        assert_eq!(path("a/b%20c.js"), Some(("a/b c.js".to_owned(), false)));
        assert_eq!(path("ui/"), Some(("ui".to_owned(), true)));
        assert_eq!(path(""), Some((String::new(), true)));
        assert_eq!(path("%E2%82%AC"), Some(("€".to_owned(), false)));
    }

    #[test]
    fn hidden_and_hostile_paths_are_refused() {
        for raw in [
            "..",
            "../x",
            "a/../x",
            "%2e%2e/x",
            "a/%2E%2e/x",
            "..%2fx",
            "a%2fb",
            "/etc/passwd",
            "a//b",
            ".git/config",
            "%2egit/config",
            "a/.env",
            "a%00b",
            "%",
            "%2",
            "%zz",
            "./a",
            "//",
            ".firefly-clone-1/checkout/x",
        ] {
            assert_eq!(read(raw), None, "{raw} was accepted");
        }
    }

    #[test]
    fn our_script_has_one_address_in_two_spellings() {
        for raw in [
            "{$PREVIEW}/preview.js",
            "%7B$PREVIEW%7D/preview.js",
            "%7b%24PREVIEW%7d/preview.js",
        ] {
            assert_eq!(read(raw), Some(Wanted::Script));
        }
        for raw in [
            "{$PREVIEW}",
            "{$PREVIEW}/",
            "{$PREVIEW}/x.js",
            "{$PREVIEW}/a/preview.js",
            "{$PREVIEW}/preview.js/",
        ] {
            assert_eq!(read(raw), None, "{raw} was accepted");
        }
    }

    proptest! {
        #[test]
        fn no_text_ever_leads_out_of_the_workspace_or_to_a_dot_file(raw in "[a.%2eEfF/\\\\{}$0]{0,24}") {
            if let Some(Wanted::Path(path)) = read(&raw) {
                for part in path.relative.components() {
                    let Component::Normal(name) = part else {
                        return Err(TestCaseError::fail(format!("{raw} gave {part:?}")));
                    };
                    prop_assert!(!name.as_encoded_bytes().starts_with(b"."));
                }
            }
        }
    }
}
