//! `/livez` and `/readyz`: whether to restart this process, and whether to send it work.

use std::time::Duration;

use axum::extract::State;
use firefly_read_models::builds::Status;
use futures::future::join;
use http::StatusCode;
use tokio::time::timeout;

use crate::{App, Hub};

/// How long live state and the read models may need for what the log had when they were asked; under load they are always
/// a moment behind.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// The process answers. It asks nothing else: a database that is down is no reason to restart it.
#[utoipa::path(
    get, path = "/livez", operation_id = "is_alive", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "text/plain", description = "It does.", example = "ok\n")),
)]
pub async fn live() -> &'static str {
    "ok\n"
}

/// Every part that queries need, by name.
#[utoipa::path(
    get, path = "/readyz", operation_id = "is_ready", tag = "health", security(()),
    responses(
        (status = 200, body = String, content_type = "text/plain", description = "All of them are well: `[+]` and a name each."),
        (status = 503, body = String, content_type = "text/plain", description = "Those with `[-]` are not."),
    ),
)]
pub async fn ready(State(app): State<App>) -> (StatusCode, String) {
    let head = *app.store.head().borrow();
    let (hub_is_current, models_are_current) = join(
        in_time(app.hub.reached(head)),
        in_time(app.config.freshness.reached(head)),
    )
    .await;
    let mut checks = vec![(live_state(&app.hub), hub_is_current)];
    match app.config.read_models.builds().await {
        Ok(builds) => {
            checks.push(("read models".to_owned(), models_are_current));
            let live = builds
                .into_iter()
                .filter(|build| build.status == Status::Live);
            checks.extend(live.map(|build| {
                let name = format!("projection {}", build.projection);
                (name, build.failure.is_none())
            }));
        }
        Err(_) => checks.push(("read models".to_owned(), false)),
    }
    let status = if checks.iter().all(|(_, ok)| *ok) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let lines = checks
        .iter()
        .map(|(name, ok)| format!("{} {name}\n", if *ok { "[+]" } else { "[-]" }));
    (status, lines.collect())
}

async fn in_time(reached: impl Future<Output = ()>) -> bool {
    timeout(CATCH_UP_TIMEOUT, reached).await.is_ok()
}

/// A project that cannot be read is said, but is no reason to send the work of all others elsewhere.
fn live_state(hub: &Hub) -> String {
    match hub.unreadable_count() {
        0 => "live state".to_owned(),
        count => format!(
            "live state (projects left out, since an event of theirs cannot be read: {count})"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use firefly_domain::{Actor, Project, ProjectKey, Segment, Source, project::Command};
    use firefly_event_store::sqlite::SqliteEventStore;
    use firefly_event_store::{Context, EventStore, handle};
    use firefly_identity::{Secret, Tokens};
    use firefly_web::Authenticator;
    use futures::poll;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn live_state_may_be_a_moment_behind() {
        let home = tempfile::tempdir().unwrap();
        let path = |name| home.path().join(name);
        let tokens = Tokens::new(&Secret::load_or_create(&path("secret")).unwrap());
        let hub = Hub::new("", Authenticator::new(tokens));
        let store = SqliteEventStore::open(&path("events.db")).await.unwrap();
        let key = ProjectKey::new("alice", "montage", "app").unwrap();
        let open = Command::Open {
            key: key.clone(),
            source: Source::Template(Segment::parse("starter").unwrap()),
            branch: None,
        };
        let context = Context::new(Actor::Anonymous, Uuid::nil());
        let opened = handle::<Project>(&store, key.id().as_uuid(), open, &context).await;
        let head = opened.unwrap().position;

        let mut asked = std::pin::pin!(in_time(hub.reached(head)));
        assert!(poll!(&mut asked).is_pending());
        let store: Arc<dyn EventStore> = Arc::new(store);
        let progress = tokio::sync::broadcast::Sender::new(1).subscribe();
        tokio::spawn(hub.clone().run(store, progress, CancellationToken::new()));
        assert!(asked.await);
    }
}
