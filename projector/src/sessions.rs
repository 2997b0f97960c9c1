//! `sessions`: who signed in, when, with what, and which projects they have in hand.

use std::collections::BTreeSet;

use firefly_domain::session::Event;
use firefly_domain::{Aggregate, Session};
use firefly_event_store::{DomainEvent, RecordedEvent};
use firefly_read_models::SessionRow;

use crate::projection::{Projection, sql};

pub(crate) struct Sessions;

impl Projection for Sessions {
    type Row = SessionRow;

    const NAME: &'static str = "sessions";
    const VERSION: u32 = 1;
    const CATEGORY: &'static str = Session::CATEGORY;

    fn key(event: &DomainEvent, _: &RecordedEvent) -> Option<String> {
        match event {
            DomainEvent::Session(session, _) => Some(session.to_string()),
            DomainEvent::Project(..) => None,
        }
    }

    fn apply(
        row: Option<SessionRow>,
        event: &DomainEvent,
        recorded: &RecordedEvent,
    ) -> Option<SessionRow> {
        let DomainEvent::Session(session, event) = event else {
            return row;
        };
        let mut row = match event {
            Event::Started(started) => SessionRow {
                id: session.to_string(),
                user: started.user.as_str().to_owned(),
                client: started.client.clone(),
                projects: "[]".to_owned(),
                started_at: recorded.recorded_at,
                ended_at: None,
                end_reason: None,
                position: 0,
            },
            Event::Joined(_) | Event::Left(_) | Event::Ended(_) => row?,
        };
        match event {
            Event::Started(_) => {}
            Event::Joined(joined) => in_hand(&mut row, |projects| {
                projects.insert(joined.project.to_string());
            }),
            Event::Left(left) => in_hand(&mut row, |projects| {
                projects.remove(&left.project.to_string());
            }),
            Event::Ended(ended) => {
                row.ended_at = Some(recorded.recorded_at);
                row.end_reason = Some(ended.reason.as_str().to_owned());
            }
        }
        row.position = sql(recorded.position.number());
        Some(row)
    }
}

fn in_hand(row: &mut SessionRow, change: impl FnOnce(&mut BTreeSet<String>)) {
    // What is there was written here.
    let mut projects = serde_json::from_str(&row.projects).unwrap_or_default();
    change(&mut projects);
    row.projects = serde_json::json!(projects).to_string();
}
