//! Makes the addresses of tarballs in a package's document those of npm's own registry.
//!
//! To npm, these mean the registry that it is told to use, so it asks the cache; and they are what it writes into lock
//! files, which then hold on every machine, with Firefly or without. An address of the cache itself would be written there
//! too, and would mean nothing anywhere else. So documents of npm's own registry are left as they are, and in those of another
//! one its base is replaced, wherever the rest is the path that npm's registry would have. Others stay, and are fetched from
//! where they say.
//!
//! A document is not read as JSON for that: it may have many megabytes, and what is looked for has one form.

use bytes::{Bytes, BytesMut};

use super::path::{Route, route};
use crate::config::NPM_REGISTRY;

/// How an address begins.
const FIELD: &str = "\"tarball\":\"";

/// Longer ones are left as they are.
const URL_BYTES_MAX: usize = 2_048;

/// Replaces the base of a registry in a document that comes in chunks.
pub(super) struct Rewriting {
    /// The field with the base behind it; empty for npm's own registry.
    needle: Vec<u8>,
    /// What may be the beginning of an address.
    held: BytesMut,
}

impl Rewriting {
    pub(super) fn of(base: &str) -> Self {
        let needle = match base {
            NPM_REGISTRY => Vec::new(),
            base => format!("{FIELD}{base}").into_bytes(),
        };
        Self {
            needle,
            held: BytesMut::new(),
        }
    }

    /// Takes a chunk, and gives what is decided.
    pub(super) fn put(&mut self, chunk: Bytes) -> Bytes {
        if self.needle.is_empty() {
            return chunk;
        }
        self.held.extend_from_slice(&chunk);
        self.decide(false)
    }

    /// Gives the rest.
    pub(super) fn end(&mut self) -> Bytes {
        self.decide(true)
    }

    fn decide(&mut self, is_end: bool) -> Bytes {
        let mut decided = BytesMut::new();
        while let Some(at) = position(&self.held, &self.needle) {
            let rest = &self.held[at + self.needle.len()..];
            let Some(length) = rest.iter().position(|byte| *byte == b'"') else {
                if !is_end && rest.len() < URL_BYTES_MAX {
                    decided.extend(self.held.split_to(at));
                    return decided.freeze();
                }
                // No address is as long as this.
                decided.extend(self.held.split_to(at + self.needle.len()));
                continue;
            };
            let is_usual = std::str::from_utf8(&rest[..length])
                .is_ok_and(|path| matches!(route(&format!("/{path}")), Ok(Route::Tarball(_))));
            decided.extend_from_slice(&self.held[..at]);
            if is_usual {
                decided.extend_from_slice(FIELD.as_bytes());
                decided.extend_from_slice(NPM_REGISTRY.as_bytes());
            } else {
                decided.extend_from_slice(&self.needle);
            }
            let _ = self.held.split_to(at + self.needle.len());
        }
        let held = if is_end {
            0
        } else {
            self.needle.len().saturating_sub(1)
        };
        let sure = self.held.len().saturating_sub(held);
        decided.extend(self.held.split_to(sure));
        decided.freeze()
    }
}

fn position(text: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    text.windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(base: &str, document: &str, chunk: usize) -> String {
        let mut rewriting = Rewriting::of(base);
        let mut all = Vec::new();
        for chunk in document.as_bytes().chunks(chunk) {
            all.extend(rewriting.put(Bytes::copy_from_slice(chunk)));
        }
        all.extend(rewriting.end());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn the_base_is_replaced_however_the_document_comes() {
        let base = "https://npm.test/repo/";
        let document = r#"{"a":{"tarball":"https://npm.test/repo/a/-/a-1.0.0.tgz"},"b":{"tarball":"https://npm.test/repo/@s/b/-/b-1.tgz"},
            "c":{"tarball":"https://npm.test/repo/download/c/1.0.0"},"d":{"tarball":"https://other.test/d/-/d-1.tgz"},
            "readme":"see https://npm.test/repo/a/-/a-1.0.0.tgz","e":{"tarball":"https://npm.test/repo/e"#;
        let wanted = document
            .replace(
                "\"https://npm.test/repo/a",
                "\"https://registry.npmjs.org/a",
            )
            .replace(
                "\"https://npm.test/repo/@s",
                "\"https://registry.npmjs.org/@s",
            );
        assert_ne!(document, wanted);
        for chunk in (1..80).chain([document.len()]) {
            assert_eq!(
                rewritten(base, document, chunk),
                wanted,
                "in chunks of {chunk}"
            );
        }
    }

    #[test]
    fn the_document_of_npms_own_registry_is_left_as_it_is() {
        let document = r#"{"tarball":"https://registry.npmjs.org/a/-/a-1.0.0.tgz"}"#;
        assert_eq!(rewritten(NPM_REGISTRY, document, 7), document);
    }
}
