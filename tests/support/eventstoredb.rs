//! A stand-in for an EventStoreDB or KurrentDB server. It is not one: it keeps its events in memory, and it speaks just as
//! much of the v1 gRPC protocol as an event log needs.
//!
//! It is written after the protocol files that the official clients publish, and holds to what the servers' documentation
//! says of them: expected revisions, idempotence by event id, reads and subscriptions of streams and of `$all`, positions
//! with gaps that no read can begin in, events of the server's own in between, a limit on the size of an append, basic
//! authentication, TLS, a follower that names its leader to whoever wants just that one, and gossip. What a real server does
//! beyond that, only a real server can show.

#[path = "eventstoredb/cluster.rs"]
mod cluster;
#[path = "eventstoredb/log.rs"]
mod log;
#[path = "eventstoredb/messages.rs"]
mod messages;
#[path = "eventstoredb/routes.rs"]
mod routes;
#[path = "eventstoredb/service.rs"]
mod service;

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use cluster::Shared;

/// How long it may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// How the stand-in is to behave.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// The name and the password that it wants, if it wants any.
    pub user: Option<(String, String)>,
    /// Its certificate and key, if it speaks TLS.
    pub identity: Option<(String, String)>,
    /// The ports of a cluster's members, the leader first. Whoever is not the leader refuses to write, and to
    /// read if the client wants the leader.
    pub cluster: Vec<u16>,
    /// Bytes that an append may have; the real servers' default if none is given.
    pub append_bytes_max: Option<usize>,
    /// Whether it keeps to itself where the events of a stream stand among all, as servers before 22.6 do.
    pub hides_positions: bool,
    /// How long it waits before each event of a page, if it does.
    pub pause: Option<Duration>,
    /// Whether its subscriptions tell nothing, and do not end either.
    pub mutes_subscriptions: bool,
}

/// A stand-in that runs, or that was stopped and keeps its events.
pub struct StandIn {
    port: u16,
    shared: Arc<Shared>,
    behaviour: Behaviour,
    /// Dropping it cuts every connection.
    running: Option<Runtime>,
}

impl StandIn {
    /// Starts one on a free port of the loopback address.
    pub fn start() -> Self {
        Self::start_with(free_port(), Behaviour::default())
    }

    /// Starts one that behaves in a particular way.
    pub fn start_with(port: u16, behaviour: Behaviour) -> Self {
        let shared = Arc::new(Shared::new(port, &behaviour));
        Self::sharing(port, behaviour, shared)
    }

    /// Starts another member of this one's cluster, which has the same events.
    pub fn start_member(&self, port: u16) -> Self {
        let shared = Arc::new(self.shared.member(port));
        Self::sharing(port, self.behaviour.clone(), shared)
    }

    fn sharing(port: u16, behaviour: Behaviour, shared: Arc<Shared>) -> Self {
        let mut stand_in = Self {
            port,
            shared,
            behaviour,
            running: None,
        };
        stand_in.resume();
        stand_in
    }

    /// The connection string for it, without TLS.
    pub fn url(&self) -> String {
        format!(
            "esdb://127.0.0.1:{}?tls=false&discoveryInterval=20",
            self.port
        )
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections and listens no more.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            // A runtime is not waited for from within another.
            let ended = thread::spawn(move || running.shutdown_timeout(STOP_DEADLINE));
            ended.join().expect("the stand-in does not stop");
        }
    }

    /// Listens again, on the same port.
    pub fn resume(&mut self) {
        let runtime = Runtime::new().expect("no runtime for the stand-in");
        let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("its port is taken");
        listener
            .set_nonblocking(true)
            .expect("no nonblocking listener");
        let mut server = Server::builder();
        if let Some((certificate, key)) = &self.behaviour.identity {
            // Whoever is first decides for the process; it may have been the client.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
            server = server.tls_config(tls).expect("its certificate is refused");
        }
        let routes = Routes::from(routes::router(&self.shared));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("no listener");
            // As the real servers do; their answers are small.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            server
                .add_routes(routes)
                .serve_with_incoming(incoming)
                .await
        });
        self.running = Some(runtime);
    }

    /// Ends all subscriptions without an error, as a proxy in between may.
    pub fn end_subscriptions(&self) {
        self.shared.end_subscriptions();
    }

    /// Reads and subscriptions that other members than the leader answered, since the client did not want just that one.
    pub fn reads_of_followers(&self) -> usize {
        self.shared.reads_of_followers()
    }

    /// Subscriptions that there are now.
    pub fn subscriptions(&self) -> usize {
        self.shared.subscriptions()
    }

    /// Leaves the next calls without an answer: appends happen, and pages end after their first event.
    pub fn leave_unanswered(&self, calls: usize) {
        self.shared.leave_unanswered(calls);
    }

    /// Makes another member the leader.
    pub fn lead_by(&self, port: u16) {
        self.shared.lead_by(port);
    }

    /// Writes an event as another program would, with metadata.
    pub fn write_foreign(&self, stream: &str, event_type: &str, metadata: &str) {
        self.shared
            .write_foreign(stream, event_type, metadata, "{}");
    }

    /// Writes an event as another program would, with a payload.
    pub fn write_data(&self, stream: &str, event_type: &str, data: &str) {
        self.shared.write_foreign(stream, event_type, "", data);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown_background();
        }
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("no free port");
    listener.local_addr().expect("it has an address").port()
}
