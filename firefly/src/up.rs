//! `firefly up`: every role in one process, wired directly.

mod data_dir;
mod descriptors;
mod lookup;
pub mod metrics;
mod processes;
mod runtime;
mod say;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use firefly_domain::control::ProjectProgress;
use firefly_event_store::{EventStore, Position};
use firefly_gateway::Gateway;
use firefly_identity::{ControlKeys, LocalSignIn, Secret, Tokens};
use firefly_projector::{Progress, Projector};
use firefly_query_api::{Freshness, Hub};
use firefly_reactor::control::Clients;
use firefly_reactor::runtime::ContainerRuntime;
use firefly_reactor::{BackOff, Peers, Reactor, lease};
use firefly_web::Authenticator;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::args::{Client, Open, Up};
use crate::{client, documents, exit, telemetry};
use data_dir::DataDir;
use metrics::{Measured, Metrics};
use say::Say;

/// Progress messages that a live socket may be behind; older ones are of no interest.
const PROGRESS_MESSAGES: usize = 256;

/// How long the first request waits for the reactor's lease, which is had at once unless another reactor acts.
const LEASE_PATIENCE: Duration = Duration::from_secs(1);

/// What everybody should know who runs projects as child processes.
const NO_ISOLATION: &str = "projects are not isolated: their code, and that of every npm package, can do what this user can do";

/// The exit code of a process that a second signal ends at once: 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

pub fn main(args: Up) -> anyhow::Result<ExitCode> {
    telemetry::init(&args.log, args.json)?;
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(up(args))
}

async fn up(args: Up) -> anyhow::Result<ExitCode> {
    let shutdown = CancellationToken::new();
    end_on_signals(shutdown.clone())?;
    let say = Say::new(args.json);
    let opening = DataDir::open(&args.data_dir, args.event_log.is_none(), &say);
    let Some(data_dir) = shutdown.run_until_cancelled(opening).await else {
        say.stopping();
        return Ok(ExitCode::SUCCESS);
    };
    let data_dir = data_dir?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; is another Firefly running?",
            args.listen
        )
    })?;
    let address = listener
        .local_addr()
        .context("cannot tell the address that was bound")?;
    let listeners = Listeners {
        public: listener,
        metrics: listen_for_metrics(&args).await?,
    };

    let starting = Box::pin(start(&args, &data_dir, listeners, address, &say, &shutdown));
    let Some(roles) = shutdown.run_until_cancelled(starting).await else {
        say.stopping();
        return Ok(ExitCode::SUCCESS);
    };
    let mut roles = roles?;
    data_dir.begun();
    say.listening(&app_url(&args.host, address), &args.data_dir);

    let failed = until_ended(&mut roles, open(&args, address), &shutdown).await;
    shutdown.cancel();
    say.stopping();
    while roles.join_next().await.is_some() {}
    match failed {
        None => Ok(ExitCode::SUCCESS),
        Some(Ok((role, Err(error)))) => Err(error.context(format!("the {role} ended"))),
        Some(Ok((role, Ok(())))) => anyhow::bail!("the {role} ended by itself"),
        Some(Err(error)) => Err(error).context("a role panicked"),
    }
}

type Role = (&'static str, anyhow::Result<()>);

/// Waits for the shutdown, or for a role that ends before it. What is opened at the start is opened meanwhile.
async fn until_ended(
    roles: &mut JoinSet<Role>,
    opening: impl Future<Output = ()>,
    shutdown: &CancellationToken,
) -> Option<Result<Role, JoinError>> {
    let mut opening = std::pin::pin!(opening.fuse());
    loop {
        tokio::select! {
            // The signal that ends Firefly ends its roles too; a role that is quick about it has not failed.
            biased;
            () = shutdown.cancelled() => return None,
            Some(ended) = roles.join_next() => return Some(ended),
            () = &mut opening => {}
        }
    }
}

/// Builds every role, then runs them; whichever ends first ends all.
async fn start(
    args: &Up,
    data_dir: &DataDir,
    listeners: Listeners,
    address: SocketAddr,
    say: &Say,
    shutdown: &CancellationToken,
) -> anyhow::Result<JoinSet<Role>> {
    let event_log = args
        .event_log
        .clone()
        .unwrap_or_else(|| data_dir.event_log());
    let store = firefly_event_store::open(&event_log).await?;
    let store: Arc<dyn EventStore> = Arc::new(Measured(store));
    let (runtime, reason) = runtime::choose(args, data_dir, say).await?;
    say.runtime(runtime.kind(), &reason);
    if runtime.kind() == "process" {
        say.warning(NO_ISOLATION);
    }
    let services = build(args, data_dir, address, say, &store, runtime).await?;
    Ok(services.run(listeners, store, shutdown))
}

/// What Firefly listens on.
struct Listeners {
    public: TcpListener,
    metrics: Option<TcpListener>,
}

async fn listen_for_metrics(args: &Up) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = args.metrics_listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address} for metrics"))?;
    Ok(Some(listener))
}

