//! The three names that make a project: whose workspace, and of which repository.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ProjectId;

/// The namespace under which project ids are derived (UUIDv5, RFC 9562 §5.5). It never changes.
const PROJECT_NAMESPACE: Uuid = Uuid::from_u128(0x6b0f_2c1e_52d4_5d0e_9a37_f1ef_1e5f_1ef1);

/// GitHub allows 39 characters in an owner's name and 100 in a repository's; one bound serves all three.
pub const SEGMENT_LENGTH_MAX: usize = 100;

/// One name of a [`ProjectKey`]: lower-case ASCII letters, digits, `.`, `_` and `-`, beginning with a letter or digit.
///
/// It is safe as a path segment, as a directory name and as a program's argument.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Segment(String);

/// Why a text is no name of a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSegment {
    /// Nothing was given.
    #[error("a name is empty; give one of 1 to {SEGMENT_LENGTH_MAX} characters")]
    Empty,
    /// More than [`SEGMENT_LENGTH_MAX`] characters.
    #[error("a name is longer than {SEGMENT_LENGTH_MAX} characters; shorten it")]
    TooLong,
    /// It begins with something other than a letter or a digit.
    #[error("the name {0:?} does not begin with a letter from a to z or a digit")]
    BadStart(String),
    /// It holds a character outside the alphabet.
    #[error("the name {0:?} has characters other than a to z, 0 to 9, dot, underscore and dash")]
    BadCharacter(String),
}

impl Segment {
    /// Reads a name; upper-case ASCII letters are lowered, anything else outside the alphabet is refused.
    pub fn parse(text: &str) -> Result<Self, InvalidSegment> {
        let Some(first) = text.chars().next() else {
            return Err(InvalidSegment::Empty);
        };
        if text.len() > SEGMENT_LENGTH_MAX {
            return Err(InvalidSegment::TooLong);
        }
        if !first.is_ascii_alphanumeric() {
            return Err(InvalidSegment::BadStart(text.to_owned()));
        }
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        {
            return Err(InvalidSegment::BadCharacter(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Segment {
    type Error = InvalidSegment;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Segment> for String {
    fn from(segment: Segment) -> Self {
        segment.0
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `user/owner/repo`: the name people and URLs use for a project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProjectKey {
    /// Whose workspace it is.
    pub user: Segment,
    /// Who owns the repository.
    pub owner: Segment,
    /// The repository.
    pub repo: Segment,
}

impl ProjectKey {
    /// Reads the three names.
    pub fn new(user: &str, owner: &str, repo: &str) -> Result<Self, InvalidSegment> {
        Ok(Self {
            user: Segment::parse(user)?,
            owner: Segment::parse(owner)?,
            repo: Segment::parse(repo)?,
        })
    }

    /// The id that belongs to these names: always the same, so opening a project twice cannot make two.
    pub fn id(&self) -> ProjectId {
        ProjectId::from_uuid(Uuid::new_v5(
            &PROJECT_NAMESPACE,
            self.to_string().as_bytes(),
        ))
    }
}

/// Why a text is no `user/owner/repo`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProjectKey {
    /// It has not three parts.
    #[error("{0:?} is not of the form user/owner/repo")]
    NotThreeParts(String),
    /// One of its parts is no name.
    #[error(transparent)]
    Segment(#[from] InvalidSegment),
}

impl FromStr for ProjectKey {
    type Err = InvalidProjectKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(user), Some(owner), Some(repo), None) => Ok(Self::new(user, owner, repo)?),
            _ => Err(InvalidProjectKey::NotThreeParts(text.to_owned())),
        }
    }
}

impl fmt::Display for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.user, self.owner, self.repo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for name in [
            "",
            "..",
            ".",
            ".git",
            "-option",
            "_x",
            "a/b",
            "a\0b",
            "a b",
            "приложение",
            "ａpp",
            "a%2e",
            "a\u{202e}b",
            &"x".repeat(SEGMENT_LENGTH_MAX + 1),
        ] {
            assert!(Segment::parse(name).is_err(), "{name:?} was taken");
        }
    }

    #[test]
    fn upper_case_letters_name_the_same_project() {
        let upper = ProjectKey::new("Alice", "Montage", "App").unwrap();
        let lower = "alice/montage/app".parse::<ProjectKey>().unwrap();
        assert_eq!(upper.id(), lower.id());
    }

    #[test]
    fn the_id_of_a_key_never_changes() {
        let key = ProjectKey::new("alice", "montage", "app").unwrap();
        assert_eq!(key.id().to_string(), "f32f5d34-c761-5149-b1bd-c25277fb8016");
    }

    #[test]
    fn a_key_has_exactly_three_parts() {
        for text in ["alice/app", "alice/montage/app/x", "", "///"] {
            assert!(text.parse::<ProjectKey>().is_err(), "{text:?} was taken");
        }
    }
}
