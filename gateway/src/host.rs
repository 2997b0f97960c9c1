//! Which site a request is for, by the host it names.
//!
//! A name that is not ours is refused: a page elsewhere that lets its own name resolve to our address (DNS rebinding)
//! would otherwise read our answers as its own.

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};

use crate::config::Config;
use firefly_web::problem::Problem;

/// The sites behind the one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// The console and the API.
    App,
    /// The previews.
    Previews,
}

impl Site {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Previews => "previews",
        }
    }
}

/// Why a request is for none of our sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoSite {
    /// No host, more than one, or one that is no host.
    Malformed,
    /// The host of someone else.
    Foreign(String),
}

impl From<NoSite> for Problem {
    fn from(refusal: NoSite) -> Self {
        match refusal {
            NoSite::Malformed => Self::new(
                StatusCode::BAD_REQUEST,
                "host-malformed",
                "the request needs exactly one Host header with a host name and, if any, a port",
            ),
            NoSite::Foreign(host) => Self::new(
                StatusCode::MISDIRECTED_REQUEST,
                "host-unknown",
                format!(
                    "this server does not answer for {host:?}; use the address it was started with"
                ),
            ),
        }
    }
}

/// Finds the site. The target of an absolute-form request goes before the Host header (RFC 9112 §3.2.2); the port is ignored.
pub(crate) fn site(config: &Config, uri: &Uri, headers: &HeaderMap) -> Result<Site, NoSite> {
    let name = match uri.authority() {
        Some(authority) => host_name(authority.as_str())?,
        None => {
            let mut hosts = headers.get_all(HOST).iter();
            match (hosts.next(), hosts.next()) {
                (Some(host), None) => host_name(host.to_str().map_err(|_| NoSite::Malformed)?)?,
                _ => return Err(NoSite::Malformed),
            }
        }
    };
    if name == config.host || (config.is_local() && is_loopback(&name)) {
        Ok(Site::App)
    } else if name == config.preview_host() {
        Ok(Site::Previews)
    } else {
        Err(NoSite::Foreign(name))
    }
}

/// The names and addresses by which a machine calls itself.
pub(crate) const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

fn is_loopback(name: &str) -> bool {
    LOOPBACK_HOSTS.contains(&name)
}

fn host_name(text: &str) -> Result<String, NoSite> {
    let authority: Authority = text.parse().map_err(|_| NoSite::Malformed)?;
    let host = authority.host();
    let port = text.strip_prefix(host).ok_or(NoSite::Malformed)?;
    let port_is_sound = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.parse::<u16>().is_ok());
    if host.is_empty() || !port_is_sound {
        return Err(NoSite::Malformed);
    }
    Ok(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &Config, host: &str) -> Result<Site, NoSite> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        site(config, &Uri::from_static("/"), &headers)
    }

    #[test]
    fn own_hosts_lead_to_their_sites() {
        let local = Config::new("localhost", 2440);
        for host in [
            "localhost",
            "LOCALHOST:2440",
            "localhost:1",
            "127.0.0.1:2440",
            "[::1]:2440",
        ] {
            assert_eq!(found(&local, host), Ok(Site::App), "{host}");
        }
        for host in ["project.localhost", "project.localhost:2440"] {
            assert_eq!(found(&local, host), Ok(Site::Previews), "{host}");
        }
    }

    #[test]
    fn foreign_hosts_are_refused() {
        let local = Config::new("localhost", 2440);
        for host in [
            "evil.example",
            "localhost.evil.example",
            "localhost.",
            "127.0.0.2",
            "x.project.localhost",
        ] {
            assert!(
                matches!(found(&local, host), Err(NoSite::Foreign(_))),
                "{host}"
            );
        }
    }

    #[test]
    fn loopback_names_are_foreign_to_a_public_gateway() {
        let public = Config::new("firefly.example", 443);
        assert_eq!(found(&public, "firefly.example"), Ok(Site::App));
        assert_eq!(
            found(&public, "project.firefly.example"),
            Ok(Site::Previews)
        );
        assert!(matches!(
            found(&public, "localhost"),
            Err(NoSite::Foreign(_))
        ));
    }

    #[test]
    fn odd_hosts_are_malformed() {
        let local = Config::new("localhost", 2440);
        for host in [
            "",
            "a b",
            "user@localhost",
            "localhost:",
            "localhost:x",
            "localhost:99999",
            "http://localhost",
            "localhost/",
        ] {
            assert_eq!(found(&local, host), Err(NoSite::Malformed), "{host:?}");
        }
        assert_eq!(
            site(&local, &Uri::from_static("/"), &HeaderMap::new()),
            Err(NoSite::Malformed)
        );
        let mut two = HeaderMap::new();
        two.append(HOST, "localhost".parse().unwrap());
        two.append(HOST, "localhost".parse().unwrap());
        assert_eq!(
            site(&local, &Uri::from_static("/"), &two),
            Err(NoSite::Malformed)
        );
    }

    #[test]
    fn the_host_of_an_absolute_target_counts() {
        let local = Config::new("localhost", 2440);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().unwrap());
        let target = Uri::from_static("http://evil.example/");
        assert!(matches!(
            site(&local, &target, &headers),
            Err(NoSite::Foreign(_))
        ));
    }
}
