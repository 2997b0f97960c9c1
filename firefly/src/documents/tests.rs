//! Keeps `docs/openapi.json` and `docs/asyncapi.json` in step with the routes, and every route in the former.
//!
//! With `FIREFLY_UPDATE_DOCS=1` in the environment the file is written instead of compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use firefly_domain::{ProjectKey, Segment};
use firefly_event_store::{EventStore, Position};
use firefly_identity::{LocalSignIn, Secret, Tokens};
use firefly_query_api::logs::{Lines, Logs, Unreadable, Wanted};
use firefly_query_api::{Freshness, Hub};
use firefly_web::Authenticator;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;
use crate::up::{self, metrics::Metrics};

const UPDATE: &str = "FIREFLY_UPDATE_DOCS";
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// Compares a file of `docs/` with what it should hold.
fn check(name: &str, document: &Value) {
    let path = Path::new(FOLDER).join(name);
    let wanted = format!("{document:#}\n");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, wanted).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let same = kept
        .lines()
        .zip(wanted.lines())
        .take_while(|(kept, wanted)| kept == wanted);
    let same = same.count();
    assert!(
        kept == wanted,
        "docs/{name} is out of date from line {} on; write it anew with: {UPDATE}=1 cargo test -p firefly documents",
        same + 1
    );
}

#[test]
fn the_openapi_document_is_that_of_the_handlers() {
    check("openapi.json", &openapi());
}

#[test]
fn the_asyncapi_document_is_that_of_the_messages() {
    check("asyncapi.json", &asyncapi::document(&openapi()));
}

#[test]
fn every_operation_says_what_it_is_for() {
    let document = openapi();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} is the name of two operations");
            assert!(operation["summary"].is_string(), "{method} {path}");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters {
                assert!(
                    parameter["description"].is_string(),
                    "{method} {path}: {parameter}"
                );
            }
            assert!(
                operation.get(firefly_web::document::REFUSALS).is_none(),
                "{method} {path}"
            );
        }
    }
}

/// Read models that have taken in everything.
struct AlwaysFresh;

impl Freshness for AlwaysFresh {
    fn reached(&self, _position: Position) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}

/// Containers that print nothing.
struct Silent;

impl Logs for Silent {
    fn read(
        &self,
        _key: ProjectKey,
        _wanted: Wanted,
    ) -> BoxFuture<'static, Result<Lines, Unreadable>> {
        async { Ok(stream::empty().boxed()) }.boxed()
    }
}

/// The very routes that `firefly up` serves.
async fn router(home: &Path) -> Router {
    let tokens = Tokens::new(&Secret::load_or_create(&home.join("secret")).unwrap());
    let authenticator = Authenticator::new(tokens.clone());
    let url = |name| format!("sqlite:{}", home.join(name).display());
    let read_models = firefly_read_models::open(&url("read-models.db"))
        .await
        .unwrap();
    let store: Arc<dyn EventStore> = firefly_event_store::open(&url("events.db")).await.unwrap();
    let user = Segment::parse("local").unwrap();
    let commands = firefly_command_api::Config {
        tokens,
        authenticator: authenticator.clone(),
        local: LocalSignIn::new(user, "127.0.0.1:0".parse().unwrap()).ok(),
        github_url: String::new(),
        read_models: read_models.clone(),
        projections: vec![],
    };
    let queries = firefly_query_api::Config {
        authenticator: authenticator.clone(),
        auditor: None,
        read_models,
        freshness: Arc::new(AlwaysFresh),
        logs: Arc::new(Silent),
        preview_url: String::new(),
    };
    let collected = PrometheusBuilder::new().build_recorder().handle();
    let hub = Hub::new("", authenticator);
    let read_models = commands.read_models.clone();
    let metrics = Metrics::new(collected, Arc::clone(&store), read_models, hub.clone());
    up::api(commands, queries, &store, &hub, metrics.for_this_host(true))
}

/// What a method router prints for a method that it takes.
const METHODS: [&str; 7] = ["get", "delete", "options", "patch", "post", "put", "trace"];

/// The methods and paths of a router, which it tells only where it is printed for debugging.
///
/// If axum comes to print it otherwise, this finds nothing, and the test fails.
fn operations(router: &Router) -> BTreeSet<String> {
    let printed = format!("{router:?}");
    let (routes, rest) = printed.split_once("node: Node").unwrap();
    let (paths, _) = rest.split_once("fallback_router").unwrap();
    let by_id = |text: &str| -> BTreeMap<String, String> {
        let parts = text.split("RouteId(").skip(1);
        let named = parts.filter_map(|part| part.split_once("): "));
        named
            .map(|(id, what)| (id.to_owned(), what.to_owned()))
            .collect()
    };
    let (routes, paths) = (by_id(routes), by_id(paths));
    assert_eq!(routes.len(), paths.len());
    let mut operations = BTreeSet::new();
    for (id, path) in paths {
        let path = path.split('"').nth(1).unwrap();
        let taken = METHODS.iter().filter(|method| {
            let taken = |how| routes[&id].contains(&format!(" {method}: {how}"));
            taken("Route") || taken("BoxedHandler")
        });
        let before = operations.len();
        operations.extend(taken.map(|method| format!("{method} {path}")));
        assert!(
            operations.len() > before,
            "{path} takes no method that this finds"
        );
    }
    operations
}

#[tokio::test]
async fn every_route_is_documented_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let served = operations(&router(home.path()).await);
    let document = openapi();
    let paths = document["paths"].as_object().unwrap().iter();
    let documented: BTreeSet<String> = paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{method} {path}"))
        })
        .collect();
    let difference: Vec<_> = served.symmetric_difference(&documented).collect();
    assert!(
        difference.is_empty(),
        "served or documented only: {difference:#?}"
    );
    assert!(served.len() > 20, "{served:?}");
}
