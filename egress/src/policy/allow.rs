//! What whoever runs Firefly allows besides: `git.example.com`, `*.example.com:8443`, `10.0.0.5:3000`, `fd00::/8`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::target::{Host, Target, number, split_port};

/// What an entry says, or what a list of hosts holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pattern {
    /// This very host.
    Exact(Host),
    /// Every name below this one, but not itself.
    Below(String),
    /// Every address in this network.
    Within(IpNet),
}

/// One thing that is allowed, at one port or at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Allow {
    pattern: Pattern,
    port: Option<u16>,
}

/// The text allows nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is nothing that can be allowed; give a host, *.suffix, an address or a network such as 10.0.0.0/8, each with or \
     without a port behind a colon (IPv6 in brackets then)"
)]
pub struct NotAllowable(String);

impl Pattern {
    /// Whether a host is meant. A network means no names, whatever they resolve to.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(exact), host) => exact == host,
            (Self::Below(suffix), Host::Name(name)) => name
                .strip_suffix(suffix.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            (Self::Within(network), Host::Address(address)) => {
                network.contains(address) || network.contains(&address.to_canonical())
            }
            (Self::Below(_), Host::Address(_)) | (Self::Within(_), Host::Name(_)) => false,
        }
    }
}

impl Allow {
    /// A pattern at every port.
    #[must_use]
    pub const fn everywhere(pattern: Pattern) -> Self {
        Self {
            pattern,
            port: None,
        }
    }

    /// Whether a target is meant.
    #[must_use]
    pub fn matches(&self, target: &Target) -> bool {
        self.port.is_none_or(|port| port == target.port) && self.pattern.matches(&target.host)
    }
}

impl FromStr for Pattern {
    type Err = NotAllowable;

    fn from_str(text: &str) -> Result<Self, NotAllowable> {
        let refused = || NotAllowable(text.to_owned());
        if let Some(suffix) = text.strip_prefix("*.") {
            return match Host::parse(suffix) {
                Ok(Host::Name(name)) => Ok(Self::Below(name)),
                _ => Err(refused()),
            };
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        if bare.contains('/') {
            let network: IpNet = bare.parse().map_err(|_| refused())?;
            return Ok(Self::Within(network.trunc()));
        }
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Ok(Self::Exact(Host::Address(IpAddr::V6(address))));
        }
        Host::parse(text).map(Self::Exact).map_err(|_| refused())
    }
}

impl FromStr for Allow {
    type Err = NotAllowable;

    fn from_str(text: &str) -> Result<Self, NotAllowable> {
        let refused = || NotAllowable(text.to_owned());
        // Without brackets an IPv6 address or network is all colons, and has no port.
        let is_bare_v6 = !text.starts_with('[') && text.matches(':').count() > 1;
        let (pattern, port) = match split_port(text) {
            (pattern, Some(port)) if !is_bare_v6 => {
                (pattern, Some(number(port).ok_or_else(refused)?))
            }
            _ => (text, None),
        };
        Ok(Self {
            pattern: pattern.parse().map_err(|_| refused())?,
            port,
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
            Self::Within(IpNet::V4(network)) => network.fmt(f),
            Self::Within(IpNet::V6(network)) => write!(f, "[{network}]"),
        }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pattern.fmt(f)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}
