//! What a person may name to be opened, and the project that it makes.

use firefly_domain::project_key::{InvalidSegment, SEGMENT_LENGTH_MAX};
use firefly_domain::source::InvalidGitUrl;
use firefly_domain::{GitUrl, ProjectKey, Segment, Source};

/// Where `owner/repo` is looked for.
pub const GITHUB_URL: &str = "https://github.com";

/// Linux takes no longer paths.
const PATH_BYTES_MAX: usize = 4_096;

/// Why a text names nothing that can be opened.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It looks like none of the forms.
    #[error(
        "{0:?} is neither a git URL (https://…), nor owner/repo, nor template:NAME, nor an absolute path"
    )]
    Form(String),
    /// The URL is not one to clone.
    #[error(transparent)]
    Url(#[from] InvalidGitUrl),
    /// A name in it is not one.
    #[error(transparent)]
    Name(#[from] InvalidSegment),
    /// Paths of this host are not for everybody.
    #[error(
        "paths of Firefly's own host can be opened only where Firefly listens on a loopback address; give a git URL"
    )]
    PathNotAllowed,
    /// The path is not a plain absolute one.
    #[error(
        "give an absolute path of at most {PATH_BYTES_MAX} bytes, without `..` and control characters"
    )]
    Path,
    /// The path's last name has nothing in it that a project's name may hold.
    #[error(
        "the name of the directory has no letter a-z and no digit to name the project after; rename it"
    )]
    Unnamable,
}

/// A source, and the owner and repository that a project of it is named after.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// Where the files come from.
    pub source: Source,
    owner: Segment,
    repo: Segment,
}

impl Named {
    /// Reads what a person wrote.
    pub fn parse(text: &str, github_url: &str, paths_allowed: bool) -> Result<Self, Invalid> {
        if let Some(name) = text.strip_prefix("template:") {
            let repo = Segment::parse(name)?;
            return Ok(Self {
                source: Source::Template(repo.clone()),
                owner: Segment::parse("template")?,
                repo,
            });
        }
        if text.starts_with('/') {
            return Self::path(text, paths_allowed);
        }
        if text.contains(':') {
            let url = GitUrl::parse(text)?;
            let (owner, repo) = url.owner_and_repo()?;
            return Ok(Self {
                source: Source::Git(url),
                owner,
                repo,
            });
        }
        match text.split_once('/') {
            Some((owner, repo)) => {
                Self::github(Segment::parse(owner)?, Segment::parse(repo)?, github_url)
            }
            None => Err(Invalid::Form(text.chars().take(80).collect())),
        }
    }

    /// A repository by its owner and name.
    pub fn github(owner: Segment, repo: Segment, github_url: &str) -> Result<Self, Invalid> {
        let url = GitUrl::parse(&format!("{github_url}/{owner}/{repo}.git"))?;
        Ok(Self {
            source: Source::Git(url),
            owner,
            repo,
        })
    }

    fn path(text: &str, allowed: bool) -> Result<Self, Invalid> {
        if !allowed {
            return Err(Invalid::PathNotAllowed);
        }
        let path = text.trim_end_matches('/');
        let plain = text.len() <= PATH_BYTES_MAX
            && !text.chars().any(char::is_control)
            && !text.split('/').any(|part| part == "..");
        let Some(name) = path
            .rsplit('/')
            .next()
            .filter(|name| plain && !name.is_empty())
        else {
            return Err(Invalid::Path);
        };
        // A directory may be called anything; its project is called something like it.
        let repo: String = name
            .trim_end_matches(".git")
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._-".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .take(SEGMENT_LENGTH_MAX)
            .collect();
        let repo = repo.trim_start_matches(['.', '_', '-']);
        if repo.is_empty() {
            return Err(Invalid::Unnamable);
        }
        let repo = Segment::parse(repo)?;
        Ok(Self {
            source: Source::Path(path.to_owned()),
            owner: Segment::parse("path")?,
            repo,
        })
    }

    /// The project that a user's workspace of it is.
    pub fn key(&self, user: &Segment) -> ProjectKey {
        ProjectKey {
            user: user.clone(),
            owner: self.owner.clone(),
            repo: self.repo.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        let named = Named::parse(text, GITHUB_URL, true).unwrap();
        format!(
            "{} {}",
            named.key(&Segment::parse("alice").unwrap()),
            named.source
        )
    }

    #[test]
    fn every_form_names_a_project() {
        assert_eq!(
            named("template:starter"),
            "alice/template/starter template:starter"
        );
        assert_eq!(
            named("Montage/App"),
            "alice/montage/app https://github.com/montage/app.git"
        );
        assert_eq!(
            named("https://host/x/Y.git"),
            "alice/x/y https://host/x/Y.git"
        );
        assert_eq!(
            named("/home/alice/My App/"),
            "alice/path/my-app /home/alice/My App"
        );
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for text in [
            "",
            "app",
            "a/b/c",
            "../x",
            "-o/x",
            "ssh://host/a/b",
            "git@host:a/b",
            "file:///x",
            "template:",
            "template:../x",
            "template:a/b",
            "/",
            "/../etc",
            "/a/../b",
            "/a\0",
            "https://host",
            "приложение/x",
        ] {
            assert!(
                Named::parse(text, GITHUB_URL, true).is_err(),
                "{text:?} was taken"
            );
        }
        assert!(matches!(
            Named::parse("/home/x", GITHUB_URL, false),
            Err(Invalid::PathNotAllowed)
        ));
    }

    #[test]
    fn a_directory_whose_name_makes_no_project_name_is_told_so() {
        for text in ["/home/приложение", "/home/...", "/home/app/.git"] {
            assert!(
                matches!(
                    Named::parse(text, GITHUB_URL, true),
                    Err(Invalid::Unnamable)
                ),
                "{text:?}"
            );
        }
        assert_eq!(
            named("/home/приложение-7"),
            "alice/path/7 /home/приложение-7"
        );
    }
}
