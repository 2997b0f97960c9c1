//! Puts the parts together, and tells requests apart by their form.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use http::{Method, Request};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, sentence};
use crate::config::{Config, Limits};
use crate::dial::{Dialer, Resolver, SystemResolver, Trouble};
use crate::npm::Npm;
use crate::policy::{Pattern, Policy, Rules};
use crate::tunnel::Place;
use crate::{forward, measure, tunnel};

/// The way out of all projects.
///
/// Clones are the same one: it may be served on several listeners at a time.
#[derive(Clone)]
pub struct Egress {
    pub(crate) shared: Arc<Shared>,
}

/// There is no way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the cache cannot be used.
    #[error("the package cache {path} cannot be opened; see who may write there")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The further certificates cannot be read.
    #[error("the certificates {path} cannot be read; give a file in PEM")]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The HTTP client cannot be made.
    #[error(
        "no HTTP client can be made for the registry; see the certificates that are to be trusted"
    )]
    Client(#[source] reqwest::Error),
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) dialer: Dialer,
    pub(crate) npm: Npm,
    pub(crate) limits: Limits,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    passages: Arc<Semaphore>,
}

impl Egress {
    /// Opens the cache. Nothing is bound yet.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn build(config: Config) -> Result<Self, Error> {
        Self::build_with(config, Arc::new(SystemResolver::default())).await
    }

    /// The same with a resolver of one's own.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn build_with(config: Config, resolver: Arc<dyn Resolver>) -> Result<Self, Error> {
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let npm = Npm::open(&config, tasks.clone(), stopping.clone()).await?;
        let mut hosts = config.hosts;
        hosts.extend(config.registry.host().map(Pattern::Exact));
        let rules = Rules::new(config.policy, &hosts, config.allow);
        let limits = config.limits;
        let dialer = Dialer::new(rules, resolver, config.upstream_proxy, &limits);
        let shared = Shared {
            dialer,
            npm,
            passages: Arc::new(Semaphore::new(limits.passages)),
            limits,
            tasks,
            stopping,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl Shared {
    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        if request.method() == Method::CONNECT {
            tunnel::open(self, request).await
        } else if request.uri().scheme().is_some() {
            forward::pass(self, request).await
        } else {
            self.npm.answer(request).await
        }
    }

    /// A place for a way out, if there is one left.
    pub(crate) fn passage(&self) -> Option<Place> {
        Arc::clone(&self.passages).try_acquire_owned().ok()
    }

    /// The answer where there is no connection.
    pub(crate) fn refuse(&self, trouble: &Trouble) -> Answer {
        measure::refused(match trouble {
            Trouble::Refused(refusal) => refusal.reason(),
            _ => "unreachable",
        });
        tracing::debug!(
            trouble = trouble as &dyn std::error::Error,
            "a project does not get out"
        );
        sentence(trouble.status(), &trouble.to_string())
    }
}

/// Whether the registry may be asked: not where projects have no network, since packages are made by strangers too.
pub(crate) fn may_fetch(policy: Policy) -> bool {
    policy != Policy::None
}
