//! Talking to the project-server in a container, as `firefly_domain::control` lays it down.

use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use firefly_domain::Endpoint;
use firefly_domain::control::{Assignment, Claim, Report, Unsaved};
use firefly_endpoint::Connector;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

/// A container is on this host or next to it: it answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Idle connections are closed after this.
const IDLE: Duration = Duration::from_secs(30);

/// How long one that is there may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a short request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a project-server may take to end its work and look at its workspace for the last time.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// A report is a few hundred bytes; a failure's detail may have 2,000 characters.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// Why a project-server did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request failed on its way.
    #[error("the project-server at {endpoint} did not answer {what}")]
    Request {
        /// Where it should be.
        endpoint: Endpoint,
        /// What was asked.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The answer was not there in time.
    #[error("the project-server at {endpoint} did not answer {what} within {} s", .limit.as_secs())]
    TimedOut {
        /// Where it should be.
        endpoint: Endpoint,
        /// What was asked.
        what: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// It refused.
    #[error("the project-server at {endpoint} refused {what} with status {status}")]
    Refused {
        /// Where it is.
        endpoint: Endpoint,
        /// What was asked.
        what: &'static str,
        /// With what.
        status: StatusCode,
    },
    /// The stream of its reports broke.
    #[error("the reports of the project-server at {endpoint} broke off")]
    Stream {
        /// Where it is.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: tokio_util::codec::LinesCodecError,
    },
    /// It answered more than any answer has.
    #[error("the project-server at {endpoint} answered more than {REPORT_BYTES_MAX} bytes")]
    TooLong {
        /// Where it is.
        endpoint: Endpoint,
    },
    /// It reported something that is no report.
    #[error("the project-server at {endpoint} reported something unreadable")]
    Report {
        /// Where it is.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The reports of one project-server, as they come.
pub type Reports = BoxStream<'static, Result<Report, Error>>;

/// A project-server that can be told what to do.
#[async_trait]
pub trait ProjectServer: Send + Sync + 'static {
    /// Sees whether it answers, and knows the key.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    async fn ping(&self) -> Result<(), Error>;

    /// Gives one that was started ahead the key that it answers to from here on.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    async fn claim(&self, control_key: &str) -> Result<(), Error>;

    /// Hands the assignment over; doing it again is fine.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    async fn assign(&self, assignment: &Assignment) -> Result<(), Error>;

    /// What it reports behind a sequence number, for as long as it lives.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    async fn reports(&self, after: u64) -> Result<Reports, Error>;

    /// Ends its work and its life, and says what work is saved nowhere else.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    async fn shutdown(&self) -> Result<Unsaved, Error>;
}

/// Where project-servers are found: over HTTP, unless somebody imitates them.
pub trait ProjectServers: Send + Sync + 'static {
    /// The project-server at an endpoint, with the key of its control port.
    fn at(&self, endpoint: &Endpoint, key: String) -> Box<dyn ProjectServer>;
}

/// Project-servers over HTTP; they share their connections. The client follows no redirect: it may be strangers' code
/// that answers, and it does not get to say where to ask next.
#[derive(Clone, Debug)]
pub struct Clients(Client<Connector, Full<Bytes>>);

impl Clients {
    /// Sets the clients up.
    pub fn new() -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(Connector::new(CONNECT_TIMEOUT));
        Self(client)
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self::new()
    }
}

impl ProjectServers for Clients {
    fn at(&self, endpoint: &Endpoint, key: String) -> Box<dyn ProjectServer> {
        Box::new(HttpProjectServer {
            client: self.0.clone(),
            endpoint: endpoint.clone(),
            key,
        })
    }
}

/// A client of one project-server.
#[derive(Clone, Debug)]
struct HttpProjectServer {
    client: Client<Connector, Full<Bytes>>,
    endpoint: Endpoint,
    key: String,
}

