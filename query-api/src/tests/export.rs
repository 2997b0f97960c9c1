//! Exports, read by the programs that they are for.

use axum::body::Body;
use cloudevents::{AttributesReader, Data, Event as CloudEvent};
use firefly_event_store::store::EVENTS_PER_APPEND_MAX;
use firefly_event_store::transfer::lines;
use firefly_event_store::{Expected, Metadata, NewEvent, StreamId};
use http::Request;
use http_body_util::BodyExt;
use serde_json::value::RawValue;
use tower::ServiceExt;

use super::*;

impl Live {
    /// The status, the content type and the pieces of an answer.
    async fn export(&self, user: &str, query: &str, accept: &str) -> (u16, String, Vec<Vec<u8>>) {
        let request = Request::get(format!("/api/v1/events{query}"))
            .header("authorization", format!("Bearer {}", self.token(user)))
            .header("accept", accept)
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let media_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let mut body = response.into_body();
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.extend(frame.unwrap().into_data().map(|data| data.to_vec()));
        }
        (status, media_type, pieces)
    }

    /// The whole of an answer that must be one.
    async fn exported(&self, query: &str, accept: &str) -> (String, Vec<u8>) {
        let (status, media_type, pieces) = self.export(AUDITOR, query, accept).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&pieces.concat()));
        (media_type, pieces.concat())
    }

    /// Fills a stream with events of some size.
    pub async fn fill(&self, events: usize, bytes: usize) {
        let stream = StreamId::of("filling", &Uuid::nil());
        let data = format!("\"{}\"", "x".repeat(bytes));
        let event = || NewEvent {
            id: firefly_domain::EventId::from_uuid(Uuid::now_v7()),
            event_type: "Filled".into(),
            schema_version: 1,
            data: RawValue::from_string(data.clone()).unwrap(),
            metadata: Metadata {
                actor: Actor::Anonymous,
                correlation_id: Uuid::nil(),
                causation_id: None,
                traceparent: None,
                idempotency: None,
            },
            recorded_at: None,
        };
        let mut last = None;
        for begun in (0..events).step_by(EVENTS_PER_APPEND_MAX) {
            let expected = Expected::after(last);
            let count = EVENTS_PER_APPEND_MAX.min(events - begun);
            let events = (0..count).map(|_| event()).collect();
            let appended = self.store.append(&stream, expected, events).await;
            last = Some(appended.unwrap().revision);
        }
    }
}

#[tokio::test]
async fn a_batch_of_cloudevents_is_read_by_their_own_sdk() {
    let (live, session) = Live::of_two_users().await;
    let batch = "application/cloudevents-batch+json";
    for (query, accept) in [("?format=cloudevents", "*/*"), ("", batch)] {
        let (media_type, body) = live.exported(query, accept).await;
        assert_eq!(media_type, batch);
        let events: Vec<CloudEvent> = serde_json::from_slice(&body).unwrap();
        assert_eq!(events.len(), 7);
        let recorded = live.store.read_all(Position::START, 100).await.unwrap();
        for (event, recorded) in events.iter().zip(&recorded) {
            assert_eq!(event.specversion().to_string(), "1.0");
            assert_eq!(event.id(), recorded.id.to_string());
            assert_eq!(event.ty(), recorded.event_type);
            assert_eq!(event.subject(), Some(recorded.stream.as_str()));
            assert_eq!(
                event.source().as_str(),
                format!("urn:uuid:{}", live.store.id())
            );
            assert_eq!(event.time(), Some(&recorded.recorded_at));
            assert_eq!(event.datacontenttype(), Some("application/json"));
            let position = event.extension("fireflyposition").unwrap();
            assert_eq!(position.to_string(), recorded.position.to_string());
            let Some(Data::Json(data)) = event.data() else {
                panic!("{event} has no JSON");
            };
            let written: Value = serde_json::from_str(recorded.data.get()).unwrap();
            assert_eq!(*data, written);
        }
    }
    let (_, body) = live
        .exported(&format!("?format=cloudevents&session={session}"), "*/*")
        .await;
    let events: Vec<CloudEvent> = serde_json::from_slice(&body).unwrap();
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn json_is_one_document_and_ndjson_can_be_imported() {
    let (live, _) = Live::of_two_users().await;
    let (media_type, body) = live.exported("", "*/*").await;
    assert_eq!(media_type, "application/json");
    let document: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let (media_type, body) = live.exported("", "application/x-ndjson").await;
    assert_eq!(media_type, "application/x-ndjson");
    let lines: Vec<Value> = body
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            assert!(lines::decode(line).is_ok());
            serde_json::from_slice(line).unwrap()
        })
        .collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines, document);
}

#[tokio::test]
async fn an_export_holds_what_was_asked_for() {
    let (live, _) = Live::of_two_users().await;
    for (query, wanted) in [
        ("?project=bob/montage/app", vec![1]),
        ("?user=alice", vec![2, 3, 4, 5, 6, 7]),
        ("?user=nobody", vec![]),
        ("?from=3&to=4", vec![3, 4]),
        ("?project=alice/montage/app&from=5", vec![5, 6]),
    ] {
        for accept in ["application/json", "application/cloudevents-batch+json"] {
            let (_, body) = live.exported(query, accept).await;
            let events: Vec<Value> = serde_json::from_slice(&body).unwrap();
            let position = |event: &Value| {
                let text = event["fireflyposition"].as_str();
                let text = text.map(|text| text.parse().unwrap());
                text.or_else(|| event["position"].as_u64()).unwrap()
            };
            let positions: Vec<u64> = events.iter().map(position).collect();
            assert_eq!(positions, wanted, "{query}");
        }
    }
    let (status, ..) = live.export(AUDITOR, "", "text/csv").await;
    assert_eq!(status, 406);
}

#[tokio::test]
async fn a_long_log_goes_out_in_pieces() {
    let live = Live::start().await;
    live.fill(1_500, 1_000).await;
    let (_, _, pieces) = live.export(AUDITOR, "?format=json", "*/*").await;
    let longest = pieces.iter().map(Vec::len).max().unwrap();
    let whole = pieces.concat();
    assert!(whole.len() > 1_500 * 1_000, "{} bytes", whole.len());
    // A page, and nothing beside it.
    assert!(longest < 256 * 1_500, "{longest} bytes at once");
    let events: Vec<Value> = serde_json::from_slice(&whole).unwrap();
    assert_eq!(events.len(), 1_500);
}

#[tokio::test]
async fn only_so_many_exports_are_sent_at_once() {
    let live = Live::start().await;
    live.fill(600, 10).await;
    let mut open = Vec::new();
    let request = || {
        Request::get("/api/v1/events")
            .header("authorization", format!("Bearer {}", live.token(AUDITOR)))
            .body(Body::empty())
            .unwrap()
    };
    for _ in 0..EXPORTS_MAX {
        let response = live.router.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 200);
        open.push(response);
    }
    let refused = live.router.clone().oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), 503);
    open.pop();
    let again = live.router.clone().oneshot(request()).await.unwrap();
    assert_eq!(again.status(), 200);
}