/// Every role, built and not yet running.
struct Services {
    hub: Hub,
    /// What the reactor says of steps at work.
    progress: broadcast::Receiver<ProjectProgress>,
    projector: Projector,
    reactor: Reactor,
    gateway: Gateway,
    metrics: Metrics,
}

/// Wires the services together: what they share is the log, the read models, and the handles passed here.
async fn build(
    args: &Up,
    data_dir: &DataDir,
    address: SocketAddr,
    say: &Say,
    store: &Arc<dyn EventStore>,
    runtime: Arc<dyn ContainerRuntime>,
) -> anyhow::Result<Services> {
    let secret = Secret::load_or_create(&data_dir.secret())?;
    let tokens = Tokens::new(&secret);
    let authenticator = Authenticator::new(tokens.clone());
    let local = local_sign_in(args, address)
        .inspect_err(|refused| say.warning(&format!("nobody can sign in: {refused}")))
        .ok();
    let auditor = local.as_ref().map(|_| args.local_user.clone());
    let preview_url = app_url(&format!("project.{}", args.host), address);

    let url = args
        .read_models
        .clone()
        .unwrap_or_else(|| data_dir.read_models());
    let read_models = firefly_read_models::open(&url).await?;

    let hub = Hub::new(&preview_url, authenticator.clone());
    let projector = Projector::build(read_models.clone(), Arc::clone(store)).await?;
    let progress = broadcast::Sender::new(PROGRESS_MESSAGES);
    let reactor_config = firefly_reactor::Config {
        runtime,
        servers: Arc::new(Clients::build().context("cannot set up the client of project-servers")?),
        keys: ControlKeys::new(secret),
        holder: data_dir.processes().holder(),
        peers: Arc::clone(data_dir.processes()) as Arc<dyn Peers>,
        uptime: lease::uptime,
        back_off: BackOff::default(),
        now: chrono::Utc::now,
        progress: progress.clone(),
    };
    let reactor = Reactor::new(reactor_config, Arc::clone(store));
    let metrics = Metrics::new(
        metrics::collect()?,
        Arc::clone(store),
        read_models.clone(),
        hub.clone(),
    );
    let for_this_host = metrics.clone().for_this_host(local.is_some());
    let commands = firefly_command_api::Config {
        tokens,
        authenticator: authenticator.clone(),
        local,
        github_url: args.github_url.clone(),
        read_models: read_models.clone(),
        projections: firefly_projector::projections().to_vec(),
    };
    let queries = firefly_query_api::Config {
        authenticator,
        auditor,
        read_models,
        freshness: Arc::new(ReadModels(projector.progress())),
        preview_url,
    };
    let api = api(commands, queries, store, &hub, for_this_host);
    let parts = firefly_gateway::Parts {
        api,
        projects: Arc::new(lookup::Projects(hub.clone())),
    };
    let gateway_config = firefly_gateway::Config::new(args.host.clone(), address.port());
    let gateway = firefly_gateway::build(gateway_config, parts);
    Ok(Services {
        hub,
        progress: progress.subscribe(),
        projector,
        reactor,
        gateway,
        metrics,
    })
}

/// Everything on the app host that is not the console.
pub fn api(
    commands: firefly_command_api::Config,
    queries: firefly_query_api::Config,
    store: &Arc<dyn EventStore>,
    hub: &Hub,
    metrics: Router,
) -> Router {
    firefly_command_api::router(commands, Arc::clone(store))
        .merge(firefly_query_api::router(
            queries,
            Arc::clone(store),
            hub.clone(),
        ))
        .merge(metrics)
        .merge(documents::routes())
}

impl Services {
    /// Runs each role as a task of its own.
    fn run(
        self,
        listeners: Listeners,
        store: Arc<dyn EventStore>,
        shutdown: &CancellationToken,
    ) -> JoinSet<Role> {
        let caught_up = {
            let (hub, head) = (self.hub.clone(), *store.head().borrow());
            let mut leading = self.reactor.leading();
            async move {
                hub.reached(head).await;
                // Where another reactor acts, this one has it much later, or never.
                let leads = leading.wait_for(|leads| *leads);
                let _ = timeout(LEASE_PATIENCE, leads).await;
            }
        };
        let mut roles = JoinSet::new();
        let stop = || shutdown.clone();
        roles.spawn(
            self.hub
                .run(store, self.progress, stop())
                .map(|ended| ("query API", ended.map_err(Into::into))),
        );
        roles.spawn(self.projector.run(stop()).map(|()| ("projector", Ok(()))));
        roles.spawn(
            self.reactor
                .run(stop())
                .map(|ended| ("reactor", ended.map_err(Into::into))),
        );
        roles.spawn(
            self.metrics
                .clone()
                .run(stop())
                .map(|()| ("metrics' upkeep", Ok(()))),
        );
        if let Some(listener) = listeners.metrics {
            let metrics = firefly_gateway::bare(self.metrics.for_everybody());
            let served = metrics.run(listener, stop());
            roles.spawn(served.map(|ended| ("metrics' port", ended.map_err(Into::into))));
        }
        let served = serve(self.gateway, listeners.public, caught_up, stop());
        roles.spawn(served.map(|ended| ("gateway", ended.map_err(Into::into))));
        roles
    }
}

