//! What the room must be told, and the bounds it keeps.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

use crate::policy::{Allow, Pattern, Policy};
use crate::target::{Host, Target};

/// npm's registry.
pub const NPM_REGISTRY: &str = "https://registry.npmjs.org/";

/// A few thousand packages.
const CACHE_BYTES: u64 = 4 << 30;

/// What to let through, and where to keep what was fetched.
#[derive(Clone, Debug)]
pub struct Config {
    /// How much of the network projects get.
    pub policy: Policy,
    /// Hosts that [`Policy::RegistriesAndGit`] lets through besides the well-known ones and the registry's, such as that of
    /// a GitHub of one's own.
    pub hosts: Vec<Pattern>,
    /// What may be reached whatever the policy says, and at private addresses too.
    pub allow: Vec<Allow>,
    /// The registry behind the cache.
    pub registry: Registry,
    /// Certificates in PEM, one after the other, that are trusted besides the system's when the registry is asked.
    pub further_roots: Option<PathBuf>,
    /// Where packages are kept; nothing else may be in there.
    pub cache_dir: PathBuf,
    /// Bytes on the disk that packages may take up; those that were not used for the longest time make room.
    pub cache_bytes: u64,
    /// The proxy that Firefly itself has to use.
    pub upstream_proxy: Option<UpstreamProxy>,
    /// The bounds.
    pub limits: Limits,
}

impl Config {
    /// npm's registry, and nothing that is particular to an installation.
    pub fn new(policy: Policy, cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            policy,
            hosts: Vec::new(),
            allow: Vec::new(),
            registry: Registry::default(),
            further_roots: None,
            cache_dir: cache_dir.into(),
            cache_bytes: CACHE_BYTES,
            upstream_proxy: None,
            limits: Limits::default(),
        }
    }
}

/// The base URL of a registry, with a slash at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registry(Url);

/// The text is no registry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no registry; give its base URL with http or https, without credentials, query and fragment"
)]
pub struct NotARegistry(String);

impl Registry {
    /// As text, with a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its host, as policies know hosts.
    pub(crate) fn host(&self) -> Option<Host> {
        self.0.host_str().and_then(|host| Host::parse(host).ok())
    }
}

impl Default for Registry {
    fn default() -> Self {
        NPM_REGISTRY.parse().expect("npm's registry has a URL")
    }
}

impl FromStr for Registry {
    type Err = NotARegistry;

    fn from_str(text: &str) -> Result<Self, NotARegistry> {
        // The text may hold a password, which no message repeats.
        let shown = text.rsplit_once('@').map_or(text, |(_, shown)| shown);
        let refused = || NotARegistry(shown.to_owned());
        let slashed = format!("{}/", text.trim_end_matches('/'));
        let url = Url::parse(&slashed).map_err(|_| refused())?;
        let is_base = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        is_base.then_some(Self(url)).ok_or_else(refused)
    }
}

/// An HTTP proxy between Firefly and the internet.
///
/// Names go to it unresolved, so that what they lead to cannot be judged here: then names that are local by their form are
/// refused, literal addresses are judged as always, and the rest is the proxy's to decide.
#[derive(Clone)]
pub struct UpstreamProxy {
    pub(crate) target: Target,
    pub(crate) authorization: Option<HeaderValue>,
    url: Url,
    except: Vec<Pattern>,
}

/// The text is no proxy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the proxy is not of the form http://host:port or http://user:password@host:port")]
pub struct NotAProxy;

impl UpstreamProxy {
    /// Reads the URL of `HTTPS_PROXY`, and the list of `NO_PROXY`: hosts, with all below them, addresses and networks that
    /// are reached without it; what is none of these is passed over, as everywhere.
    ///
    /// # Errors
    ///
    /// The proxy is none, or one that is itself spoken to over TLS.
    pub fn parse(proxy: &str, except: &str) -> Result<Self, NotAProxy> {
        let url = Url::parse(proxy).map_err(|_| NotAProxy)?;
        let host = url.host_str().filter(|_| url.scheme() == "http");
        let host = host
            .and_then(|host| Host::parse(host).ok())
            .ok_or(NotAProxy)?;
        let port = url.port_or_known_default().ok_or(NotAProxy)?;
        let patterns = except.split(',').map(str::trim).flat_map(|item| {
            let bare = item.trim_start_matches("*.").trim_start_matches('.');
            [bare.parse().ok(), format!("*.{bare}").parse().ok()]
        });
        Ok(Self {
            target: Target { host, port },
            authorization: authorization(&url)?,
            except: patterns.flatten().collect(),
            url,
        })
    }

