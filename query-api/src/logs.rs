//! `…/logs`: what a project's container prints, with npm's and git's own output in it, line by line.
//!
//! Lines are fetched as they are read: a slow reader costs a connection and a line, and one that takes nothing at all is cut by the
//! gateway. Who follows is looked at again at each heartbeat, since a sign-in may end in the meantime.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use firefly_domain::ProjectKey;
use firefly_web::caller::bearer;
use firefly_web::path::ProjectNames;
use firefly_web::{Authenticator, Caller, Problem, ProjectPath};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::error::Error;
use crate::history::unknown;
use crate::live::room::Room;
use crate::parameters::Parameters;
use crate::terms::LogSource;

/// Readers at once. Each is one of the gateway's 4,096 connections, and where containers have an engine a connection to that.
pub const READERS_MAX: usize = 256;

/// Those of one user, unless it is the one whose machine it is.
const USER_READERS_MAX: usize = 16;

/// The most lines that may be asked for by their number.
const TAIL_MAX: usize = 100_000;

/// Lines that are sent at once if they are there.
const LINES_AT_ONCE: usize = 64;

/// An empty line says that nothing was printed for so long, and finds readers who are gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long live state may need for what the log had when it was asked.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(1);

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Which lines of a project are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether to go on with what comes, and with the containers that take the place of this one.
    pub follow: bool,
    /// Only so many of the last lines that there are.
    pub tail: Option<usize>,
    /// Only lines behind this time.
    pub after: Option<DateTime<Utc>>,
}

/// A line that a container printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LogLine)]
pub struct Line {
    /// When.
    pub time: DateTime<Utc>,
    /// Which opening of the project the container is of.
    pub generation: u64,
    /// The container's own streams, or the program in it.
    #[schema(value_type = LogSource)]
    pub stream: &'static str,
    /// Of at most 8 KiB; what was cut ends with `…`, and passwords in URLs are masked.
    pub text: String,
}

/// What runs containers does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the output of a container cannot be read")]
pub struct Unreadable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Lines, oldest first.
pub type Lines = BoxStream<'static, Result<Line, Unreadable>>;

/// Where the output of containers is to be had.
pub trait Logs: Send + Sync + 'static {
    /// Begins to read the lines of a project's container; without one there are none, and with `follow` they are waited for. They
    /// end when Firefly does.
    fn read(
        &self,
        key: ProjectKey,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Lines, Unreadable>>;
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// Whether to go on with what comes, without an end.
    #[serde(default)]
    follow: bool,
    /// Only so many of the last lines.
    #[param(minimum = 0, maximum = 100_000)]
    tail: Option<usize>,
    /// Only lines behind this time: that of the last line, to go on from there.
    after: Option<DateTime<Utc>>,
}

/// What the container of a project prints, with npm's and git's output told apart; one that was removed has taken its output along.
///
/// With `follow` the lines go on, also from the containers that take the place of this one. Then an empty line comes
/// whenever nothing else has for 15 seconds.
#[utoipa::path(
    get, path = "/projects/{user}/{owner}/{repo}/logs", operation_id = "read_logs", tag = "live",
    params(ProjectNames, Asked),
    responses((status = 200, body = Line, content_type = "application/x-ndjson", description = "One object of this form a line, oldest first.")),
    extensions(("x-refusals" = json!(["400 malformed", "401 session-over", "401 token-expired", "401 token-invalid",
        "401 token-missing", "403 not-an-auditor", "404 project-not-found", "429 live-too-many", "500 internal",
        "503 containers-unavailable", "503 live-busy"]))),
)]
pub(crate) async fn of_project(
    State(app): State<App>,
    caller: Caller,
    ProjectPath(key): ProjectPath,
    Parameters(asked): Parameters<Asked>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    app.may_read_project(&caller, &key)?;
    if asked.tail.is_some_and(|tail| tail > TAIL_MAX) {
        return Err(Problem::malformed(format!("tail takes 0 to {TAIL_MAX}")).into());
    }
    app.must_be_known(&key).await?;
    let room = app.reader(&caller)?;
    let wanted = Wanted {
        follow: asked.follow,
        tail: asked.tail,
        after: asked.after,
    };
    let lines = app.config.logs.read(key, wanted).await;
    let mut lines = lines.map_err(|error| Error::containers(&error))?;
    if !asked.follow {
        lines = begun(lines).await?;
    }
    let reading = Reading {
        lines: lines.ready_chunks(LINES_AT_ONCE).boxed(),
        broken: None,
        heartbeat: heartbeat(),
        authenticator: app.config.authenticator.clone(),
        token: bearer(&headers).unwrap_or_default().to_owned(),
        _room: room,
    };
    let chunks = stream::unfold(reading, |mut reading| async move {
        let chunk = reading.next().await?;
        Some((chunk, reading))
    });
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, NDJSON);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl App {
    /// Live state may not have heard yet of a project that was opened a moment ago.
    async fn must_be_known(&self, key: &ProjectKey) -> Result<(), Problem> {
        if self.hub.look(key, |_| ()).is_none() {
            let head = *self.store.head().borrow();
            // It is looked for once more either way.
            let _ = timeout(CATCH_UP_TIMEOUT, self.hub.reached(head)).await;
        }
        let known = self.hub.look(key, |_| ());
        known.ok_or_else(|| unknown(key))
    }

    fn reader(&self, caller: &Caller) -> Result<Room, Error> {
        let most = match self.may_audit(caller) {
            Ok(()) => usize::MAX,
            Err(_) => USER_READERS_MAX,
        };
        self.log_users.enter(&caller.0.user, most, &self.log_places)
    }
}

/// Waits for the first line, so that an engine that does not answer is told by the status.
async fn begun(mut lines: Lines) -> Result<Lines, Error> {
    match lines.next().await {
        Some(Ok(first)) => Ok(stream::once(async { Ok(first) }).chain(lines).boxed()),
        Some(Err(error)) => Err(Error::containers(&error)),
        None => Ok(stream::empty().boxed()),
    }
}

fn heartbeat() -> Interval {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// An answer that is being sent.
struct Reading {
    lines: BoxStream<'static, Vec<Result<Line, Unreadable>>>,
    /// Why there are no more of them.
    broken: Option<Unreadable>,
    heartbeat: Interval,
    authenticator: Authenticator,
    token: String,
    _room: Room,
}

impl Reading {
    /// What is sent next. An answer that has begun can only be broken off.
    async fn next(&mut self) -> Option<Result<Bytes, Unreadable>> {
        if let Some(error) = self.broken.take() {
            return Some(Err(error));
        }
        tokio::select! {
            biased;
            _ = self.heartbeat.tick() => {
                self.authenticator.verify(&self.token).ok()?;
                Some(Ok(Bytes::from_static(b"\n")))
            }
            lines = self.lines.next() => Some(Ok(self.written(lines?))),
        }
    }

    /// Lines as they are sent, up to one that could not be read.
    fn written(&mut self, lines: Vec<Result<Line, Unreadable>>) -> Bytes {
        let mut output = Vec::new();
        for line in lines {
            match line {
                Ok(line) => {
                    // It has no part that JSON could not hold.
                    let _ = serde_json::to_writer(&mut output, &line);
                    output.push(b'\n');
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the output of a container broke off"
                    );
                    self.broken = Some(error);
                    break;
                }
            }
        }
        output.into()
    }
}
