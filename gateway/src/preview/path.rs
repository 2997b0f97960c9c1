//! What a path on the project host means.

use firefly_domain::ProjectKey;
use http::Uri;

/// The place in a project-server below which the workspace is.
const STATIC_PREFIX: &str = "/static";

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The host itself.
    Index,
    /// Nothing that can be there.
    Nothing,
    /// A project without the slash behind its names; only sockets are opened so.
    Bare {
        key: ProjectKey,
        /// The path and query it should have had.
        slashed: String,
        /// The path and query to ask of the container.
        upstream: String,
    },
    /// A path in a project.
    Inside {
        key: ProjectKey,
        /// The path and query to ask of the container.
        upstream: String,
    },
}

/// Reads a path. What is behind the three names is passed on as it is written, still encoded.
pub(super) fn target(uri: &Uri) -> Target {
    let path = uri.path();
    if path == "/" {
        return Target::Index;
    }
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let mut parts = path.strip_prefix('/').unwrap_or(path).splitn(4, '/');
    let (Some(user), Some(owner), Some(repo)) = (parts.next(), parts.next(), parts.next()) else {
        return Target::Nothing;
    };
    let Ok(key) = ProjectKey::new(user, owner, repo) else {
        return Target::Nothing;
    };
    match parts.next() {
        None => Target::Bare {
            slashed: format!("/{key}/{query}"),
            upstream: format!("{STATIC_PREFIX}/{query}"),
            key,
        },
        Some(rest) if climbs(rest) => Target::Nothing,
        Some(rest) => Target::Inside {
            key,
            upstream: format!("{STATIC_PREFIX}/{rest}{query}"),
        },
    }
}

/// Whether a path has a segment that leads upwards, however it is encoded. Clients resolve these before they ask.
fn climbs(path: &str) -> bool {
    let plain = path
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/");
    plain.split(['/', '\\']).any(|segment| segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Target {
        target(&path.parse().unwrap())
    }

    fn key() -> ProjectKey {
        ProjectKey::new("alice", "montage", "app").unwrap()
    }

    #[test]
    fn a_path_in_a_project_is_one_below_static() {
        for (path, upstream) in [
            ("/alice/montage/app/", "/static/"),
            ("/alice/montage/app/index.html", "/static/index.html"),
            (
                "/Alice/Montage/App/a/B%20c.js?x=1&y",
                "/static/a/B%20c.js?x=1&y",
            ),
            ("/alice/montage/app//x", "/static//x"),
            (
                "/alice/montage/app/{$PREVIEW}/preview.js",
                "/static/{$PREVIEW}/preview.js",
            ),
            ("/alice/montage/app/a..b/...", "/static/a..b/..."),
        ] {
            let upstream = upstream.to_owned();
            assert_eq!(
                of(path),
                Target::Inside {
                    key: key(),
                    upstream
                },
                "{path}"
            );
        }
    }

    #[test]
    fn a_project_without_its_slash_is_told_apart() {
        assert_eq!(
            of("/Alice/montage/app?x=1"),
            Target::Bare {
                key: key(),
                slashed: "/alice/montage/app/?x=1".to_owned(),
                upstream: "/static/?x=1".to_owned(),
            }
        );
    }

    #[test]
    fn what_names_no_project_is_nothing() {
        for path in [
            "/alice",
            "/alice/montage",
            "/alice/montage/",
            "//montage/app/",
            "/alice/../app/",
            "/%61lice/montage/app/",
            "/alice/.git/app/x",
            "/favicon.ico",
        ] {
            assert_eq!(of(path), Target::Nothing, "{path}");
        }
        assert_eq!(of("/"), Target::Index);
    }

    #[test]
    fn no_path_climbs_out_of_the_workspace() {
        for rest in [
            "..",
            "../control",
            "a/../../control",
            "%2e%2E/x",
            ".%2e/x",
            "..%2fcontrol",
            "a%2F..%2Fb",
            "a\\..\\b",
            "..%5Cx",
        ] {
            let path = format!("/alice/montage/app/{rest}");
            let Ok(uri) = path.parse() else { continue };
            assert_eq!(target(&uri), Target::Nothing, "{path}");
        }
    }
}
