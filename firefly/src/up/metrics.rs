//! `/metrics`: what a Prometheus server scrapes, in its text format.
//!
//! Rooms count what they do through the `metrics` facade and know nothing of who collects it. What follows from the state of
//! things (how far projections are, where the log ends) is looked up when it is asked for, in [`scrape`].
//!
//! Numbers tell how much is going on. On the public port they are for this host alone, under the same conditions as local
//! sign-in; whoever scrapes from elsewhere is given an address of its own.

mod log;
#[cfg(test)]
mod page;
mod scrape;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use firefly_event_store::EventStore;
use firefly_query_api::Hub;
use firefly_read_models::Database;
use firefly_web::{Problem, is_passed_on};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use log::Measured;

/// The version of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper ends of the histograms of times: from half a millisecond, as long as a commit takes at the least, to half a minute,
/// the longest that a request waits.
const SECONDS: [f64; 15] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Upper ends of the histograms of events: up to a whole page of the log.
const EVENTS: [f64; 7] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];

/// How often what was counted is put into histograms; until then each observation takes up memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Says what every metric means. A room that counts something new is added here.
fn describe() {
    log::describe();
    scrape::describe();
    firefly_projector::measure::describe();
    firefly_gateway::measure::describe();
    firefly_egress::measure::describe();
}

/// Everything that is collected in this process.
#[derive(Clone)]
pub struct Metrics {
    collected: PrometheusHandle,
    store: Arc<dyn EventStore>,
    read_models: Database,
    hub: Hub,
    /// Held by the one scrape that is at work: each looks into the log and the read models.
    turn: Arc<Mutex<()>>,
}

/// Begins to collect, for the whole process.
///
/// # Errors
///
/// Somebody else collects already.
pub fn collect() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_events".into()), &EVENTS)
        });
    let recorder = builder
        .context("the histograms have no buckets")?
        .build_recorder();
    let collected = recorder.handle();
    metrics::set_global_recorder(recorder).context("metrics are collected already")?;
    describe();
    metrics::gauge!(scrape::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(collected)
}

impl Metrics {
    pub fn new(
        collected: PrometheusHandle,
        store: Arc<dyn EventStore>,
        read_models: Database,
        hub: Hub,
    ) -> Self {
        Self {
            collected,
            store,
            read_models,
            hub,
            turn: Arc::default(),
        }
    }

    /// Keeps what was counted small until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.collected.run_upkeep();
        }
    }

    /// The route on the public port, for requests of this host if anybody is known to be of it.
    pub fn for_this_host(self, is_local: bool) -> Router {
        let answer = move |State(metrics): State<Self>, headers: HeaderMap| async move {
            if is_local && !is_passed_on(&headers) {
                return metrics.answer().await;
            }
            let detail = "metrics are for Firefly's own host here; give --metrics-listen an address that your Prometheus reaches, \
                          and nobody else";
            Problem::new(StatusCode::FORBIDDEN, "metrics-elsewhere", detail).into_response()
        };
        Router::new()
            .route("/metrics", get(answer))
            .with_state(self)
    }

    /// The route on an address of its own.
    pub fn for_everybody(self) -> Router {
        let answer = |State(metrics): State<Self>| async move { metrics.answer().await };
        Router::new()
            .route("/metrics", get(answer))
            .with_state(self)
    }

    async fn answer(&self) -> Response {
        let _turn = self.turn.lock().await;
        scrape::look(&*self.store, &self.read_models, &self.hub).await;
        ([(CONTENT_TYPE, TEXT)], self.collected.render()).into_response()
    }
}
