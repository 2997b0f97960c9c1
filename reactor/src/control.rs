//! Talking to the project-server in a container, as `firefly_domain::control` lays it down.

use std::time::Duration;

use async_trait::async_trait;
use firefly_domain::Endpoint;
use firefly_domain::control::{Assignment, Claim, Report, Unsaved};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

/// A container is on this host or next to it: it answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

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
        source: reqwest::Error,
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

/// Project-servers over HTTP; they share their connections.
#[derive(Clone, Debug)]
pub struct Clients(Client);

impl Clients {
    /// Sets the clients up.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be made.
    pub fn build() -> Result<Self, reqwest::Error> {
        Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            // It may be strangers' code that answers: it does not get to say where to ask next.
            .redirect(Policy::none())
            .build()
            .map(Self)
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
    client: Client,
    endpoint: Endpoint,
    key: String,
}

#[async_trait]
impl ProjectServer for HttpProjectServer {
    async fn ping(&self) -> Result<(), Error> {
        let request = self.request(Method::GET, "ping").timeout(CONNECT_TIMEOUT);
        self.send(request, "whether it is there").await.map(drop)
    }

    async fn claim(&self, control_key: &str) -> Result<(), Error> {
        let claim = Claim {
            control_key: control_key.to_owned(),
        };
        let request = self
            .request(Method::POST, "claim")
            .timeout(REQUEST_TIMEOUT)
            .json(&claim);
        self.send(request, "to take a key").await.map(drop)
    }

    async fn assign(&self, assignment: &Assignment) -> Result<(), Error> {
        let request = self
            .request(Method::POST, "assignment")
            .timeout(REQUEST_TIMEOUT)
            .json(assignment);
        self.send(request, "its assignment").await.map(drop)
    }

    async fn reports(&self, after: u64) -> Result<Reports, Error> {
        let request = self.request(Method::GET, &format!("reports?after={after}"));
        let response = self.send(request, "for its reports").await?;
        let reader = StreamReader::new(response.bytes_stream().map_err(std::io::Error::other));
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
        let request = self
            .request(Method::POST, "shutdown")
            .timeout(SHUTDOWN_TIMEOUT);
        let mut response = self.send(request, WHAT).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.failed(WHAT, source))?
        {
            if body.len() + chunk.len() > REPORT_BYTES_MAX {
                return Err(Error::TooLong {
                    endpoint: self.endpoint.clone(),
                });
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|source| Error::Report {
            endpoint: self.endpoint.clone(),
            source,
        })
    }
}

impl HttpProjectServer {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(
                method,
                format!("http://{}/control/v1/{path}", self.endpoint),
            )
            .bearer_auth(&self.key)
    }

    async fn send(
        &self,
        request: RequestBuilder,
        what: &'static str,
    ) -> Result<reqwest::Response, Error> {
        let response = request
            .send()
            .await
            .map_err(|source| self.failed(what, source))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(Error::Refused {
                endpoint: self.endpoint.clone(),
                what,
                status,
            }),
        }
    }

    fn failed(&self, what: &'static str, source: reqwest::Error) -> Error {
        Error::Request {
            endpoint: self.endpoint.clone(),
            what,
            source,
        }
    }
}
