//! Where the contents of a project come from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Segment;
use crate::project_key::InvalidSegment;

/// Longer URLs are refused; browsers and proxies agree on about this bound.
pub const URL_LENGTH_MAX: usize = 2_048;

/// Git itself stops at the file system's 255 bytes for each part; one bound for the whole name is enough.
pub const BRANCH_LENGTH_MAX: usize = 255;

/// A git remote reached over `https` or `http`, without credentials in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitUrl(String);

/// Why a text is no remote that Firefly clones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGitUrl {
    /// More than [`URL_LENGTH_MAX`] bytes.
    #[error("the git URL is longer than {URL_LENGTH_MAX} bytes; shorten it")]
    TooLong,
    /// The scheme is neither `https` nor `http`.
    #[error("the git URL does not begin with https:// or http://; other schemes are not cloned")]
    Scheme,
    /// There is no host, or no path behind it.
    #[error("the git URL lacks a host or a path; give it as https://host/owner/repo.git")]
    Incomplete,
    /// A user name or password stands in front of the host.
    #[error("the git URL carries credentials; take them out, since a URL is recorded for ever")]
    Credentials,
    /// White space, control characters, a query or a fragment.
    #[error(
        "the git URL has a character that does not belong in one (white space, control, quote, `?` or `#`)"
    )]
    BadCharacter,
}

impl GitUrl {
    /// Reads and checks a URL.
    pub fn parse(text: &str) -> Result<Self, InvalidGitUrl> {
        if text.len() > URL_LENGTH_MAX {
            return Err(InvalidGitUrl::TooLong);
        }
        let lower = text.to_ascii_lowercase();
        let scheme_length = ["https://", "http://"]
            .iter()
            .find(|scheme| lower.starts_with(**scheme))
            .ok_or(InvalidGitUrl::Scheme)?
            .len();
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}?#".contains(&byte))
        {
            return Err(InvalidGitUrl::BadCharacter);
        }
        let (host, path) = text[scheme_length..]
            .split_once('/')
            .ok_or(InvalidGitUrl::Incomplete)?;
        if host.contains('@') {
            return Err(InvalidGitUrl::Credentials);
        }
        if host.is_empty() || host.starts_with(['-', ':']) || path.trim_matches('/').is_empty() {
            return Err(InvalidGitUrl::Incomplete);
        }
        Ok(Self(text.to_owned()))
    }

    /// The URL as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last two segments of the path without `.git`, as owner and repository; a single segment belongs to `git`.
    pub fn owner_and_repo(&self) -> Result<(Segment, Segment), InvalidSegment> {
        let path = self.0.split('/').skip(3).filter(|part| !part.is_empty());
        let parts: Vec<&str> = path.collect();
        let repo = parts.last().copied().unwrap_or_default();
        let repo = Segment::parse(repo.strip_suffix(".git").unwrap_or(repo))?;
        let owner = match parts.len() {
            0 | 1 => Segment::parse("git")?,
            count => Segment::parse(parts[count - 2])?,
        };
        Ok((owner, repo))
    }
}

impl TryFrom<String> for GitUrl {
    type Error = InvalidGitUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<GitUrl> for String {
    fn from(url: GitUrl) -> Self {
        url.0
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A branch name that git accepts (`git check-ref-format --branch`) and that no program takes for an option.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Branch(String);

/// The text is no branch name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a branch name that git accepts")]
pub struct InvalidBranch(String);

impl Branch {
    /// Reads and checks a name, by the rules of git-check-ref-format(1).
    pub fn parse(text: &str) -> Result<Self, InvalidBranch> {
        let bad_part =
            |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
        let bad = text.len() > BRANCH_LENGTH_MAX
            || text == "@"
            || text.starts_with('-')
            || text.ends_with('.')
            || text.contains("..")
            || text.contains("@{")
            || text
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c))
            || text.split('/').any(bad_part);
        if bad {
            return Err(InvalidBranch(text.chars().take(80).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Branch {
    type Error = InvalidBranch;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Branch> for String {
    fn from(branch: Branch) -> Self {
        branch.0
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a project's files come from when its workspace is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// A remote repository.
    #[serde(rename = "git")]
    Git(GitUrl),
    /// A repository on Firefly's own host, by absolute path; only a person on that host may name one.
    #[serde(rename = "path")]
    Path(String),
    /// A template that comes with Firefly.
    #[serde(rename = "template")]
    Template(Segment),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(url) => url.fmt(f),
            Self::Path(path) => f.write_str(path),
            Self::Template(name) => write!(f, "template:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_remotes_are_taken() {
        for url in [
            "ssh://host/a/b",
            "git@host:a/b",
            "file:///etc",
            "--upload-pack=x",
            "ext::sh -c x",
            "https://",
            "https:///a",
            "https://host",
            "https://host/",
            "https://u:p@host/a",
            "https://token@host/a/b",
            "https://host/a b",
            "https://host/a\nb",
            "https://host/a?x",
            "https://-oProxyCommand=x/a",
        ] {
            assert!(GitUrl::parse(url).is_err(), "{url:?} was taken");
        }
        assert!(GitUrl::parse("https://host:8443/owner/repo.git").is_ok());
    }

    #[test]
    fn owner_and_repository_are_the_end_of_the_path() {
        let names = |url: &str| {
            let (owner, repo) = GitUrl::parse(url).unwrap().owner_and_repo().unwrap();
            format!("{owner}/{repo}")
        };
        assert_eq!(names("https://host/Montage/App.git"), "montage/app");
        assert_eq!(names("http://host:1/deep/er/montage/app/"), "montage/app");
        assert_eq!(names("http://host/app.git"), "git/app");
    }

    #[test]
    fn branch_names_follow_gits_rules() {
        for name in [
            "", "-x", "a..b", "a b", "a~1", "x.lock", ".a", "a/.b", "a//b", "a.", "@", "a@{1}",
            "a\0", "a\\b",
        ] {
            assert!(Branch::parse(name).is_err(), "{name:?} was taken");
        }
        for name in ["main", "feature/x", "montagestudio/alice/master", "ветка"] {
            assert!(Branch::parse(name).is_ok(), "{name:?} was refused");
        }
    }
}
