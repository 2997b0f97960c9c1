//! What projects may reach: decided from what is known, and from nothing else.
//!
//! A target is judged twice. By its name, before anybody is asked for its address: a name that may not be reached is not
//! even looked up, since lookups can carry data out. And by the address that will be connected to: whatever a name
//! resolves to, it leads to no private network and not to the host that Firefly runs on.

mod address;
mod allow;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::str::FromStr;

use crate::target::{Host, Target};

pub use address::{Kind, kind};
pub use allow::{Allow, NotAllowable, Pattern};

const HTTP: u16 = 80;
const HTTPS: u16 = 443;
/// `git://`.
const GIT: u16 = 9418;
/// Below this, ports belong to services of a system, mail among them, that a project has no business with.
const FIRST_FREE_PORT: u16 = 1_024;

/// Package registries and git hosts that most projects need.
const REGISTRIES_AND_GIT: [&str; 9] = [
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "npm.jsr.io",
    "github.com",
    "codeload.github.com",
    "*.githubusercontent.com",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
];

/// Names that mean something else to every resolver; behind a proxy nobody sees what.
const LOCAL_SUFFIXES: [&str; 6] = [
    ".localhost",
    ".local",
    ".internal",
    ".localdomain",
    ".lan",
    ".home.arpa",
];

/// How much of the network projects get.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Policy {
    /// Everything public.
    Open,
    /// Registries of packages and hosts of git repositories, over HTTP and HTTPS.
    #[default]
    RegistriesAndGit,
    /// Nothing.
    None,
}

/// The text is no policy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no egress policy; it is one of open, registries-and-git and none")]
pub struct NotAPolicy(String);

impl Policy {
    /// The text that [`Policy::from_str`] reads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::RegistriesAndGit => "registries-and-git",
            Self::None => "none",
        }
    }
}

impl FromStr for Policy {
    type Err = NotAPolicy;

    fn from_str(text: &str) -> Result<Self, NotAPolicy> {
        [Self::Open, Self::RegistriesAndGit, Self::None]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| NotAPolicy(text.to_owned()))
    }
}

/// Why a target may not be reached, in a sentence for those who read the output of git and npm.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The policy is [`Policy::None`].
    #[error(
        "Firefly does not let projects reach {0}: projects have no network here; whoever runs Firefly can allow \
         it with --egress-allow"
    )]
    Closed(Target),
    /// Not on the list of [`Policy::RegistriesAndGit`].
    #[error(
        "Firefly does not let projects reach {0}: only package registries and git hosts are open to projects here; \
         whoever runs Firefly can allow it with --egress-allow"
    )]
    NotListed(Target),
    /// The host may be reached, but not at this port.
    #[error("Firefly does not let projects reach {0}: port {port} is not open to projects; whoever runs Firefly can allow \
         it with --egress-allow", port = .0.port)]
    Port(Target),
    /// The address is of a kind that no project may reach.
    #[error(
        "Firefly does not let projects reach {target}: {address} is {what}; whoever runs Firefly can allow it with \
         --egress-allow",
        what = .kind.description()
    )]
    Address {
        /// What was asked for.
        target: Target,
        /// What it comes to.
        address: IpAddr,
        /// What that is.
        kind: Kind,
    },
    /// A name that leads elsewhere for everybody, and that somebody else would resolve.
    #[error(
        "Firefly does not let projects reach {0}: it is a local name; whoever runs Firefly can allow it with --egress-allow"
    )]
    LocalName(Target),
}

impl Refusal {
    /// A word for counting.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Closed(_) => "closed",
            Self::NotListed(_) => "not-listed",
            Self::Port(_) => "port",
            Self::Address { .. } => "address",
            Self::LocalName(_) => "local-name",
        }
    }
}

/// The policy with all that makes exceptions to it.
#[derive(Clone, Debug)]
pub struct Rules {
    policy: Policy,
    listed: Vec<Pattern>,
    allow: Vec<Allow>,
}

impl Rules {
    /// `further` are hosts that [`Policy::RegistriesAndGit`] lets through besides the well-known ones. What `allow` names
    /// may be reached under every policy and at whatever address it has.
    #[must_use]
    pub fn new(policy: Policy, further: &[Pattern], allow: Vec<Allow>) -> Self {
        let known = REGISTRIES_AND_GIT
            .iter()
            .map(|pattern| pattern.parse().expect("the list holds patterns"));
        Self {
            policy,
            listed: known.chain(further.iter().cloned()).collect(),
            allow,
        }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Judges what is asked for, before anybody is asked for an address.
    ///
    /// # Errors
    ///
    /// It may not be reached.
    pub fn judge(&self, target: &Target) -> Result<(), Refusal> {
        if self.names(target) {
            return Ok(());
        }
        match (self.policy, &target.host) {
            (Policy::None, _) => return Err(Refusal::Closed(target.clone())),
            (Policy::RegistriesAndGit, host) => {
                if !self.listed.iter().any(|listed| listed.matches(host)) {
                    return Err(Refusal::NotListed(target.clone()));
                }
                if !matches!(target.port, HTTP | HTTPS) {
                    return Err(Refusal::Port(target.clone()));
                }
            }
            (Policy::Open, _) => {
                let open = matches!(target.port, HTTP | HTTPS) || target.port >= FIRST_FREE_PORT;
                if !open && target.port != GIT {
                    return Err(Refusal::Port(target.clone()));
                }
            }
        }
        match target.host {
            Host::Address(address) => self.judge_address(target, address, false),
            Host::Name(_) => Ok(()),
        }
    }

    /// Judges an address that a target has come to, and that will be connected to. `is_own` says that the address is one
    /// of the host that Firefly runs on: what listens there trusts whoever is on the host.
    ///
    /// # Errors
    ///
    /// It may not be reached.
    pub fn judge_address(
        &self,
        target: &Target,
        address: IpAddr,
        is_own: bool,
    ) -> Result<(), Refusal> {
        let found = match kind(address) {
            Kind::Public if is_own => Kind::OwnHost,
            found => found,
        };
        let at = Target {
            host: Host::Address(address),
            port: target.port,
        };
        if found == Kind::Public || self.names(target) || self.names(&at) {
            return Ok(());
        }
        Err(Refusal::Address {
            target: target.clone(),
            address,
            kind: found,
        })
    }

    /// Judges a target that a proxy will resolve, out of sight.
    ///
    /// # Errors
    ///
    /// It may not be reached.
    pub fn judge_unseen(&self, target: &Target) -> Result<(), Refusal> {
        self.judge(target)?;
        match &target.host {
            Host::Name(name) if !self.names(target) => {
                let is_local = !name.contains('.')
                    || LOCAL_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
                if is_local {
                    return Err(Refusal::LocalName(target.clone()));
                }
                Ok(())
            }
            Host::Name(_) | Host::Address(_) => Ok(()),
        }
    }

    fn names(&self, target: &Target) -> bool {
        self.allow.iter().any(|allow| allow.matches(target))
    }
}
