//! How a Firefly is started.

use std::net::{IpAddr, Ipv4Addr};

use crate::docker;

/// What runs projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Docker containers.
    Docker,
    /// Child processes.
    Process,
}

impl Runtime {
    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Process => "process",
        }
    }

    /// An address of this host that the runtime's project-servers reach, if they may.
    pub fn host_address(self) -> IpAddr {
        match self {
            Self::Docker => docker::host_address(),
            Self::Process => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// How a Firefly is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What runs its projects.
    pub runtime: Runtime,
    /// Whether it has packages from npm's registry beforehand.
    pub has_packages: bool,
    /// Whether its containers may reach what listens on this host.
    pub reaches_this_host: bool,
    /// Whether it speaks JSON.
    pub json: bool,
    /// Further arguments of `up`.
    pub arguments: Vec<String>,
}

impl Settings {
    /// A Firefly whose package cache is warm.
    pub const fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            has_packages: true,
            reaches_this_host: true,
            json: true,
            arguments: Vec::new(),
        }
    }

    /// The same with an empty package cache.
    pub const fn cold(mut self) -> Self {
        self.has_packages = false;
        self
    }

    /// The same whose containers do not reach this host, as it is unless somebody says otherwise.
    pub const fn apart(mut self) -> Self {
        self.reaches_this_host = false;
        self
    }

    /// The same that speaks to people.
    pub const fn for_people(mut self) -> Self {
        self.json = false;
        self
    }

    /// The same on another event log than the file in its data directory.
    pub fn on_log(mut self, url: &str) -> Self {
        self.arguments
            .extend(["--event-log".to_owned(), url.to_owned()]);
        self
    }

    /// The same with its read models elsewhere.
    pub fn with_read_models(mut self, url: &str) -> Self {
        self.arguments
            .extend(["--read-models".to_owned(), url.to_owned()]);
        self
    }

    /// The same that opens something at its start.
    pub fn opening(mut self, source: &str) -> Self {
        self.arguments
            .extend(["--open".to_owned(), source.to_owned()]);
        self
    }
}
