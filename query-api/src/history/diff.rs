//! `…/history/diff`: a project at two moments, what is different, and what happened in between.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use firefly_domain::{Aggregate, Project};
use firefly_event_store::{Position, StreamId};
use firefly_web::path::ProjectNames;
use firefly_web::{Caller, Problem, ProjectPath};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::STREAM_EVENTS_MAX;
use super::changes::{self, FieldChange};
use crate::App;
use crate::error::Error;
use crate::moment::Asked as Moment;
use crate::parameters::Parameters;
use crate::reading::{Bounds, Order, Pages, Source};
use crate::view::{EventView, ProjectView};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The earlier moment.
    #[param(value_type = crate::terms::Moment, required = true, inline)]
    from: Option<String>,
    /// The later one; now, without it.
    #[param(value_type = Option<crate::terms::Moment>, inline)]
    to: Option<String>,
}

/// What is different between two moments.
#[derive(Serialize, ToSchema)]
#[schema(as = ProjectDiff)]
pub struct Diff {
    project: String,
    from: End,
    to: End,
    changes: Vec<FieldChange>,
    events: Vec<EventView>,
    /// Whether there are more events in between than these.
    truncated: bool,
}

/// One of the two moments.
#[derive(Serialize, ToSchema)]
#[schema(as = DiffEnd)]
pub struct End {
    /// Where in the log it is.
    position: u64,
    /// The project's last event by then; none if it was not opened yet.
    revision: Option<u64>,
    /// When that was recorded.
    updated_at: Option<DateTime<Utc>>,
}

/// A project at two moments: what is different, and what happened in between.
#[utoipa::path(
    get, path = "/projects/{user}/{owner}/{repo}/history/diff", operation_id = "compare_project", tag = "history",
    params(ProjectNames, Asked),
    responses((status = 200, body = Diff, description = "What is different.")),
    extensions(("x-refusals" = json!(["400 moment-before-beginning", "400 moment-in-future", "400 revision-unknown",
        "403 not-an-auditor", "404 project-not-found", "500 event-unreadable", "503 log-unavailable"]))),
)]
pub async fn of_project(
    State(app): State<App>,
    caller: Caller,
    ProjectPath(key): ProjectPath,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<Diff>, Error> {
    app.may_read_project(&caller, &key)?;
    let from = asked.from.ok_or_else(|| {
        Problem::malformed("from is missing: the position, time or revision to compare with")
    })?;
    let from = Moment::parse("from", &from)?;
    let to = asked.to.map(|to| Moment::parse("to", &to)).transpose()?;
    let stream = StreamId::of(Project::CATEGORY, key.id().as_uuid());
    if app.first_event(&stream).await?.is_none() {
        return Err(super::unknown(&key).into());
    }
    let from = app.moment_of(&stream, from).await?;
    let to = match to {
        Some(to) => app.moment_of(&stream, to).await?,
        None => *app.store.head().borrow(),
    };
    if from > to {
        let detail = format!("from is at position {from}, later than to at {to}; exchange them");
        return Err(Problem::malformed(detail).into());
    }
    let before = app.project_at(&stream, from).await?;
    let after = app.existing_project_at(&key, &stream, to).await?;
    let (events, truncated) = app.in_between(stream, from, to).await?;
    Ok(Json(Diff {
        project: key.to_string(),
        from: End::new(from, before.as_ref()),
        to: End::new(to, Some(&after)),
        changes: changes::between(&fields(&before)?, &fields(&after)?),
        events,
        truncated,
    }))
}

impl App {
    async fn in_between(
        &self,
        stream: StreamId,
        after: Position,
        until: Position,
    ) -> Result<(Vec<EventView>, bool), Error> {
        let source = Source::Stream(stream);
        let bounds = Bounds { after, until };
        let mut pages = Pages::new(Arc::clone(&self.store), source, Order::Oldest, bounds);
        let mut events = Vec::new();
        while let Some(page) = pages.next().await.map_err(|error| Error::log(&error))? {
            for recorded in &page {
                if events.len() == STREAM_EVENTS_MAX {
                    return Ok((events, true));
                }
                events.push(EventView::read(recorded, None));
            }
        }
        Ok((events, false))
    }
}

impl End {
    fn new(position: Position, project: Option<&ProjectView>) -> Self {
        Self {
            position: position.number(),
            revision: project.map(|project| project.revision),
            updated_at: project.map(|project| project.updated_at),
        }
    }
}

fn fields(view: &impl Serialize) -> Result<serde_json::Value, Error> {
    serde_json::to_value(view).map_err(|error| Error::internal(&error))
}
