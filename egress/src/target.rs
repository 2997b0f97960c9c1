//! Where a project wants to go, as it says it.
//!
//! Addresses have many spellings: `127.0.0.1` is also `0x7f.1`, `2130706433` and `[::ffff:127.0.0.1]`, and resolvers know
//! them all. They are read once, by the rules that browsers have for hosts, so that what is judged is what is connected to.

use std::fmt;
use std::net::IpAddr;

use url::Host as UrlHost;

/// A name in the DNS is no longer.
const NAME_BYTES_MAX: usize = 253;

/// A host, by its name or its address.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Host {
    /// A name in lower case, without the dot that may end it.
    Name(String),
    /// An address, whatever its spelling was.
    Address(IpAddr),
}

/// A host and a port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// What was given as a host is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no host; give a name or an address, and behind a colon its port")]
pub struct NotAHost(pub String);

impl Host {
    /// Reads a name or an address; IPv6 addresses stand in brackets.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, NotAHost> {
        let refused = || NotAHost(text.to_owned());
        match UrlHost::parse(text).map_err(|_| refused())? {
            UrlHost::Ipv4(address) => Ok(Self::Address(address.into())),
            UrlHost::Ipv6(address) => Ok(Self::Address(address.into())),
            UrlHost::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_plain);
                let is_name = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label);
                is_name
                    .then(|| Self::Name(name.to_ascii_lowercase()))
                    .ok_or_else(refused)
            }
        }
    }
}

impl Target {
    /// Reads `host:port`, or `host` where there is a usual port.
    ///
    /// # Errors
    ///
    /// It is not of this form.
    pub fn parse(text: &str, usual_port: Option<u16>) -> Result<Self, NotAHost> {
        let refused = || NotAHost(text.to_owned());
        let (host, port) = split_port(text);
        let port = match port {
            Some(port) => number(port).ok_or_else(refused)?,
            None => usual_port.ok_or_else(refused)?,
        };
        let host = Host::parse(host).map_err(|_| refused())?;
        Ok(Self { host, port })
    }
}

/// Splits what stands behind the last colon, unless that colon is of an IPv6 address.
pub(crate) fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// A port in digits alone; there is no port 0.
pub(crate) fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Target::parse(text, Some(80)).map_or_else(|_| "-".to_owned(), |target| target.to_string())
    }

    #[test]
    fn every_spelling_comes_to_one_host() {
        let spellings = [
            ("GitHub.com:443", "github.com:443"),
            ("github.com.", "github.com:80"),
            ("my_host:9418", "my_host:9418"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("127.0.0.1.:1", "127.0.0.1:1"),
            ("0x7f.1:1", "127.0.0.1:1"),
            ("2130706433:1", "127.0.0.1:1"),
            ("0177.0.0.1:1", "127.0.0.1:1"),
            ("127.1:1", "127.0.0.1:1"),
            ("%31%30.0.0.1:1", "10.0.0.1:1"),
            ("１０.0.0.1:1", "10.0.0.1:1"),
            ("[::1]", "[::1]:80"),
            ("[0:0::1]:443", "[::1]:443"),
        ];
        for (spelling, host) in spellings {
            assert_eq!(shown(spelling), host, "{spelling}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let none = [
            "",
            ":",
            ":80",
            ".",
            "..",
            "a..b",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "host:x",
            "::1",
            "[::1",
            "[fe80::1%25eth0]:80",
            "a b",
            "a/b",
            "a@b:1",
            "1.2.3.4.5",
            "0x100000000",
            "256.0.0.1",
            "*",
            "*.test",
            "a'b",
        ];
        for text in none {
            assert_eq!(shown(text), "-", "{text}");
        }
        assert!(Target::parse("github.com", None).is_err());
    }
}
