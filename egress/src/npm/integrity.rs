//! What a registry says that a tarball hashes to.

use std::collections::HashMap;
use std::io::BufReader;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::path::Tarball;
use crate::store::{Entry, Reader};

const SHA512: &str = "sha512-";

/// A hash that a tarball must have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Integrity {
    /// Of all packages of the last years.
    Sha512(Vec<u8>),
    /// Of older ones.
    Sha1(Vec<u8>),
}

impl Integrity {
    /// Whether these are the hashes of what it is about.
    pub(super) fn holds(&self, sha512: &[u8], sha1: &[u8]) -> bool {
        match self {
            Self::Sha512(wanted) => wanted == sha512,
            Self::Sha1(wanted) => wanted == sha1,
        }
    }
}

/// The part of a package's document that says it.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    versions: HashMap<String, Version>,
}

#[derive(Deserialize)]
struct Version {
    dist: Option<Dist>,
}

#[derive(Deserialize)]
struct Dist {
    tarball: String,
    integrity: Option<String>,
    shasum: Option<String>,
}

/// Looks a tarball up in the document of its package. This reads a file: it blocks.
pub(super) fn find(document: &Entry, tarball: &Tarball) -> Option<Integrity> {
    let reader = Reader::new(document.file.clone(), document.about.bytes);
    let document: Document = serde_json::from_reader(BufReader::new(reader)).ok()?;
    document
        .versions
        .into_values()
        .filter_map(|version| version.dist)
        .find(|dist| is_of(&dist.tarball, tarball))
        .and_then(|dist| read(&dist))
}

fn is_of(url: &str, tarball: &Tarball) -> bool {
    let path = tarball.path();
    let url = url.replace("%2f", "/").replace("%2F", "/");
    url.strip_suffix(path.as_str())
        .is_some_and(|base| base.ends_with('/'))
}

fn read(dist: &Dist) -> Option<Integrity> {
    let integrity = dist.integrity.as_deref().unwrap_or_default();
    let sha512 = integrity
        .split_ascii_whitespace()
        .filter_map(|hash| hash.strip_prefix(SHA512))
        // Options may follow.
        .filter_map(|hash| STANDARD.decode(hash.split('?').next()?).ok())
        .next();
    match sha512 {
        Some(hash) => Some(Integrity::Sha512(hash)),
        None => dist
            .shasum
            .as_deref()
            .and_then(from_hex)
            .map(Integrity::Sha1),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let digits = digits.filter(|digits| digits.len() == 40)?;
    Some(
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dist(integrity: Option<&str>, shasum: Option<&str>) -> Option<Integrity> {
        read(&Dist {
            tarball: String::new(),
            integrity: integrity.map(str::to_owned),
            shasum: shasum.map(str::to_owned),
        })
    }

    #[test]
    fn the_stronger_hash_counts() {
        let sha1 = "00ff".repeat(10);
        let both = dist(Some("sha1-AAAA sha512-AAEC?x"), Some(&sha1));
        assert_eq!(both, Some(Integrity::Sha512(vec![0, 1, 2])));
        let old = dist(None, Some(&sha1));
        assert_eq!(old, Some(Integrity::Sha1([0, 255].repeat(10))));
        for (integrity, shasum) in [
            (None, None),
            (Some("sha512-!"), None),
            (None, Some("00")),
            (None, Some("é")),
        ] {
            assert_eq!(dist(integrity, shasum), None);
        }
    }
}
