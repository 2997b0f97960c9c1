//! `/api/v1/live`: a WebSocket that gives a snapshot, then every change once and in order.
//!
//! A client that was cut off comes back with `after=<position>` and gets what it missed from the log, in the same form.
//! A client that reads too slowly is closed with a position to come back with; it is never served with holes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use firefly_domain::control::ProjectProgress;
use firefly_domain::{ProjectId, Segment};
use firefly_event_store::{DomainEvent, EventStore, Position, Revision, StreamId};
use firefly_identity::Identity;
use firefly_web::Problem;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval_at, timeout};

use crate::App;
use crate::error::Error;
use crate::hub::{self, Change, Folded};
use crate::view::{EventView, ProjectView};

/// How often a silent socket says that it is alive; also how often the token is looked at again.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// How long one message may wait for a client to read it.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a resumption may wait for a position that the log has and live state has not reached yet.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Clients have nothing to say here but pings and closes.
const CLIENT_MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Events read at a time when a client resumes.
const PAGE_EVENTS: usize = 512;

#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// A browser cannot set headers on a WebSocket, so the token comes here.
    token: Option<String>,
    /// The position the client has seen; without it, it gets a snapshot.
    after: Option<u64>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Outgoing<'a> {
    Snapshot {
        position: u64,
        projects: &'a [ProjectView],
    },
    Change {
        position: u64,
        project: &'a ProjectView,
        event: &'a EventView,
    },
    Progress {
        project: String,
        generation: u64,
        step: &'static str,
        done: u64,
        total: Option<u64>,
        text: String,
    },
    Heartbeat {
        position: u64,
    },
}

/// Why a socket is closed.
#[derive(Debug)]
enum Close {
    /// The client is gone, or does not read.
    Gone,
    /// The client read too slowly; it comes back with the position it has seen.
    Behind,
    /// The token is no longer good.
    SignedOut,
    /// Firefly stops.
    Stopping,
    /// The log cannot be read.
    Failed(Error),
}

pub async fn open(
    State(app): State<App>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let Query(parameters) = parameters.map_err(|error| Problem::malformed(error.body_text()))?;
    let token = parameters.token.ok_or_else(token_missing)?;
    let identity = app.config.authenticator.verify(&token)?;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let after = parameters.after.map(Position::new);
    if let Some(after) = after {
        app.wait_for(after).await?;
    }
    let place = Arc::clone(&app.live_places)
        .try_acquire_owned()
        .map_err(|_| Error::too_many_sockets())?;
    let upgrade = upgrade
        .max_message_size(CLIENT_MESSAGE_BYTES_MAX)
        .max_frame_size(CLIENT_MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(async move |socket| {
        let _place = place;
        let mut subscriber = Subscriber {
            app,
            socket,
            identity,
            token,
            seen: Position::START,
        };
        let close = subscriber.serve(after).await;
        subscriber.close(close).await;
    }))
}

impl App {
    async fn wait_for(&self, after: Position) -> Result<(), Error> {
        self.has_position(after)?;
        timeout(CATCH_UP_TIMEOUT, self.hub.reached(after))
            .await
            .map_err(|_| Error::behind())
    }
}

struct Subscriber {
    app: App,
    socket: WebSocket,
    identity: Identity,
    token: String,
    /// The position behind which the client has seen nothing.
    seen: Position,
}

impl Subscriber {
    async fn serve(&mut self, after: Option<Position>) -> Close {
        match self.run(after).await {
            Ok(never) => match never {},
            Err(close) => close,
        }
    }

