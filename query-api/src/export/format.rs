//! In which form events go out, as `format=` or `Accept` says, pure.

use firefly_event_store::RecordedEvent;
use firefly_event_store::transfer::lines::{self, encode};
use firefly_web::Problem;
use http::{HeaderMap, StatusCode, header};
use uuid::Uuid;

/// A form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON array of Firefly's own objects.
    Json,
    /// The same objects, one a line.
    Ndjson,
    /// A batch of CloudEvents 1.0 in JSON.
    CloudEvents,
}

/// All of them, the one that goes before others first.
const FORMATS: [Format; 3] = [Format::Json, Format::Ndjson, Format::CloudEvents];

impl Format {
    /// The form that a request wants: the parameter goes before the header, JSON before all others.
    ///
    /// # Errors
    ///
    /// 400 or 406: there is no such form.
    pub fn wanted(parameter: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        if let Some(name) = parameter {
            let named = FORMATS.into_iter().find(|format| format.name() == name);
            return named.ok_or_else(|| {
                Problem::malformed(format!(
                    "format is json, ndjson or cloudevents, not {name:?}"
                ))
            });
        }
        let accepted: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter(|range| !refuses(range))
            .filter_map(|range| range.split(';').next().map(str::trim))
            .collect();
        if accepted.is_empty() && !headers.contains_key(header::ACCEPT) {
            return Ok(Self::Json);
        }
        let specific = accepted.iter().find_map(|range| {
            let named = |format: &Format| range.eq_ignore_ascii_case(format.media_type());
            FORMATS.into_iter().find(named)
        });
        let any = || {
            let is_any = |range: &&str| matches!(*range, "*/*" | "application/*");
            accepted.iter().any(is_any).then_some(Self::Json)
        };
        specific.or_else(any).ok_or_else(|| {
            let forms = FORMATS.map(Self::media_type).join(", ");
            let detail = format!("events can be had as {forms}");
            Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", detail)
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// What `Content-Type` says of it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::CloudEvents => "application/cloudevents-batch+json",
        }
    }

    /// What comes before the first event.
    pub const fn beginning(self) -> &'static str {
        match self {
            Self::Json | Self::CloudEvents => "[\n",
            Self::Ndjson => "",
        }
    }

    /// What comes behind the last event.
    pub const fn end(self) -> &'static str {
        match self {
            Self::Json | Self::CloudEvents => "]\n",
            Self::Ndjson => "",
        }
    }

    /// Writes one event; all but the first are told apart from the one before.
    pub fn write(self, event: &RecordedEvent, log: &Uuid, is_first: bool, output: &mut Vec<u8>) {
        let line = match self {
            Self::Json | Self::Ndjson => lines::Format::Ndjson,
            Self::CloudEvents => lines::Format::CloudEvents,
        };
        if self != Self::Ndjson && !is_first {
            output.push(b',');
        }
        encode(event, log, line, output);
    }
}

/// Whether a range of `Accept` says that it is not wanted.
fn refuses(range: &str) -> bool {
    let parameters = range.split(';').skip(1);
    parameters
        .filter_map(|parameter| parameter.trim().strip_prefix("q="))
        .any(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &str) -> Result<Format, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Format::wanted(None, &headers)
    }

    #[test]
    fn json_is_what_is_sent_if_nothing_else_is_wanted() {
        assert_eq!(Format::wanted(None, &HeaderMap::new()), Ok(Format::Json));
        assert_eq!(accepting("*/*"), Ok(Format::Json));
        assert_eq!(accepting("text/html, */*;q=0.8"), Ok(Format::Json));
    }

    #[test]
    fn the_header_picks_a_form_and_the_parameter_goes_before_it() {
        assert_eq!(accepting("application/x-ndjson"), Ok(Format::Ndjson));
        assert_eq!(
            accepting("application/cloudevents-batch+json; charset=utf-8, */*"),
            Ok(Format::CloudEvents)
        );
        assert_eq!(
            accepting("application/x-ndjson;q=0, application/json"),
            Ok(Format::Json)
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, "text/csv".parse().unwrap());
        assert_eq!(Format::wanted(Some("ndjson"), &headers), Ok(Format::Ndjson));
    }

    #[test]
    fn there_is_no_other_form() {
        assert!(accepting("text/csv").is_err());
        assert!(accepting("*/*;q=0").is_err());
        assert!(Format::wanted(Some("xml"), &HeaderMap::new()).is_err());
    }
}