    /// Whether a host is reached without it.
    pub(crate) fn passes_over(&self, host: &Host) -> bool {
        self.except.iter().any(|except| except.matches(host))
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }
}

fn authorization(url: &Url) -> Result<Option<HeaderValue>, NotAProxy> {
    if url.username().is_empty() {
        return Ok(None);
    }
    let decoded = |text: &str| -> Vec<u8> {
        url::form_urlencoded::parse(text.replace('+', "%2B").as_bytes())
            .next()
            .map_or(Vec::new(), |(text, _)| text.into_owned().into_bytes())
    };
    let mut pair = decoded(url.username());
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).map_err(|_| NotAProxy)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamProxy")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// The bounds. [`Limits::default`] suits one machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections of projects open at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Tunnels and passed-on requests at once; more get 503.
    pub passages: usize,
    /// How long a project may take over one request's head, idle time between requests included.
    pub header_read: Duration,
    /// How long a project may take nothing of what is sent to it.
    pub write_stall: Duration,
    /// How long the lookup of a name may take.
    pub resolve: Duration,
    /// How long connecting may take, to all addresses of a name together.
    pub connect: Duration,
    /// How long an upstream may take to begin its answer; git hosts count objects before they do.
    pub response_head: Duration,
    /// How long a tunnel, or a body, may stay without a byte.
    pub idle: Duration,
    /// How long what is known of a package counts as fresh.
    pub fresh: Duration,
    /// Downloads from the registry at once; more wait, as long as `idle`.
    pub downloads: usize,
    /// How long one download may take in all.
    pub download: Duration,
    /// How long the registry counts as out of reach after it could not be reached: then what is there is served at once,
    /// though it may be out of date.
    pub registry_pause: Duration,
    /// How long requests under way may go on after shutdown began.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            passages: 2_048,
            header_read: Duration::from_secs(60),
            write_stall: Duration::from_secs(60),
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(15),
            response_head: Duration::from_secs(300),
            idle: Duration::from_secs(300),
            fresh: Duration::from_secs(300),
            downloads: 64,
            download: Duration::from_secs(1_800),
            registry_pause: Duration::from_secs(10),
            shutdown: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_base_url() {
        let registry = |text: &str| {
            text.parse::<Registry>()
                .map(|registry| registry.0.to_string())
        };
        assert_eq!(registry("https://npm.test").unwrap(), "https://npm.test/");
        assert_eq!(
            registry("http://npm.test/a/b//").unwrap(),
            "http://npm.test/a/b/"
        );
        for text in [
            "",
            "npm.test",
            "ftp://npm.test",
            "https://npm.test?a",
            "https://npm.test/#a",
            "https://",
        ] {
            assert!(registry(text).is_err(), "{text}");
        }
        let said = registry("https://bob:secret@npm.test")
            .unwrap_err()
            .to_string();
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn a_proxy_is_read_as_others_read_it() {
        let proxy = UpstreamProxy::parse(
            "http://bob:a%40+b@proxy.test:3128",
            "corp.test, .lan.test,10.0.0.0/8,*,",
        )
        .unwrap();
        assert_eq!(proxy.target.to_string(), "proxy.test:3128");
        assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic Ym9iOmFAK2I=");
        assert!(!format!("{proxy:?}").contains("a%40"));
        let passes = |host: &str| proxy.passes_over(&Host::parse(host).unwrap());
        assert!(
            passes("corp.test")
                && passes("a.corp.test")
                && passes("a.lan.test")
                && passes("10.1.2.3")
        );
        assert!(!passes("notcorp.test") && !passes("github.com"));
        for text in [
            "",
            "proxy.test:3128",
            "https://proxy.test",
            "socks5://proxy.test:1080",
        ] {
            assert!(UpstreamProxy::parse(text, "").is_err(), "{text}");
        }
        assert_eq!(
            UpstreamProxy::parse("http://proxy.test", "")
                .unwrap()
                .target
                .port,
            80
        );
    }
}