    async fn run(&mut self, after: Option<Position>) -> Result<std::convert::Infallible, Close> {
        let mut progress = self.app.config.progress.subscribe();
        let user = self.identity.user.clone();
        let (position, projects, mut changes) =
            self.app.hub.subscribe(|project| sees(&user, project));
        match after {
            None => {
                self.send(&Outgoing::Snapshot {
                    position: position.number(),
                    projects: &projects,
                })
                .await?
            }
            Some(after) => self.catch_up(after, position).await?,
        }
        self.seen = position;
        drop(projects);
        let shutdown = self.app.config.shutdown.clone();
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT_INTERVAL, HEARTBEAT_INTERVAL);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => self.pass_on(&change).await?,
                    Err(RecvError::Lagged(_)) => return Err(Close::Behind),
                    Err(RecvError::Closed) => return Err(Close::Stopping),
                },
                Ok(step) = progress.recv() => self.pass_on_progress(step).await?,
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Close::Gone),
                    Some(Ok(_)) => {}
                },
                _ = heartbeat.tick() => {
                    if self.app.config.authenticator.verify(&self.token).is_err() {
                        return Err(Close::SignedOut);
                    }
                    self.send(&Outgoing::Heartbeat { position: self.seen.number() }).await?;
                }
                () = shutdown.cancelled() => return Err(Close::Stopping),
            }
        }
    }

    async fn pass_on(&mut self, change: &Change) -> Result<(), Close> {
        if sees(&self.identity.user, &change.project) {
            let position = change.position.number();
            self.send(&Outgoing::Change {
                position,
                project: &change.project,
                event: &change.event,
            })
            .await?;
        }
        self.seen = change.position;
        Ok(())
    }

    async fn pass_on_progress(&mut self, step: ProjectProgress) -> Result<(), Close> {
        if step.project.user != self.identity.user {
            return Ok(());
        }
        self.send(&Outgoing::Progress {
            project: step.project.to_string(),
            generation: step.generation.number(),
            step: step.progress.step.as_str(),
            done: step.progress.done,
            total: step.progress.total,
            text: step.progress.text,
        })
        .await
    }

    /// What happened behind `after`, up to the position where the live changes take over.
    async fn catch_up(&mut self, after: Position, until: Position) -> Result<(), Close> {
        let mut projects: HashMap<ProjectId, Folded> = HashMap::new();
        let mut reached = after;
        while reached < until {
            let page = self
                .app
                .store
                .read_all(reached, PAGE_EVENTS)
                .await
                .map_err(failed)?;
            for recorded in page
                .into_iter()
                .take_while(|recorded| recorded.position <= until)
            {
                reached = recorded.position;
                // What the snapshot leaves out is left out here as well.
                let read = hub::project_of(&recorded)
                    .is_some_and(|project| !self.app.hub.is_unreadable(project));
                if !read {
                    continue;
                }
                let decoded = DomainEvent::decode(&recorded).map_err(unreadable)?;
                let Some(decoded @ DomainEvent::Project(id, event)) = &decoded else {
                    continue;
                };
                if !projects.contains_key(id) {
                    projects.insert(*id, fold_before(&*self.app.store, &recorded).await?);
                }
                let Some(folded) = projects.get_mut(id) else {
                    continue;
                };
                folded.take(&recorded, event);
                if let Some(project) = folded.view(self.app.hub.preview_url()) {
                    let event = EventView::new(&recorded, decoded);
                    self.pass_on(&Change {
                        position: recorded.position,
                        project,
                        event,
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    async fn send(&mut self, message: &Outgoing<'_>) -> Result<(), Close> {
        let text = serde_json::to_string(message)
            .map_err(|source| Close::Failed(Error::internal(&source)))?;
        match timeout(SEND_TIMEOUT, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Close::Gone),
        }
    }

    async fn close(mut self, close: Close) {
        let (code, reason) = match close {
            Close::Gone => return,
            Close::Behind => (
                close_code::AGAIN,
                format!("too slow; come back with after={}", self.seen),
            ),
            Close::SignedOut => (
                close_code::POLICY,
                "the token is no longer good; sign in again".to_owned(),
            ),
            Close::Stopping => (
                close_code::RESTART,
                format!("Firefly stops; come back with after={}", self.seen),
            ),
            Close::Failed(error) => {
                tracing::error!(?error, "a live socket failed");
                (
                    close_code::ERROR,
                    format!("live state failed; come back with after={}", self.seen),
                )
            }
        };
        let frame = Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }));
        // The client may be gone by now.
        let _ = timeout(SEND_TIMEOUT, self.socket.send(frame)).await;
    }
}

/// A project as it was before an event.
async fn fold_before(
    store: &dyn EventStore,
    first: &firefly_event_store::RecordedEvent,
) -> Result<Folded, Close> {
    let mut folded = Folded::before(first);
    let mut from = Revision::FIRST;
    while from < first.revision {
        let stream: &StreamId = &first.stream;
        let page = store
            .read_stream(stream, from, PAGE_EVENTS)
            .await
            .map_err(failed)?;
        if page.is_empty() {
            break;
        }
        for recorded in page
            .iter()
            .take_while(|recorded| recorded.revision < first.revision)
        {
            if let Some(DomainEvent::Project(_, event)) =
                DomainEvent::decode(recorded).map_err(unreadable)?
            {
                folded.take(recorded, &event);
            }
        }
        from = page
            .last()
            .map_or(first.revision, |recorded| recorded.revision.next());
    }
    Ok(folded)
}

fn token_missing() -> Problem {
    let detail = "send a token as ?token=; sessions/start gives one";
    Problem::new(StatusCode::UNAUTHORIZED, "token-missing", detail)
}

fn sees(user: &Segment, project: &ProjectView) -> bool {
    project.user == user.as_str()
}

fn failed(error: firefly_event_store::Error) -> Close {
    Close::Failed(Error::log(&error))
}

fn unreadable(error: firefly_event_store::DecodeError) -> Close {
    Close::Failed(Error::internal(&error))
}
