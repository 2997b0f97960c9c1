//! `/sessions/{id}`: a session as it is, or with `?at=` as it was.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use firefly_domain::session::{self, Event};
use firefly_domain::{Aggregate, Session};
use firefly_event_store::{DomainEvent, EventStore, RecordedEvent};
use firefly_web::{Caller, etag};
use http::HeaderMap;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{At, Failure, fold_before, session_not_yet};
use crate::App;
use crate::conditional::{Known, unless_known};
use crate::error::Error;
use crate::moment::Asked;
use crate::parameters::Parameters;
use crate::terms::{SessionEndReason, SessionState};

/// A session at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    pub id: String,
    pub user: String,
    pub client: String,
    #[schema(value_type = SessionState)]
    pub state: &'static str,
    /// The ids of the projects that its user has in hand.
    pub projects: Vec<String>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    #[schema(value_type = Option<SessionEndReason>)]
    pub end_reason: Option<&'static str>,
    pub revision: u64,
    pub position: u64,
}

/// A session while its events are taken in.
#[derive(Default)]
pub struct SessionFold {
    state: session::State,
    view: Option<SessionView>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it documents what `Path` reads")]
pub struct SessionId {
    /// The session's id.
    #[param(format = Uuid)]
    id: String,
}

/// A session as it is, or with `at` as it was.
#[utoipa::path(
    get, path = "/sessions/{id}", operation_id = "get_session", tag = "queries", params(SessionId, At, Known),
    responses(
        (status = 200, body = SessionView, description = "The session; with `at` without a tag.",
            headers(("ETag" = String, description = "Its revision."))),
        (status = 304, description = "It is as `If-None-Match` says.",
            headers(("ETag" = String, description = "Its revision."))),
    ),
    extensions(("x-refusals" = json!(["400 moment-before-beginning", "400 moment-in-future", "400 revision-unknown",
        "403 not-an-auditor", "404 session-not-found", "500 event-unreadable", "503 log-unavailable"]))),
)]
pub async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Parameters(At { at }): Parameters<At>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let is_now = at.is_none();
    let stream = app.session_stream(&caller, &id).await?;
    let at = match at {
        Some(at) => app.moment_of(&stream, Asked::parse("at", &at)?).await?,
        None => *app.store.head().borrow(),
    };
    match app.session_at(&stream, at).await? {
        Some(session) if is_now => {
            let tag = etag::of(session.revision);
            Ok(unless_known(&headers, &tag, &session))
        }
        Some(session) => Ok(Json(session).into_response()),
        None => {
            let first = app.first_event(&stream).await?;
            Err(session_not_yet(at, first.as_ref()).into())
        }
    }
}

impl SessionFold {
    /// A session as it was before one of its events.
    pub async fn before(store: &dyn EventStore, event: &RecordedEvent) -> Result<Self, Failure> {
        let mut folded = Self::default();
        fold_before(store, event, |recorded, event| {
            if let DomainEvent::Session(_, event) = event {
                folded.take(recorded, event);
            }
        })
        .await?;
        Ok(folded)
    }

    /// Takes an event in. What the state does not keep, since no decision needs it, is kept here.
    pub fn take(&mut self, recorded: &RecordedEvent, event: &Event) {
        match event {
            Event::Started(started) => {
                let id = recorded.stream.uuid().unwrap_or_default();
                self.view = Some(SessionView {
                    id: id.to_string(),
                    user: started.user.to_string(),
                    client: started.client.clone(),
                    state: "active",
                    projects: Vec::new(),
                    started_at: recorded.recorded_at,
                    ended_at: None,
                    end_reason: None,
                    revision: 0,
                    position: 0,
                });
            }
            Event::Ended(ended) => {
                if let Some(view) = &mut self.view {
                    view.ended_at = Some(recorded.recorded_at);
                    view.end_reason = Some(ended.reason.as_str());
                }
            }
            Event::Joined(_) | Event::Left(_) => {}
        }
        self.state = Session::evolve(std::mem::take(&mut self.state), event);
        if let Some(view) = &mut self.view {
            view.revision = recorded.revision.number();
            view.position = recorded.position.number();
        }
    }

    /// What it has come to; none if it has not begun.
    pub fn view(&self) -> Option<SessionView> {
        let (state, projects) = match &self.state {
            session::State::Absent => return None,
            session::State::Active { projects, .. } => {
                ("active", projects.iter().map(ToString::to_string).collect())
            }
            session::State::Ended => ("ended", Vec::new()),
        };
        let view = self.view.clone()?;
        Some(SessionView {
            state,
            projects,
            ..view
        })
    }
}
