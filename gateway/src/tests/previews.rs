//! Files of projects, and what is said where there are none.

use std::time::Duration;

use axum::body::Body;
use firefly_domain::{Failure, FailureCode, Step};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::Preview;
use crate::tests::support::{
    PATIENCE, PREVIEWS, Running, json, problem_code, project_server, text,
};

const HTML: [(&str, &str); 1] = [("accept", "text/html,*/*;q=0.8")];

async fn with_project() -> Running {
    let gateway = Running::start().await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    gateway
}

#[tokio::test]
async fn a_file_is_asked_of_the_container_without_telling_who_asks() {
    let gateway = with_project().await;
    let fields = [
        ("cookie", "session=1"),
        ("authorization", "Bearer secret"),
        ("x-forwarded-for", "6.6.6.6"),
        ("sec-fetch-dest", "document"),
        ("accept-encoding", "gzip"),
    ];
    let path = "/Alice/montage/app/asked/a%20b/{$PREVIEW}?x=%2F";
    let response = gateway.get(PREVIEWS, path, &fields).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-own"], "kept");
    assert!(!response.headers().contains_key("x-hop"));

    let asked = json(response).await;
    assert_eq!(asked["uri"], "/static/asked/a%20b/{$PREVIEW}?x=%2F");
    let headers = &asked["headers"];
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(
        headers["x-forwarded-host"],
        format!("project.localhost:{}", gateway.address.port())
    );
    assert_eq!(headers["sec-fetch-dest"], "document");
    assert_eq!(headers["accept-encoding"], "gzip");
    for secret in ["cookie", "authorization"] {
        assert!(headers.get(secret).is_none(), "{secret} was passed on");
    }
}

#[tokio::test]
async fn ranges_and_tags_pass_both_ways() {
    let gateway = with_project().await;
    let path = "/alice/montage/app/part";
    let part = gateway.get(PREVIEWS, path, &[("range", "bytes=2-4")]).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], "bytes 2-4/10");
    assert_eq!(text(part).await, "234");

    let known = gateway
        .get(PREVIEWS, path, &[("if-none-match", "\"v1\"")])
        .await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(known.headers()["etag"], "\"v1\"");

    let head = gateway
        .send(Method::HEAD, PREVIEWS, path, &[], Body::empty())
        .await;
    assert_eq!(head.headers()["content-length"], "10");
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn a_project_cannot_set_cookies_or_rule_its_neighbours() {
    let gateway = with_project().await;
    let response = gateway
        .get(PREVIEWS, "/alice/montage/app/cookies", &[])
        .await;
    assert!(!response.headers().contains_key("set-cookie"));
    assert!(!response.headers().contains_key("service-worker-allowed"));
    assert_eq!(text(response).await, "no cookies");
}

#[tokio::test]
async fn an_answer_is_passed_on_as_it_comes() {
    let gateway = with_project().await;
    let response = gateway
        .get(PREVIEWS, "/alice/montage/app/endless", &[])
        .await;
    let mut body = response.into_body();
    let first = timeout(PATIENCE, body.frame())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
}

#[tokio::test]
async fn the_slash_behind_a_project_is_put_in() {
    let gateway = with_project().await;
    let response = gateway.get(PREVIEWS, "/Alice/montage/app?a=b", &[]).await;
    assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(response.headers()["location"], "/alice/montage/app/?a=b");
}

#[tokio::test]
async fn previews_are_only_for_reading() {
    let gateway = with_project().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::TRACE] {
        let path = "/alice/montage/app/asked/x";
        let response = gateway
            .send(method.clone(), PREVIEWS, path, &[], Body::empty())
            .await;
        assert_eq!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method}"
        );
        assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
        assert_eq!(problem_code(response).await, "method-not-allowed");
    }
    let path = "/alice/montage/app/asked/x";
    let options = gateway
        .send(Method::OPTIONS, PREVIEWS, path, &[], Body::empty())
        .await;
    assert_eq!(json(options).await["method"], "OPTIONS");
}

#[tokio::test]
async fn without_a_preview_there_is_a_page_or_a_problem() {
    let gateway = Running::start().await;
    gateway
        .projects
        .set("alice/montage/closed", Preview::Closed);
    for path in [
        "/alice/montage/closed/",
        "/alice/montage/none/x",
        "/nothing",
        "/a/../b/c/",
    ] {
        let page = gateway.get(PREVIEWS, path, &HTML).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(page.headers().contains_key("content-security-policy"));
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
        assert!(
            text(page)
                .await
                .contains("<title>No preview available</title>"),
            "{path}"
        );
        let problem = gateway.get(PREVIEWS, path, &[]).await;
        assert_eq!(problem_code(problem).await, "preview-unavailable", "{path}");
    }
}

