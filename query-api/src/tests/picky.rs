//! A log whose server takes only positions that it has given itself, as some versions of EventStoreDB do.

use async_trait::async_trait;
use axum::body::Body;
use firefly_event_store::{Error, EventStore, Layer, RecordedEvent};
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::history::in_url;
use super::*;

/// Only even positions are its own.
struct Picky(Arc<dyn EventStore>);

#[async_trait]
impl Layer for Picky {
    fn behind(&self) -> &dyn EventStore {
        &*self.0
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, Error> {
        if !after.number().is_multiple_of(2) {
            return Err(Error::Engine {
                action: "read the log",
                source: "no such position".into(),
            });
        }
        self.0.read_all(after, limit).await
    }
}

impl Live {
    /// Answers queries from another view of the log from now on.
    fn serve_from(&mut self, store: Arc<dyn EventStore>) {
        let preview_url = "http://project.localhost:2440";
        let config = Config {
            authenticator: self.authenticator.clone(),
            auditor: Some(Segment::parse(AUDITOR).unwrap()),
            read_models: self.read_models.clone(),
            freshness: Arc::new(AlwaysFresh),
            logs: Arc::new(Printed::default()),
            preview_url: preview_url.into(),
        };
        let hub = Hub::new(preview_url, self.authenticator.clone());
        self.router = router(config, store, hub);
    }
}

#[tokio::test]
async fn a_time_is_found_where_positions_cannot_be_made_up() {
    let (mut live, _) = Live::of_two_users().await;
    live.serve_from(Arc::new(Picky(Arc::clone(&live.store))));
    for (position, revision) in [(2, 0), (3, 1), (4, 2), (5, 3), (6, 4)] {
        let time = in_url(live.time_of(position).await);
        let path = format!("projects/{}?at={time}", app());
        let project = live.answer("alice", &path).await;
        assert_eq!(project["revision"], revision, "{project}");
    }
}

#[tokio::test]
async fn an_export_that_fails_is_broken_off() {
    let (mut live, _) = Live::of_two_users().await;
    live.serve_from(Arc::new(Picky(Arc::clone(&live.store))));
    for (from, is_whole) in [(3, true), (4, false)] {
        let request = Request::get(format!("/api/v1/events?from={from}"))
            .header("authorization", format!("Bearer {}", live.token(AUDITOR)))
            .body(Body::empty())
            .unwrap();
        let response = live.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await;
        assert_eq!(body.is_ok(), is_whole, "from {from}");
    }
}
