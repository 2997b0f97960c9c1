//! What visitors are told where there is no preview to show: as a page for people, as a problem for programs.

use axum::response::{IntoResponse, Response};
use firefly_domain::{Failure, Step};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use super::proxy::Trouble;
use crate::page::Page;
use firefly_web::problem::Problem;

/// An opening that waits for a visitor is over within seconds.
const RETRY_AFTER_SECONDS: u32 = 1;

/// One thing to say, in both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    text: String,
    facts: Vec<(&'static str, String)>,
    output: Option<String>,
    /// Whether asking again soon may give another answer.
    passing: bool,
}

impl Notice {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            title,
            text: text.into(),
            facts: Vec::new(),
            output: None,
            passing: false,
        }
    }

    fn passing(mut self) -> Self {
        self.passing = true;
        self
    }

    /// What the host is for.
    pub(super) fn index() -> Self {
        Self::new(
            StatusCode::OK,
            "preview-host",
            "Firefly previews",
            "This host shows the previews of projects that are open in Firefly, each below /user/owner/repository/.",
        )
    }

    /// Only reading is possible.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Previews are only for reading",
            "A preview answers GET, HEAD and OPTIONS requests and WebSockets.",
        )
    }

    /// The project is closed, or there is none; which of the two is not for strangers to know.
    pub(super) fn no_preview() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "preview-unavailable",
            "No preview available",
            "A preview is here while its project is open. Open the project in Firefly, then load this page again.",
        )
    }

    /// The project is on its way.
    pub(super) fn opening(step: Option<Step>, text: String) -> Self {
        let text = match step {
            _ if !text.trim().is_empty() => text,
            Some(step) => at_work(step).to_owned(),
            None => "The project waits for its container.".to_owned(),
        };
        let mut notice = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "preview-opening",
            "The project is being opened",
            text,
        );
        notice.facts = step
            .map(|step| ("Step", step.to_string()))
            .into_iter()
            .collect();
        notice.passing()
    }

    /// The project slept, and takes longer to wake than a request waits.
    pub(super) fn waking() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "preview-waking",
            "The project is waking up",
            "Nobody had used it for a while. It is there in a moment.",
        )
        .passing()
    }

    /// The project needs someone to mend it.
    pub(super) fn failed(failure: Failure) -> Self {
        let mut notice = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "preview-failed",
            "The project could not be opened",
            "Mend what is named below, then restart the project in Firefly.",
        );
        notice.facts = vec![
            ("Step", failure.step.to_string()),
            ("Code", failure.code.to_string()),
        ];
        notice.output = Some(failure.detail);
        notice
    }

    /// What there is to say when the container could not be asked.
    pub(super) fn trouble(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(_) | Trouble::Address(_) | Trouble::Misdirected => Self::new(
                StatusCode::BAD_GATEWAY,
                "preview-unreachable",
                "The project does not answer",
                "The project's container cannot be reached at this moment. If it stopped, Firefly will say so soon.",
            )
            .passing(),
            Trouble::Slow => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "preview-slow",
                "The project takes too long",
                "The project's container took the request, but has not answered in time. Try again, or restart the project.",
            ),
            Trouble::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "previews-busy",
                "Too many requests at once",
                "The previews are being asked for more than this server can pass on. Try again in a moment.",
            )
            .passing(),
        }
    }

    /// The notice in the form asked for.
    pub(super) fn respond(&self, as_page: bool, console: &str, frame_ancestors: &str) -> Response {
        let mut response = if as_page {
            let page = Page {
                title: self.title,
                text: &self.text,
                facts: self.facts.clone(),
                output: self.output.as_deref(),
                waits_during: self.passing.then_some(self.code),
                console,
            };
            page.respond(self.status, frame_ancestors)
        } else {
            Problem::new(self.status, self.code, self.detail())
                .titled(self.title)
                .into_response()
        };
        if self.passing {
            let seconds = HeaderValue::from(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }

    fn detail(&self) -> String {
        let mut detail = self.text.clone();
        for (label, value) in &self.facts {
            detail.push_str(&format!("\n{}: {value}", label.to_lowercase()));
        }
        if let Some(output) = &self.output {
            detail.push('\n');
            detail.push_str(output);
        }
        detail
    }
}

fn at_work(step: Step) -> &'static str {
    match step {
        Step::Container => "A container is being started.",
        Step::Source => "The project's files are being fetched.",
        Step::Install => "The packages are being installed.",
        Step::Preview => "The preview is being looked at before it is shown.",
    }
}

#[cfg(test)]
mod tests {
    use firefly_domain::FailureCode;

    use super::*;

    #[test]
    fn an_opening_says_what_is_done_now() {
        let said = |step, text: &str| Notice::opening(step, text.into()).text;
        assert_eq!(
            said(Some(Step::Install), "40 of 212 packages"),
            "40 of 212 packages"
        );
        assert_eq!(said(Some(Step::Install), ""), at_work(Step::Install));
        assert!(!said(None, "").is_empty());
    }

    #[test]
    fn only_what_passes_by_itself_asks_to_come_again() {
        let retries = |notice: Notice| {
            let response = notice.respond(true, "http://localhost", "'self'");
            response.headers().contains_key(RETRY_AFTER)
        };
        assert!(retries(Notice::opening(None, String::new())));
        assert!(!retries(Notice::no_preview()));
        let failure = Failure::new(Step::Source, FailureCode::BranchNotFound, "no branch x");
        assert!(!retries(Notice::failed(failure)));
    }

    #[test]
    fn a_failure_names_its_step_and_code_to_programs_too() {
        let failure = Failure::new(Step::Source, FailureCode::BranchNotFound, "no branch x");
        let detail = Notice::failed(failure).detail();
        assert!(
            detail.contains("step: source\ncode: branch-not-found\nno branch x"),
            "{detail}"
        );
    }
}
