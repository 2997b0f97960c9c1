//! The client, and what has to be done when it cannot go on.
//!
//! A client whose node is gone or hangs keeps to that node, and one that found no node once never tries again. So it is
//! replaced whenever it fails, and the new one looks for a node afresh.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use eventstore::{Client, ClientSettings, ReadStream};

use crate::store::{Error, engine};

/// How long an answer may take, and of a page each event: a large page may take longer as a whole. The server gives up on a
/// write that finds no quorum after a few seconds by itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before a call is repeated, each time; afterwards its error is the caller's. A new leader is usually
/// elected within a second or two.
const RETRY_DELAYS: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_600),
];

/// A connection to the database, whichever node it is to at the moment.
pub(super) struct Connection {
    settings: ClientSettings,
    patience: Duration,
    current: Mutex<Numbered>,
}

#[derive(Clone)]
struct Numbered {
    client: Client,
    number: u64,
}

impl Connection {
    /// Takes a connection string; nothing is connected yet.
    pub(super) fn new(url: &str, patience: Duration) -> Result<Self, Error> {
        // The parser's own error repeats the whole string, with its password.
        let settings = ClientSettings::from_str(url).map_err(|_| Error::Engine {
            action: "read its connection string",
            source: "it should be like esdb://USER:PASSWORD@HOST:2113?tls=true".into(),
        })?;
        let client = client(&settings)?;
        Ok(Self {
            settings,
            patience,
            current: Mutex::new(Numbered { client, number: 0 }),
        })
    }

    /// Calls the server, and again if the connection or the leader was lost, or no answer came. Calls are repeatable: an
    /// append carries its event ids.
    pub(super) async fn call<T, F>(
        &self,
        call: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T, eventstore::Error>
    where
        F: Future<Output = Result<T, eventstore::Error>> + Send,
        T: Send,
    {
        self.repeat(|client| in_time(self.patience, call(client)))
            .await
    }

    /// Reads a page, and again from its beginning if the server was lost or fell silent in the middle of it.
    pub(super) async fn read<F>(
        &self,
        begin: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<Vec<eventstore::RecordedEvent>, eventstore::Error>
    where
        F: Future<Output = Result<ReadStream, eventstore::Error>> + Send,
    {
        let patience = self.patience;
        let page = self.repeat(|client| {
            let beginning = begin(client);
            async move {
                let mut events = in_time(patience, beginning).await?;
                let mut page = Vec::new();
                while let Some(resolved) = in_time(patience, events.next()).await? {
                    page.extend(resolved.event);
                }
                Ok(page)
            }
        });
        page.await
    }

    async fn repeat<T, F>(
        &self,
        call: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T, eventstore::Error>
    where
        F: Future<Output = Result<T, eventstore::Error>> + Send,
        T: Send,
    {
        let mut delays = RETRY_DELAYS.into_iter();
        loop {
            let used = self.current();
            let error = match call(used.client).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if is_lost(&error) {
                self.replace(used.number);
            }
            let repeatable = is_lost(&error) || is_led_elsewhere(&error);
            match delays.next().filter(|_| repeatable) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
        }
    }

    /// The client of the moment.
    pub(super) fn client(&self) -> Client {
        self.current().client
    }

    /// Gives the client up, unless somebody did so before.
    fn replace(&self, number: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == number {
            match client(&self.settings) {
                Ok(client) => current.client = client,
                Err(error) => tracing::error!(?error, "the event log's client was not replaced"),
            }
            current.number += 1;
        }
    }

    fn current(&self) -> Numbered {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings hold a password.
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

fn client(settings: &ClientSettings) -> Result<Client, Error> {
    Client::new(settings.clone()).map_err(engine("make a client for its server"))
}

async fn in_time<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, eventstore::Error>>,
) -> Result<T, eventstore::Error> {
    let answer = tokio::time::timeout(patience, call).await;
    answer.unwrap_or(Err(eventstore::Error::DeadlineExceeded))
}

/// A node that says nothing is lost, too: it may have hung without closing its connections.
fn is_lost(error: &eventstore::Error) -> bool {
    matches!(
        error,
        eventstore::Error::ServerError(_)
            | eventstore::Error::ConnectionClosed
            | eventstore::Error::GrpcConnectionError(_)
            | eventstore::Error::DeadlineExceeded
    ) && !is_no_position(error)
}

/// Whether nothing begins at the position that was asked for. Servers have said so in several ways.
pub(super) fn is_no_position(error: &eventstore::Error) -> bool {
    match error {
        eventstore::Error::Grpc { message, .. } => says_no_position(message),
        eventstore::Error::ServerError(message) => {
            says_no_position(message) || message.contains("ReadAllResult")
        }
        _ => false,
    }
}

fn says_no_position(message: &str) -> bool {
    message.to_ascii_lowercase().contains("invalid position")
}

const fn is_led_elsewhere(error: &eventstore::Error) -> bool {
    matches!(error, eventstore::Error::NotLeaderException(_))
}

/// The error of a server that could not do something, with what to do about it where that is known.
pub(super) fn failed(action: &'static str) -> impl Fn(eventstore::Error) -> Error {
    move |error| {
        let source = match &error {
            eventstore::Error::AccessDenied => {
                "its server refuses the user; check the name and the password in the connection string, and that the \
                 user may read $all: as one of $admins, or by the access control list of $all"
                    .into()
            }
            eventstore::Error::ResourceDeleted => {
                "a stream of Firefly's was deleted on the server; restore the database".into()
            }
            eventstore::Error::Grpc { message, .. } if says_too_large(message) => format!(
                "its server takes smaller appends only ({message}); start it with a MaxAppendSize of 16777216"
            )
            .into(),
            _ => error.into(),
        };
        Error::Engine { action, source }
    }
}

fn says_too_large(message: &str) -> bool {
    message.to_ascii_lowercase().contains("append size")
}