#[tokio::test]
async fn an_opening_project_has_a_page_that_waits() {
    let gateway = Running::start().await;
    let state = Preview::Opening {
        step: Some(Step::Install),
        text: "40 of 212 <packages>".to_owned(),
    };
    gateway.projects.set("alice/montage/app", state);
    let page = gateway
        .get(PREVIEWS, "/alice/montage/app/index.html", &HTML)
        .await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.headers()["retry-after"], "1");
    let page = text(page).await;
    assert!(page.contains("40 of 212 &lt;packages&gt;"), "{page}");
    assert!(
        page.contains("data-waits-during=\"preview-opening\""),
        "{page}"
    );
    for asset in ["/.firefly/wait.js", "/.firefly/page.css"] {
        assert!(page.contains(asset), "{asset}");
        let asset = gateway.get(PREVIEWS, asset, &[]).await;
        assert_eq!(asset.status(), StatusCode::OK);
    }
    let problem = gateway.get(PREVIEWS, "/alice/montage/app/x.js", &[]).await;
    assert_eq!(problem_code(problem).await, "preview-opening");
}

#[tokio::test]
async fn a_failed_project_says_why() {
    let gateway = Running::start().await;
    let failure = Failure::new(
        Step::Install,
        FailureCode::InstallFailed,
        "npm: <b>no</b> such package",
    );
    gateway
        .projects
        .set("alice/montage/app", Preview::Failed(failure));
    let page = gateway.get(PREVIEWS, "/alice/montage/app/", &HTML).await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!page.headers().contains_key("retry-after"));
    let page = text(page).await;
    for part in ["install-failed", "npm: &lt;b&gt;no&lt;/b&gt; such package"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(!page.contains("wait.js"));
}

#[tokio::test]
async fn a_container_that_is_gone_gives_a_bad_gateway() {
    let gateway = Running::start().await;
    let (address, stop) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    let path = "/alice/montage/app/part";
    assert_eq!(
        gateway.get(PREVIEWS, path, &[]).await.status(),
        StatusCode::OK
    );
    stop.cancel();
    let gone = || async { gateway.get(PREVIEWS, path, &[]).await };
    let response = timeout(PATIENCE, async {
        loop {
            // A connection that was kept alive may serve once more.
            let response = gone().await;
            if response.status() != StatusCode::OK {
                return response;
            }
        }
    });
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(problem_code(response).await, "preview-unreachable");
    let page = gateway.get(PREVIEWS, path, &HTML).await;
    assert_eq!(page.status(), StatusCode::BAD_GATEWAY);
    assert!(text(page).await.contains("The project does not answer"));
}

#[tokio::test]
async fn a_container_that_does_not_answer_is_given_up() {
    let gateway = Running::with(|config| {
        config.limits.response_headers = Duration::from_millis(50);
    });
    let gateway = gateway.await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    let response = gateway
        .get(PREVIEWS, "/alice/montage/app/silent", &[])
        .await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(problem_code(response).await, "preview-slow");
}

#[tokio::test]
async fn no_more_requests_are_passed_on_than_may_be() {
    let gateway = Running::with(|config| config.limits.upstream_requests = 1).await;
    let (address, _) = project_server().await;
    gateway.projects.serve_at("alice/montage/app", address);
    let held = gateway
        .get(PREVIEWS, "/alice/montage/app/endless", &[])
        .await;
    let refused = gateway.get(PREVIEWS, "/alice/montage/app/part", &[]).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem_code(refused).await, "previews-busy");
    drop(held);
    let served = timeout(PATIENCE, async {
        while gateway
            .get(PREVIEWS, "/alice/montage/app/part", &[])
            .await
            .status()
            != StatusCode::OK
        {}
    });
    served.await.unwrap();
}

#[tokio::test]
async fn the_host_itself_says_what_it_is_for() {
    let gateway = Running::start().await;
    let page = gateway.get(PREVIEWS, "/", &HTML).await;
    assert_eq!(page.status(), StatusCode::OK);
    let page = text(page).await;
    assert!(page.contains("Firefly previews"), "{page}");
    assert!(
        page.contains(&format!("http://localhost:{}", gateway.address.port())),
        "{page}"
    );
}
