//! What the port tells of requests, as metrics. No label holds what a client can make up.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

const REQUESTS: &str = "firefly_http_requests_total";
const SECONDS: &str = "firefly_http_request_seconds";

/// The route of what is none.
const NO_ROUTE: &str = "none";

/// Says what they mean.
pub fn describe() {
    describe_counter!(
        REQUESTS,
        Unit::Count,
        "Requests that were answered, by `site` (`app`, `previews`, or `none` for a foreign host), `route` (the template of the \
         API's path, such as `/api/v1/sessions/:id`, `console`, `preview`, or `none`), `method` and `status`."
    );
    describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "From the head of a request to that of its answer, by `site`, `route` and `method`."
    );
}

/// The route that an answer came from.
#[derive(Clone)]
pub(crate) struct Route(pub(crate) MatchedPath);

/// Leaves with each answer which route it came from.
pub(crate) async fn name_route(
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

/// A request was answered.
pub(crate) fn answered(site: &'static str, method: &Method, response: &Response, took: Duration) {
    let route = response.extensions().get::<Route>();
    let route = match (route, response.extensions().get::<Part>()) {
        // Some readers of the text format take a brace for the end of the labels.
        (Some(Route(path)), _) => path.as_str().replace('{', ":").replace('}', ""),
        (None, Some(Part(part))) => (*part).to_owned(),
        (None, None) => NO_ROUTE.to_owned(),
    };
    let (method, status) = (known(method), response.status());
    // A container may answer with any number.
    let status = match status.canonical_reason() {
        Some(_) => status.as_u16().to_string(),
        None => "other".to_owned(),
    };
    histogram!(SECONDS, "site" => site, "route" => route.clone(), "method" => method).record(took);
    counter!(REQUESTS, "site" => site, "route" => route, "method" => method, "status" => status)
        .increment(1);
}

/// The part of a site that has no routes of its own.
#[derive(Clone, Copy)]
pub(crate) struct Part(pub(crate) &'static str);

/// Anybody can make up a method.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
