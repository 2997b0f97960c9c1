//! One answer for one request: finds the site, refuses what none should see, and lets the site answer.

use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Limited;
use tower::ServiceExt;

use crate::config::Config;
use crate::console::Console;
use crate::host::{self, Site};
use crate::measure::{self, Part};
use crate::origin::Origins;
use crate::preview::Previews;
use firefly_web::problem::{self, Problem};

/// Everything behind the port.
pub(crate) struct Sites {
    pub config: Config,
    pub origins: Origins,
    pub console: Console,
    pub api: Router,
    pub previews: Previews,
}

impl Sites {
    /// Answers, and says at debug level what was asked and how it ended.
    pub(crate) async fn answer(&self, peer: SocketAddr, request: Request<Body>) -> Response {
        let started = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let site = host::site(&self.config, request.uri(), request.headers());
        let name = site.as_ref().map_or("none", |site| site.as_str());
        let response = match site {
            Ok(site) => self.answer_at(site, peer, request).await,
            Err(refusal) => Problem::from(refusal).into_response(),
        };
        tracing::debug!(
            http.method = %method,
            http.site = name,
            http.path = path,
            http.status = response.status().as_u16(),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "answered"
        );
        measure::answered(name, &method, &response, started.elapsed());
        response
    }

    async fn answer_at(&self, site: Site, peer: SocketAddr, request: Request<Body>) -> Response {
        if let Err(problem) = self.admit(site, &request) {
            return problem.into_response();
        }
        let limit = self.config.limits.request_body_bytes;
        let request = request.map(|body| Body::new(Limited::new(body, limit)));
        match site {
            Site::App => {
                let mut response = self.answer_app(request).await;
                let nosniff = HeaderValue::from_static("nosniff");
                response
                    .headers_mut()
                    .insert(X_CONTENT_TYPE_OPTIONS, nosniff);
                response
            }
            Site::Previews => {
                let mut response = self.previews.answer(peer, request).await;
                response.extensions_mut().insert(Part("preview"));
                response
            }
        }
    }

    fn admit(&self, site: Site, request: &Request<Body>) -> Result<(), Problem> {
        self.origins
            .check(site, request.method(), request.headers())?;
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let limit = self.config.limits.request_body_bytes;
        if length.is_some_and(|length| length > limit as u64) {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                format!(
                    "the request's body is larger than {limit} bytes, which is all this server takes"
                ),
            ));
        }
        Ok(())
    }

    async fn answer_app(&self, request: Request<Body>) -> Response {
        let path = request.uri().path();
        let response = if !self.console.has(path) {
            match self.api.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        } else if [Method::GET, Method::HEAD].contains(request.method()) {
            let mut response = self.console.answer(path, request.headers());
            response.extensions_mut().insert(Part("console"));
            response
        } else {
            let allowed = HeaderValue::from_static("GET, HEAD");
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, allowed)]).into_response()
        };
        problem::from_plain(response).await
    }
}