#[async_trait]
impl ProjectServer for HttpProjectServer {
    async fn ping(&self) -> Result<(), Error> {
        const WHAT: &str = "whether it is there";
        let asked = self.ask(Method::GET, "ping", Bytes::new(), WHAT);
        self.within(PING_TIMEOUT, WHAT, asked).await.map(drop)
    }

    async fn claim(&self, control_key: &str) -> Result<(), Error> {
        const WHAT: &str = "to take a key";
        let claim = Claim {
            control_key: control_key.to_owned(),
        };
        let body = serde_json::to_vec(&claim).map_err(|error| self.failed(WHAT, error))?;
        let asked = self.ask(Method::POST, "claim", body.into(), WHAT);
        self.within(REQUEST_TIMEOUT, WHAT, asked).await.map(drop)
    }

    async fn assign(&self, assignment: &Assignment) -> Result<(), Error> {
        const WHAT: &str = "its assignment";
        let body = serde_json::to_vec(assignment).map_err(|error| self.failed(WHAT, error))?;
        let asked = self.ask(Method::POST, "assignment", body.into(), WHAT);
        self.within(REQUEST_TIMEOUT, WHAT, asked).await.map(drop)
    }

    async fn reports(&self, after: u64) -> Result<Reports, Error> {
        const WHAT: &str = "for its reports";
        let path = format!("reports?after={after}");
        let asked = self.ask(Method::GET, &path, Bytes::new(), WHAT);
        // The answer begins at once, and then goes on for as long as there is something to report.
        let response = self.within(REQUEST_TIMEOUT, WHAT, asked).await?;
        let bytes = BodyStream::new(response.into_body())
            .try_filter_map(|frame| std::future::ready(Ok(frame.into_data().ok())))
            .map_err(std::io::Error::other);
        let reader = StreamReader::new(bytes);
        let lines = FramedRead::new(reader, LinesCodec::new_with_max_length(REPORT_BYTES_MAX));
        let endpoint = self.endpoint.clone();
        let reports = lines.map(move |line| match line {
            Ok(line) => serde_json::from_str(&line).map_err(|source| Error::Report {
                endpoint: endpoint.clone(),
                source,
            }),
            Err(source) => Err(Error::Stream {
                endpoint: endpoint.clone(),
                source,
            }),
        });
        Ok(reports.boxed())
    }

    async fn shutdown(&self) -> Result<Unsaved, Error> {
        const WHAT: &str = "to be shut down";
        let asked = async {
            let response = self
                .ask(Method::POST, "shutdown", Bytes::new(), WHAT)
                .await?;
            self.read(response, WHAT).await
        };
        let body = self.within(SHUTDOWN_TIMEOUT, WHAT, asked).await?;
        serde_json::from_slice(&body).map_err(|source| Error::Report {
            endpoint: self.endpoint.clone(),
            source,
        })
    }
}

impl HttpProjectServer {
    /// Asks, and takes nothing but success for an answer.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        what: &'static str,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        let mut key = HeaderValue::try_from(format!("Bearer {}", self.key))
            .map_err(|error| self.failed(what, error))?;
        key.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, key);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let path = format!("/control/v1/{path}");
        firefly_endpoint::direct(&mut request, &self.endpoint, &path)
            .map_err(|error| self.failed(what, error))?;
        let response = self.client.request(request).await;
        let response = response.map_err(|error| self.failed(what, error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(Error::Refused {
                endpoint: self.endpoint.clone(),
                what,
                status,
            }),
        }
    }

    /// Reads an answer to its end.
    async fn read(&self, response: Response<Incoming>, what: &'static str) -> Result<Bytes, Error> {
        let body = Limited::new(response.into_body(), REPORT_BYTES_MAX);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLong {
                endpoint: self.endpoint.clone(),
            }),
            Err(error) => Err(self.failed(what, error)),
        }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        what: &'static str,
        asked: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout(limit, asked).await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                endpoint: self.endpoint.clone(),
                what,
                limit,
            })
        })
    }

    fn failed(
        &self,
        what: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Error {
        Error::Request {
            endpoint: self.endpoint.clone(),
            what,
            source: source.into(),
        }
    }
}
