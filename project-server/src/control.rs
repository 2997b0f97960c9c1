//! The reactor's door: the control requests of [`firefly_domain::control`], each with the key.

mod refusal;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use firefly_domain::control::{Assignment, Claim, Report, Unsaved};
use futures::stream;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::files::Files;
use crate::opening::Opening;
use crate::reports::Reports;
use refusal::Refusal;

/// An assignment is a few hundred bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a goodbye may take: less than the reactor waits for it, and with time left for the connections to end.
const GOODBYE_LIMIT: Duration = Duration::from_secs(20);

/// What the control requests act on; cheap to clone.
#[derive(Clone)]
pub(crate) struct Control {
    key_hash: Arc<Mutex<[u8; 32]>>,
    opening: Arc<Opening>,
    work: Arc<Mutex<Work>>,
    pub files: Files,
    /// Cancelled when the program is to end.
    pub closing: CancellationToken,
}

/// The one assignment of this process's life.
#[derive(Default)]
struct Work {
    assignment: Option<Assignment>,
    task: Option<JoinHandle<()>>,
    stopped: bool,
}

impl Control {
    pub(crate) fn new(
        key: &str,
        opening: Opening,
        files: Files,
        closing: CancellationToken,
    ) -> Self {
        Self {
            key_hash: Arc::new(Mutex::new(Sha256::digest(key.as_bytes()).into())),
            opening: Arc::new(opening),
            work: Arc::default(),
            files,
            closing,
        }
    }

    /// Ends what runs, children included, and lets nothing begin any more.
    pub(crate) async fn stop_work(&self) {
        let task = {
            let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            work.stopped = true;
            work.task.take()
        };
        if let Some(task) = task {
            task.abort();
            // It ends by being cancelled; when it has, its children are dead.
            let _ = task.await;
        }
    }

    /// Answers to another key from here on; only before there is anything to do.
    fn claim(&self, key: &str) -> Result<(), Refusal> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = &work.assignment {
            return Err(Refusal::OtherAssignment(present.project.to_string()));
        }
        *self.key_hash() = Sha256::digest(key.as_bytes()).into();
        Ok(())
    }

    fn key_hash(&self) -> MutexGuard<'_, [u8; 32]> {
        self.key_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, assignment: Assignment) -> Result<(), Refusal> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        match &work.assignment {
            Some(present) if *present == assignment => return Ok(()),
            Some(present) => return Err(Refusal::OtherAssignment(present.project.to_string())),
            None if work.stopped => return Err(Refusal::Stopping),
            None => {}
        }
        tracing::info!(
            project.key = %assignment.project,
            generation = assignment.generation.number(),
            source = %assignment.source,
            "assigned"
        );
        self.files
            .project
            .get_or_init(|| assignment.project.clone());
        self.opening.reports.begin(assignment.generation);
        work.assignment = Some(assignment.clone());
        let opening = Arc::clone(&self.opening);
        work.task = Some(tokio::spawn(async move { opening.run(&assignment).await }));
        Ok(())
    }
}

/// The routes below `/control/v1/`, all of them behind the key.
pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/control/v1/ping", get(ping))
        .route("/control/v1/claim", post(claim))
        .route("/control/v1/assignment", post(assign))
        .route("/control/v1/reports", get(reports))
        .route("/control/v1/workspace", get(workspace))
        .route("/control/v1/shutdown", post(shutdown))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(control.clone(), require_key))
        .with_state(control)
}

async fn require_key(State(control): State<Control>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .unwrap_or_default();
    let expected = *control.key_hash();
    if same_key(&expected, given) {
        next.run(request).await
    } else {
        Refusal::Key.into_response()
    }
}

/// Compares hashes to the last byte, so that the time taken tells nothing about the key.
fn same_key(expected: &[u8; 32], given: &[u8]) -> bool {
    let given: [u8; 32] = Sha256::digest(given).into();
    let difference = expected
        .iter()
        .zip(given)
        .fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// Whoever gets here has the key.
async fn ping() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn claim(State(control): State<Control>, body: Bytes) -> Result<StatusCode, Refusal> {
    let claim: Claim = serde_json::from_slice(&body).map_err(Refusal::Malformed)?;
    control.claim(&claim.control_key)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn assign(State(control): State<Control>, body: Bytes) -> Result<StatusCode, Refusal> {
    let assignment = serde_json::from_slice(&body).map_err(Refusal::Malformed)?;
    control.begin(assignment)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn reports(State(control): State<Control>, Query(After { after }): Query<After>) -> Response {
    let follow = Follow::new(
        Arc::clone(&control.opening.reports),
        after,
        control.closing.clone(),
    );
    let lines = stream::unfold(follow, |mut follow| async move {
        let line = follow.next_line().await?;
        Some((line, follow))
    });
    let headers = [(CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::from_stream(lines)).into_response()
}

async fn workspace(State(control): State<Control>) -> Result<Json<Unsaved>, Refusal> {
    let unsaved = control.opening.jobs.inspect().await;
    unsaved.map(Json).map_err(Refusal::Inspect)
}

async fn shutdown(State(control): State<Control>) -> Result<Json<Unsaved>, Refusal> {
    // The server ends even if nobody waits for the answer; otherwise it does when this request is answered.
    let _closing = control.closing.clone().drop_guard();
    let goodbye = async {
        control.stop_work().await;
        control.opening.jobs.inspect().await
    };
    match timeout(GOODBYE_LIMIT, goodbye).await {
        Ok(unsaved) => unsaved.map(Json).map_err(Refusal::Inspect),
        Err(_) => Err(Refusal::Slow),
    }
}

/// One reader of the reports.
struct Follow {
    reports: Arc<Reports>,
    live: broadcast::Receiver<Report>,
    waiting: std::vec::IntoIter<Report>,
    last: u64,
    closing: CancellationToken,
}

impl Follow {
    fn new(reports: Arc<Reports>, after: u64, closing: CancellationToken) -> Self {
        let (kept, live) = reports.since(after);
        Self {
            reports,
            live,
            waiting: kept.into_iter(),
            last: after,
            closing,
        }
    }

    async fn next_line(&mut self) -> Option<Result<Bytes, serde_json::Error>> {
        let report = self.next().await?;
        self.last = self.last.max(report.sequence);
        Some(serde_json::to_vec(&report).map(|mut line| {
            line.push(b'\n');
            line.into()
        }))
    }

    async fn next(&mut self) -> Option<Report> {
        loop {
            if let Some(report) = self.waiting.next() {
                return Some(report);
            }
            let received = tokio::select! {
                biased;
                received = self.live.recv() => received,
                () = self.closing.cancelled() => return None,
            };
            match received {
                Ok(report) => return Some(report),
                // Too slow: what was missed is kept, progress apart.
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let (kept, live) = self.reports.since(self.last);
                    self.waiting = kept.into_iter();
                    self.live = live;
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
