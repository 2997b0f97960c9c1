//! The gateway's own pages on the project host: short notices where there is no preview to show.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, html};

/// The path of the files that the pages need. No project's path begins with a dot.
const ASSETS: &str = "/.firefly/";

const STYLE: &str = include_str!("../pages/page.css");
const WAIT_SCRIPT: &str = include_str!("../pages/wait.js");
const ICON: &str = include_str!("../console/favicon.svg");

/// One page, apart from how it looks.
#[derive(Clone, Debug)]
pub(crate) struct Page<'a> {
    pub title: &'a str,
    pub text: &'a str,
    /// Labelled lines below the text.
    pub facts: Vec<(&'static str, String)>,
    /// A longer text of a tool, shown as it came.
    pub output: Option<&'a str>,
    /// The problem code during which the page waits, to load itself anew once it is over.
    pub waits_during: Option<&'static str>,
    /// The console's address.
    pub console: &'a str,
}

impl Page<'_> {
    /// The page as an answer that only `frame_ancestors` may show in a frame.
    pub(crate) fn respond(&self, status: StatusCode, frame_ancestors: &str) -> Response {
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors {frame_ancestors}"
        );
        let text = self.markup().into_string();
        let mut response = text_answer("text/html; charset=utf-8", text);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    fn markup(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    link rel="icon" href={ (ASSETS) "favicon.svg" } type="image/svg+xml";
                    link rel="stylesheet" href={ (ASSETS) "page.css" };
                    @if self.waits_during.is_some() {
                        script src={ (ASSETS) "wait.js" } defer {}
                        noscript { meta http-equiv="refresh" content="2"; }
                    }
                }
                body data-waits-during=[self.waits_during] {
                    main {
                        h1 { (self.title) }
                        p #text role="status" { (self.text) }
                        @if self.waits_during.is_some() { div .wait {} }
                        @if !self.facts.is_empty() {
                            dl {
                                @for (label, value) in &self.facts {
                                    dt { (label) }
                                    dd id=(label.to_lowercase()) { (value) }
                                }
                            }
                        }
                        @if let Some(output) = self.output { pre { (output) } }
                        p .way-out { a href=(self.console) target="_top" { "Firefly console" } }
                    }
                }
            }
        }
    }
}

/// Whether a request would rather have a page than a problem.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/html"))
}

/// A file the pages need, or `None` if the path is not below theirs.
pub(crate) fn asset(path: &str) -> Option<Response> {
    let name = path.strip_prefix(ASSETS)?;
    Some(match name {
        "page.css" => text_answer("text/css; charset=utf-8", STYLE),
        "wait.js" => text_answer("text/javascript; charset=utf-8", WAIT_SCRIPT),
        "favicon.svg" => text_answer("image/svg+xml", ICON),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
}

fn text_answer(content_type: &'static str, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_project_is_only_text() {
        let page = Page {
            title: "<b>title</b>",
            text: "<script>alert(1)</script>",
            facts: vec![("Step", "\"><img src=x onerror=alert(1)>".to_owned())],
            output: Some("</pre><script>"),
            waits_during: None,
            console: "http://localhost:2440",
        };
        let text = page.markup().into_string();
        assert!(!text.contains("<script"), "{text}");
        assert!(!text.contains("<img"), "{text}");
        assert!(!text.contains("<b>"), "{text}");
    }

    #[test]
    fn pages_are_for_those_who_ask_for_them() {
        let wanted = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            is_wanted(&headers)
        };
        assert!(wanted("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!wanted("*/*"));
        assert!(!wanted("application/problem+json"));
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
