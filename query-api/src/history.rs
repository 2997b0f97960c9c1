//! `…/history`: everything that happened to a project, from the log itself.

use axum::Json;
use axum::extract::State;
use firefly_domain::{Aggregate, Project, ProjectKey};
use firefly_event_store::{DomainEvent, Revision, StreamId};
use firefly_web::{Caller, Problem, ProjectPath};
use http::StatusCode;
use serde::Serialize;

use crate::App;
use crate::error::Error;
use crate::view::EventView;

/// Events read at a time.
const PAGE_EVENTS: usize = 512;

/// Events in one answer; the newest are kept.
const EVENTS_MAX: usize = 5_000;

#[derive(Serialize)]
pub struct History {
    events: Vec<EventView>,
    /// Whether older events were left out.
    truncated: bool,
    position: u64,
}

pub async fn of_project(
    State(app): State<App>,
    caller: Caller,
    ProjectPath(key): ProjectPath,
) -> Result<Json<History>, Error> {
    caller.may_use(&key)?;
    let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
    let mut events = Vec::new();
    let mut truncated = false;
    let mut from = Revision::FIRST;
    loop {
        let page = app
            .store
            .read_stream(&stream, from, PAGE_EVENTS)
            .await
            .map_err(|error| Error::log(&error))?;
        for recorded in &page {
            // One event of a newer Firefly hides none of the others.
            let view = match DomainEvent::decode(recorded) {
                Ok(decoded) => decoded.map(|decoded| EventView::new(recorded, &decoded)),
                Err(error) => {
                    tracing::warn!(%error, stream = %stream, "an event is shown as it is, since it cannot be read");
                    Some(EventView::unreadable(recorded))
                }
            };
            events.extend(view);
        }
        if events.len() > EVENTS_MAX {
            events.drain(..events.len() - EVENTS_MAX);
            truncated = true;
        }
        match page.last() {
            Some(last) if page.len() == PAGE_EVENTS => from = last.revision.next(),
            _ => break,
        }
    }
    match events.last().map(|event| event.position) {
        Some(position) => Ok(Json(History {
            events,
            truncated,
            position,
        })),
        None => Err(unknown(&key).into()),
    }
}

/// There is no such project.
pub fn unknown(key: &ProjectKey) -> Problem {
    let detail = format!("{key} was never opened");
    Problem::new(StatusCode::NOT_FOUND, "project-not-found", detail)
}