/// Answers nobody before live state knows what the log knew at the start: it would deny projects that there are.
/// Who connects earlier waits in the listener's queue.
async fn serve(
    gateway: Gateway,
    listener: TcpListener,
    caught_up: impl Future<Output = ()>,
    shutdown: CancellationToken,
) -> Result<(), firefly_gateway::Error> {
    match shutdown.run_until_cancelled(caught_up).await {
        Some(()) => gateway.run(listener, shutdown).await,
        None => Ok(()),
    }
}

/// Only this host reaches a loopback address, unless something on it passes requests of others on; that answers to a
/// name of its own. Elsewhere nobody is let in without a sign-in of its own.
fn local_sign_in(args: &Up, address: SocketAddr) -> anyhow::Result<LocalSignIn> {
    let host = &args.host;
    if host != "localhost" && !host.ends_with(".localhost") {
        bail!(
            "others may reach this Firefly by the name {host}, and local sign-in asks nobody for a password; it needs \
             a --host that only this host answers to: localhost, or a name that ends in .localhost"
        );
    }
    Ok(LocalSignIn::new(args.local_user.clone(), address)?)
}

/// Opens what the command line says, if anything, as `firefly open` does.
async fn open(args: &Up, address: SocketAddr) {
    let Some(source) = args.open.clone() else {
        return;
    };
    let request = Open {
        source,
        branch: None,
        client: Client {
            server: app_url(&args.host, address),
            address: Some(address),
            json: args.json,
        },
    };
    // A project that does not open is no reason to end, and has been told of already.
    exit::code(client::open(request).await, args.json);
}

fn app_url(host: &str, address: SocketAddr) -> String {
    format!("http://{host}:{}", address.port())
}

/// The first signal begins an orderly end, the second one ends at once.
fn end_on_signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if shutdown.is_cancelled() {
                std::process::exit(EXIT_INTERRUPTED);
            }
            shutdown.cancel();
        }
    });
    Ok(())
}

struct ReadModels(Progress);

impl Freshness for ReadModels {
    fn reached(&self, position: Position) -> BoxFuture<'static, ()> {
        let mut progress = self.0.clone();
        async move { progress.reached(position).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn up(host: &str) -> Up {
        match Args::parse_from(["firefly", "up", "--host", host]).command {
            Command::Up(up) => up,
            _ => unreachable!("`up` was parsed"),
        }
    }

    #[tokio::test]
    async fn a_role_that_ends_is_noticed_while_something_is_opened() {
        let mut roles = JoinSet::new();
        roles.spawn(async { ("reactor", Ok(())) });
        let ended = until_ended(&mut roles, pending(), &CancellationToken::new()).await;
        assert_eq!(ended.unwrap().unwrap().0, "reactor");
    }

    #[tokio::test]
    async fn the_shutdown_ends_what_is_being_opened() {
        let mut roles = JoinSet::new();
        roles.spawn(pending());
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let ended = until_ended(&mut roles, pending(), &shutdown).await;
        assert!(ended.is_none());
    }

    #[tokio::test]
    async fn the_shutdown_ends_a_gateway_that_still_waits_for_live_state() {
        let secret = tempfile::tempdir().unwrap();
        let secret = Secret::load_or_create(&secret.path().join("secret")).unwrap();
        let hub = Hub::new("", Authenticator::new(Tokens::new(&secret)));
        let parts = firefly_gateway::Parts {
            api: Default::default(),
            projects: Arc::new(lookup::Projects(hub)),
        };
        let gateway =
            firefly_gateway::build(firefly_gateway::Config::new("localhost", 2440), parts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let served = serve(gateway, listener, pending(), shutdown).await;
        assert!(served.is_ok());
    }

    #[test]
    fn local_sign_in_needs_a_name_that_only_this_host_answers_to() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 2440));
        for host in ["localhost", "firefly.localhost"] {
            assert!(local_sign_in(&up(host), loopback).is_ok(), "{host}");
        }
        for host in ["firefly.example.org", "notlocalhost", "localhost.org"] {
            assert!(local_sign_in(&up(host), loopback).is_err(), "{host}");
        }
        let public = SocketAddr::from(([0, 0, 0, 0], 2440));
        assert!(local_sign_in(&up("localhost"), public).is_err());
    }
}
