//! Asks a remote who it is before gix talks to it.
//!
//! One small request more buys two things: an answer a person understands for each way a remote can refuse, and the
//! rule that a clone never follows a redirect to another host, which gix alone cannot be told.

use std::time::Duration;

use firefly_domain::{Failure, FailureCode, GitUrl, Step};
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{StatusCode, Url, redirect};

use super::protocol::chain;
use super::way_out;

/// Hosts that answer at all answer this within a second or two.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// A renamed repository takes one redirect, its rename another.
const REDIRECTS_MAX: usize = 4;

/// What git asks first (gitprotocol-http(5)).
const DISCOVERY: &str = "/info/refs?service=git-upload-pack";

/// Some hosts answer browsers with a page at the same address.
const USER_AGENT: &str = concat!("git/2 (firefly ", env!("CARGO_PKG_VERSION"), ")");

/// Finds the address to clone from: the one given, or where its own host redirects it.
pub(super) fn find(url: &GitUrl) -> Result<String, Failure> {
    let client = Client::builder()
        .timeout(PROBE_TIMEOUT)
        .redirect(redirect::Policy::none())
        .user_agent(USER_AGENT)
        .build()
        .map_err(|error| {
            failure(
                FailureCode::CloneFailed,
                format!("no HTTP client can be made for {url}: {}", chain(&error)),
            )
        })?;
    let mut base = url.as_str().trim_end_matches('/').to_owned();
    for _ in 0..REDIRECTS_MAX {
        let response = client
            .get(format!("{base}{DISCOVERY}"))
            .header("git-protocol", "version=2")
            .send()
            .map_err(|error| unreachable(url, &base, &error))?;
        let response = way_out::pass(response).map_err(not_let_out)?;
        match judge(&response, url)? {
            None => return Ok(base),
            Some(next) => base = next,
        }
    }
    Err(failure(
        FailureCode::CloneFailed,
        format!("{url} redirects more than {REDIRECTS_MAX} times; give the address it ends at"),
    ))
}

/// `None` means that a git repository answers here.
fn judge(response: &Response, url: &GitUrl) -> Result<Option<String>, Failure> {
    let status = response.status();
    if status.is_redirection() {
        let target = response
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        return redirected(response.url(), target.unwrap_or_default(), url).map(Some);
    }
    match status {
        StatusCode::OK if is_git(response) => Ok(None),
        StatusCode::OK => Err(failure(
            FailureCode::RepositoryNotFound,
            format!("{url} answers, but not as a git repository; check the address"),
        )),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(failure(
            FailureCode::RepositoryNotFound,
            format!("there is no repository at {url}; check the address"),
        )),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(failure(
            FailureCode::AccessDenied,
            format!("{url} is private or does not exist (its host answered {status})"),
        )),
        _ if status.is_server_error() => Err(failure(
            FailureCode::RemoteUnreachable,
            format!(
                "{} is in trouble (it answered {status}); try again later",
                host(url)
            ),
        )),
        _ => Err(failure(
            FailureCode::CloneFailed,
            format!("{url} answered {status}, which is no answer of a git remote"),
        )),
    }
}

fn is_git(response: &Response) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes() == b"application/x-git-upload-pack-advertisement")
}

/// Decides whether a redirect is followed: on the same host, to the same question, and never away from TLS.
fn redirected(asked: &Url, location: &str, url: &GitUrl) -> Result<String, Failure> {
    let target = (!location.is_empty())
        .then(|| asked.join(location).ok())
        .flatten();
    let followed = target.filter(|target| {
        let same_host = target.host_str() == asked.host_str();
        let same_port = target.port_or_known_default() == asked.port_or_known_default();
        let upgraded = asked.scheme() == "http"
            && target.scheme() == "https"
            && target.port().is_none()
            && asked.port().is_none();
        let same_scheme = target.scheme() == asked.scheme();
        same_host && ((same_scheme && same_port) || upgraded) && target.username().is_empty()
    });
    followed
        .as_ref()
        .and_then(|target| target.as_str().strip_suffix(DISCOVERY))
        .map(ToOwned::to_owned)
        .ok_or_else(|| {
            failure(
                FailureCode::CloneFailed,
                format!("{url} redirects to {location}, which is not followed; if you trust that address, open it itself"),
            )
        })
}

fn unreachable(url: &GitUrl, asked: &str, error: &reqwest::Error) -> Failure {
    let said = Url::parse(asked)
        .ok()
        .and_then(|asked| way_out::ask(&asked));
    if let Some(said) = said {
        return not_let_out(said);
    }
    failure(
        FailureCode::RemoteUnreachable,
        format!(
            "{} cannot be reached; check the address and the network ({})",
            host(url),
            root_cause(error)
        ),
    )
}

fn not_let_out(said: String) -> Failure {
    failure(FailureCode::RemoteUnreachable, said)
}

/// The innermost error says what really happened: a refused connection, an unknown name, a bad certificate.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn host(url: &GitUrl) -> &str {
    url.as_str().split('/').nth(2).unwrap_or(url.as_str())
}

fn failure(code: FailureCode, detail: String) -> Failure {
    Failure::new(Step::Source, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_redirects_on_the_same_host_are_followed() {
        let url = GitUrl::parse("http://git.test/a/b").unwrap();
        let asked = Url::parse(&format!("http://git.test/a/b{DISCOVERY}")).unwrap();
        let follow = |location: &str| redirected(&asked, location, &url).ok();
        assert_eq!(
            follow(&format!("/a/b.git{DISCOVERY}")).as_deref(),
            Some("http://git.test/a/b.git")
        );
        assert_eq!(
            follow(&format!("https://git.test/a/b{DISCOVERY}")).as_deref(),
            Some("https://git.test/a/b")
        );
        for location in [
            format!("http://evil.test/a/b{DISCOVERY}"),
            format!("http://git.test:81/a/b{DISCOVERY}"),
            format!("https://git.test:81/a/b{DISCOVERY}"),
            format!("http://u@git.test/a/b{DISCOVERY}"),
            "file:///etc/passwd".to_owned(),
            "/login".to_owned(),
            String::new(),
        ] {
            assert_eq!(follow(&location), None, "{location} was followed");
        }
        let secure = Url::parse(&format!("https://git.test/a/b{DISCOVERY}")).unwrap();
        assert!(redirected(&secure, &format!("http://git.test/a/b{DISCOVERY}"), &url).is_err());
    }
}
