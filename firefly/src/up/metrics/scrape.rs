//! What is looked up when somebody asks: where the log ends, who follows it, and how far projections and rebuilds are.

use chrono::{DateTime, Utc};
use firefly_event_store::{EventStore, Position};
use firefly_query_api::{Hub, Subscribers};
use firefly_read_models::builds::Status;
use firefly_read_models::{Build, Database};
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

pub const BUILD_INFO: &str = "firefly_build_info";
const LOG_HEAD: &str = "firefly_log_head_position";
const SUBSCRIBERS: &str = "firefly_live_subscribers";
const MESSAGES: &str = "firefly_live_messages_total";
const TOO_SLOW: &str = "firefly_live_too_slow_total";
const READ_MODELS: &str = "firefly_read_models_up";
const POSITION: &str = "firefly_projection_position";
const LAG_EVENTS: &str = "firefly_projection_lag_events";
const LAG_SECONDS: &str = "firefly_projection_lag_seconds";
const STOPPED: &str = "firefly_projection_stopped";
const REBUILDING: &str = "firefly_projection_rebuild_running";
const REBUILD_STOPPED: &str = "firefly_projection_rebuild_stopped";
const REBUILD_DONE: &str = "firefly_projection_rebuild_done_events";
const REBUILD_TOTAL: &str = "firefly_projection_rebuild_total_events";

/// Says what they mean.
pub fn describe() {
    let gauges = [
        (BUILD_INFO, "Always 1; which Firefly this is, by `version`."),
        (LOG_HEAD, "The position of the log's last event."),
        (
            SUBSCRIBERS,
            "Connections that follow live state, by `scope`: `mine` (the projects of a user), `project`, `session` or `log`.",
        ),
        (
            READ_MODELS,
            "Whether the read models' database answers: 1, or 0, and then nothing that follows from it is up to date.",
        ),
        (
            POSITION,
            "The position of the last event that a live projection has taken in, by `projection`.",
        ),
        (
            LAG_EVENTS,
            "How far behind the log's head a live projection is, in positions, by `projection`. On EventStoreDB positions have \
             gaps.",
        ),
        (
            STOPPED,
            "Whether a live projection stopped at an event that it cannot take in: 1 or 0, by `projection`.",
        ),
        (
            REBUILDING,
            "Whether a projection is being rebuilt, or a rebuild compared with it: 1 or 0, by `projection`.",
        ),
        (
            REBUILD_STOPPED,
            "Whether a rebuild stopped at an event that it cannot take in: 1 or 0, by `projection`.",
        ),
        (
            REBUILD_DONE,
            "The position that a rebuild has come to, by `projection`; 0 while there is none.",
        ),
        (
            REBUILD_TOTAL,
            "The position that a rebuild has to come to, by `projection`; 0 while there is none.",
        ),
    ];
    for (name, meaning) in gauges {
        describe_gauge!(name, Unit::Count, meaning);
    }
    describe_counter!(
        MESSAGES,
        Unit::Count,
        "Messages that were handed to connections that follow live state."
    );
    describe_counter!(
        TOO_SLOW,
        Unit::Count,
        "Connections that were ended since their client read more slowly than changes came."
    );
    describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "How long ago the first event was appended that a live projection has not taken in, by `projection`; 0 if there is none."
    );
}

/// Looks, and sets what it finds.
pub async fn look(store: &dyn EventStore, read_models: &Database, hub: &Hub) {
    followed(hub);
    let head = *store.head().borrow();
    gauge!(LOG_HEAD).set(number(head.number()));
    let builds = match read_models.builds().await {
        Ok(builds) => builds,
        Err(error) => {
            tracing::warn!(?error, "the read models do not answer");
            gauge!(READ_MODELS).set(0.0);
            return;
        }
    };
    gauge!(READ_MODELS).set(1.0);
    for projected in firefly_projector::projections() {
        let of_it = |build: &&Build| build.projection == projected.projection;
        let of_it: Vec<&Build> = builds.iter().filter(of_it).collect();
        let at_work =
            |build: &&&Build| matches!(build.status, Status::Building | Status::Verifying);
        rebuild(
            projected.projection,
            of_it.iter().find(at_work).copied(),
            head,
        );
        if let Some(live) = of_it.iter().find(|build| build.status == Status::Live) {
            self::live(live, projected.projection, head, store).await;
        }
    }
}

fn followed(hub: &Hub) {
    let Subscribers {
        mine,
        project,
        session,
        log,
    } = hub.subscribers();
    let scopes = [
        ("mine", mine),
        ("project", project),
        ("session", session),
        ("log", log),
    ];
    for (scope, count) in scopes {
        gauge!(SUBSCRIBERS, "scope" => scope).set(number(count as u64));
    }
    counter!(MESSAGES).absolute(hub.messages_sent());
    counter!(TOO_SLOW).absolute(hub.closed_as_too_slow());
}

async fn live(build: &Build, projection: &'static str, head: Position, store: &dyn EventStore) {
    let position = build.position.unsigned_abs();
    let lag = head.number().saturating_sub(position);
    let waiting = match lag {
        0 => None,
        _ => first_behind(store, Position::new(position)).await,
    };
    let waited = waiting.map_or(0.0, |since| (Utc::now() - since).as_seconds_f64().max(0.0));
    gauge!(POSITION, "projection" => projection).set(number(position));
    gauge!(LAG_EVENTS, "projection" => projection).set(number(lag));
    gauge!(LAG_SECONDS, "projection" => projection).set(waited);
    gauge!(STOPPED, "projection" => projection).set(flag(build.failure.is_some()));
}

fn rebuild(projection: &'static str, build: Option<&Build>, head: Position) {
    let stopped = build.is_some_and(|build| build.failure.is_some());
    let done = build.map_or(0, |build| build.position.unsigned_abs());
    let total = build.map_or(0, |_| head.number().max(done));
    gauge!(REBUILDING, "projection" => projection).set(flag(build.is_some() && !stopped));
    gauge!(REBUILD_STOPPED, "projection" => projection).set(flag(stopped));
    gauge!(REBUILD_DONE, "projection" => projection).set(number(done));
    gauge!(REBUILD_TOTAL, "projection" => projection).set(number(total));
}

async fn first_behind(store: &dyn EventStore, position: Position) -> Option<DateTime<Utc>> {
    let event = store.read_all(position, 1).await;
    let event = event.inspect_err(|error| tracing::warn!(?error, "the log does not answer"));
    event.ok()?.first().map(|event| event.recorded_at)
}

const fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

/// A position or a count; beyond 2^53 it is rounded, as everything is in this format.
fn number(number: u64) -> f64 {
    number as f64
}
