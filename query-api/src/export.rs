//! `/events`: events as they were recorded, for other programs, in as much memory as a page of them needs.

mod format;
mod forms;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use firefly_domain::Segment;
use firefly_event_store::{Error as LogError, EventStore, RecordedEvent};
use firefly_web::Caller;
use futures::stream;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use crate::App;
use crate::error::Error;
use crate::history::filter::Filter;
use crate::parameters::Parameters;
use crate::reading::{Order, Pages};
use crate::subjects::Subjects;
use format::Format;
use forms::{CloudEvent, ExportedEvent};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Only this project, as `user/owner/repo`.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){2}$")]
    project: Option<String>,
    /// Only projects and sessions of this user.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    user: Option<String>,
    /// Only this session.
    #[param(format = Uuid)]
    session: Option<String>,
    /// From this moment on.
    #[param(value_type = Option<crate::terms::Moment>, inline)]
    from: Option<String>,
    /// Up to this moment; the end that the log has now, without it.
    #[param(value_type = Option<crate::terms::Moment>, inline)]
    to: Option<String>,
    /// `json`, `ndjson` or `cloudevents`; what `Accept` says, without it.
    #[param(value_type = Option<crate::terms::ExportFormat>, inline)]
    format: Option<String>,
}

/// Events that are being sent.
struct Export {
    store: Arc<dyn EventStore>,
    pages: Pages,
    subjects: Subjects,
    /// Only about this user.
    user: Option<Segment>,
    format: Format,
    stage: Stage,
    _place: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Beginning,
    FirstEvent,
    FurtherEvents,
    Over,
}

/// Events as they were recorded, for other programs, up to the end that the log has now.
#[utoipa::path(
    get, path = "/events", operation_id = "export_events", tag = "history", params(Asked),
    responses((status = 200, description = "All of them, oldest first. An answer that breaks off is not the whole.", content(
        (Vec<ExportedEvent> = "application/json"),
        (String = "application/x-ndjson"),
        (Vec<CloudEvent> = "application/cloudevents-batch+json"),
    ))),
    extensions(("x-refusals" = json!(["400 moment-before-beginning", "400 revision-unknown", "403 not-an-auditor",
        "404 project-not-found", "404 session-not-found", "406 not-acceptable", "503 export-busy", "503 log-unavailable"]))),
)]
pub async fn events(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Error> {
    let format = Format::wanted(asked.format.as_deref(), &headers)?;
    let scope = app
        .scope(
            &caller,
            asked.project.as_deref(),
            asked.session.as_deref(),
            asked.user.as_deref(),
        )
        .await?;
    let bounds = app
        .between(&scope.source, asked.from.as_deref(), asked.to.as_deref())
        .await?;
    let place = Arc::clone(&app.export_places)
        .try_acquire_owned()
        .map_err(|_| Error::too_many_exports())?;
    let export = Export {
        store: Arc::clone(&app.store),
        pages: Pages::new(Arc::clone(&app.store), scope.source, Order::Oldest, bounds),
        subjects: Subjects::default(),
        user: scope.user,
        format,
        stage: Stage::Beginning,
        _place: place,
    };
    let chunks = stream::try_unfold(export, |mut export| async move {
        match export.next().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (chunk, export))),
            // The answer has begun: all that is left is to break it off, so that nobody takes it for the whole.
            Err(error) => {
                tracing::error!(
                    ?error,
                    "an export broke off, since the log could not be read"
                );
                Err(error)
            }
        }
    });
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(format.media_type());
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Export {
    /// What is sent next; nothing behind the end.
    async fn next(&mut self) -> Result<Option<Bytes>, LogError> {
        match self.stage {
            Stage::Over => Ok(None),
            Stage::Beginning => {
                self.stage = Stage::FirstEvent;
                Ok(Some(Bytes::from_static(self.format.beginning().as_bytes())))
            }
            Stage::FirstEvent | Stage::FurtherEvents => match self.pages.next().await? {
                Some(page) => Ok(Some(self.written(&page).await?)),
                None => {
                    self.stage = Stage::Over;
                    Ok(Some(Bytes::from_static(self.format.end().as_bytes())))
                }
            },
        }
    }

    async fn written(&mut self, page: &[RecordedEvent]) -> Result<Bytes, LogError> {
        let log = self.store.id();
        let filter = Filter {
            user: self.user.clone(),
            ..Filter::default()
        };
        let mut output = Vec::new();
        for event in page {
            if filter.user.is_some() {
                let subject = self.subjects.of(&*self.store, event).await?;
                if !filter.wants_about(subject.as_deref()) {
                    continue;
                }
            }
            let is_first = self.stage == Stage::FirstEvent;
            self.format.write(event, &log, is_first, &mut output);
            self.stage = Stage::FurtherEvents;
        }
        Ok(output.into())
    }
}
