//! What the gateway must be told, and the bounds it keeps.

use std::time::Duration;

/// The port that browsers leave out of a URL.
const HTTP_PORT: u16 = 80;

/// How a gateway appears to the world, and its bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The app's domain, in lower case; previews are on `project.<host>`.
    pub host: String,
    /// The port browsers use, which stands in links and origins.
    pub public_port: u16,
    /// The bounds.
    pub limits: Limits,
}

impl Config {
    /// A gateway over plain HTTP with the usual bounds.
    pub fn new(host: impl Into<String>, public_port: u16) -> Self {
        Self {
            host: host.into().to_ascii_lowercase(),
            public_port,
            limits: Limits::default(),
        }
    }

    /// Whether this gateway serves the machine it runs on, so that loopback addresses name it too.
    pub(crate) fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.ends_with(".localhost")
    }

    /// The host of previews.
    pub(crate) fn preview_host(&self) -> String {
        format!("project.{}", self.host)
    }

    /// The origin of a host behind the public port, as browsers write it.
    pub(crate) fn origin_of(&self, host: &str) -> String {
        if self.public_port == HTTP_PORT {
            format!("http://{host}")
        } else {
            format!("http://{host}:{}", self.public_port)
        }
    }
}

/// The bounds a gateway keeps. [`Limits::default`] suits one machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Client connections open at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Requests to containers under way at once; more wait shortly, then get 503.
    pub upstream_requests: usize,
    /// The same for one container, so that one that does not answer leaves the others theirs.
    pub upstream_requests_per_container: usize,
    /// WebSockets to containers open at once; more get 503.
    pub tunnels: usize,
    /// The same for one container.
    pub tunnels_per_container: usize,
    /// Bytes of one request's body; more get 413.
    pub request_body_bytes: usize,
    /// How long a client may take over one request's head, idle time between requests included.
    pub header_read: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub write_stall: Duration,
    /// Requests that wait at once until their project is awake; more get 503.
    pub waking_requests: usize,
    /// How long a request waits until its project is awake.
    pub wake: Duration,
    /// How long a container may take to accept a connection.
    pub connect: Duration,
    /// How long a container may take to begin its answer.
    pub response_headers: Duration,
    /// How long a container may send nothing in the middle of its answer; then the answer is broken off.
    pub response_idle: Duration,
    /// How long a WebSocket to a container may stay without a byte in either direction.
    pub tunnel_idle: Duration,
    /// How long requests under way may go on after shutdown began.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // With a tunnel or a request behind each, still below the usual 16,384 descriptors of a service.
            connections: 4_096,
            // A page of Montage fetches 140 files over six connections; this serves 80 such browsers at once.
            upstream_requests: 512,
            // Ten browsers at one project.
            upstream_requests_per_container: 64,
            tunnels: 1_024,
            tunnels_per_container: 128,
            request_body_bytes: 16 * 1_024 * 1_024,
            header_read: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            waking_requests: 512,
            // A project that was stopped has to be started first.
            wake: Duration::from_secs(15),
            connect: Duration::from_secs(2),
            response_headers: Duration::from_secs(30),
            response_idle: Duration::from_secs(30),
            // Preview pages in hidden tabs say nothing for long.
            tunnel_idle: Duration::from_secs(60 * 60),
            shutdown: Duration::from_secs(5),
        }
    }
}
