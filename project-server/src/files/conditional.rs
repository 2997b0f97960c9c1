//! Decides between 200, 206, 304 and 416 from the request's conditions, without touching the file.

use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};

use super::range::{self, Wanted};

/// How to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The client has it already.
    NotModified,
    /// This part of it; everything is a part, too.
    Send(Wanted),
}

/// Reads the conditions of a request for a representation of `length` bytes.
pub(super) fn plan(headers: &HeaderMap, etag: &str, modified: &str, length: u64) -> Plan {
    if matches(headers.get_all(IF_NONE_MATCH).iter(), etag) {
        return Plan::NotModified;
    }
    let same = headers
        .get(IF_RANGE)
        .is_none_or(|value| value == etag || value == modified);
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    Plan::Send(match range {
        Some(range) if same => range::read(range, length),
        _ => Wanted::All,
    })
}

/// Whether one of the listed tags is this one, by the weak comparison that `If-None-Match` asks for.
pub(super) fn matches<'a>(values: impl Iterator<Item = &'a HeaderValue>, etag: &str) -> bool {
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_for(headers: &[(&'static str, &'static str)]) -> Plan {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        plan(&headers, "\"a\"", "Thu, 01 Jan 1970 00:00:00 GMT", 10)
    }

    #[test]
    fn a_tag_the_client_has_is_not_sent_again() {
        for tags in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert_eq!(plan_for(&[("if-none-match", tags)]), Plan::NotModified);
        }
        assert_eq!(
            plan_for(&[("if-none-match", "\"b\"")]),
            Plan::Send(Wanted::All)
        );
    }

    #[test]
    fn a_range_of_another_version_is_not_mixed_in() {
        let part = Plan::Send(Wanted::Part { first: 0, last: 1 });
        let range = ("range", "bytes=0-1");
        assert_eq!(plan_for(&[range]), part);
        assert_eq!(plan_for(&[range, ("if-range", "\"a\"")]), part);
        assert_eq!(
            plan_for(&[range, ("if-range", "Thu, 01 Jan 1970 00:00:00 GMT")]),
            part
        );
        assert_eq!(
            plan_for(&[range, ("if-range", "\"b\"")]),
            Plan::Send(Wanted::All)
        );
        assert_eq!(
            plan_for(&[range, ("if-range", "W/\"a\"")]),
            Plan::Send(Wanted::All)
        );
    }
}
