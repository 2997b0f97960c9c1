//! Which header fields pass between a browser and a container, and which do not.

use std::net::SocketAddr;

use firefly_domain::ProjectKey;
use firefly_domain::control::PROJECT_HEADER;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, FORWARDED, HOST, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// They concern one connection only (RFC 9110 §7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Who a browser is stays with us: a container runs its project's code, which may be anyone's.
const NOT_FOR_CONTAINERS: [HeaderName; 4] = [AUTHORIZATION, COOKIE, FORWARDED, PROXY_AUTHORIZATION];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whose preview is asked for, so that a project-server can refuse what is meant for another: addresses of containers
/// are used again.
const FIREFLY_PROJECT: HeaderName = HeaderName::from_static(PROJECT_HEADER);

/// All projects share one origin, so none may set what holds for the whole of it: cookies, lasting policies, or a
/// service worker above its own directory.
const NOT_FOR_BROWSERS: [HeaderName; 7] = [
    SET_COOKIE,
    STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("alt-svc"),
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("service-worker-allowed"),
];

/// Whether a request asks for a WebSocket. Other upgrades are not offered, and their fields are dropped.
pub(crate) fn is_websocket(method: &Method, headers: &HeaderMap) -> bool {
    let asks_upgrade = tokens(headers, &CONNECTION).any(|t| t.eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(UPGRADE).map(HeaderValue::as_bytes);
    *method == Method::GET
        && asks_upgrade
        && protocol.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"))
}

/// Makes a browser's fields fit for a container.
pub(crate) fn to_container(headers: &mut HeaderMap, project: &ProjectKey, peer: SocketAddr) {
    remove_hop_by_hop(headers);
    for name in &NOT_FOR_CONTAINERS {
        headers.remove(name);
    }
    headers.remove(FIREFLY_PROJECT);
    if let Ok(project) = HeaderValue::try_from(project.to_string()) {
        headers.insert(FIREFLY_PROJECT, project);
    }
    // What a client says about itself in these three is not believed.
    headers.remove(FORWARDED_HOST);
    if let Some(host) = headers.remove(HOST) {
        headers.insert(FORWARDED_HOST, host);
    }
    if let Ok(address) = HeaderValue::try_from(peer.ip().to_canonical().to_string()) {
        headers.insert(FORWARDED_FOR, address);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
}

/// Makes a container's fields fit for a browser.
pub(crate) fn to_browser(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in &NOT_FOR_BROWSERS {
        headers.remove(name);
    }
}

/// Puts back what a handshake needs on each of its two hops.
pub(crate) fn ask_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.remove(CONTENT_LENGTH);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| token.parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn containers_learn_nothing_about_the_visitor() {
        let mut headers = map(&[
            ("host", "project.localhost:2440"),
            ("cookie", "a=b"),
            ("authorization", "Bearer x"),
            ("proxy-authorization", "Basic x"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("firefly-project", "bob/montage/app"),
            ("range", "bytes=0-1"),
            ("sec-fetch-dest", "document"),
        ]);
        let project = "alice/montage/app".parse().unwrap();
        let peer = "127.0.0.1:9".parse().unwrap();
        to_container(&mut headers, &project, peer);
        assert_eq!(
            names(&headers),
            [
                "firefly-project",
                "range",
                "sec-fetch-dest",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto"
            ]
        );
        assert_eq!(headers[FIREFLY_PROJECT], "alice/montage/app");
        assert_eq!(headers[FORWARDED_FOR], "127.0.0.1");
        assert_eq!(headers[FORWARDED_HOST], "project.localhost:2440");
        assert_eq!(headers[FORWARDED_PROTO], "http");
    }

    #[test]
    fn fields_of_one_hop_stay_there() {
        let mut headers = map(&[
            ("connection", "close, X-Private"),
            ("connection", "keep-alive"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("etag", "\"1\""),
        ]);
        to_browser(&mut headers);
        assert_eq!(names(&headers), ["etag"]);
    }

    #[test]
    fn a_project_sets_nothing_for_the_whole_origin() {
        let mut headers = map(&[
            ("set-cookie", "a=b; Path=/"),
            ("set-cookie", "c=d"),
            ("service-worker-allowed", "/"),
            ("clear-site-data", "\"*\""),
            ("strict-transport-security", "max-age=1"),
            ("cache-control", "no-cache"),
        ]);
        to_browser(&mut headers);
        assert_eq!(names(&headers), ["cache-control"]);
    }

    #[test]
    fn only_websocket_upgrades_count() {
        let asks =
            |fields: &[(&'static str, &'static str)]| is_websocket(&Method::GET, &map(fields));
        assert!(asks(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket")
        ]));
        assert!(!asks(&[("connection", "Upgrade"), ("upgrade", "h2c")]));
        assert!(!asks(&[("upgrade", "websocket")]));
        assert!(!is_websocket(
            &Method::POST,
            &map(&[("connection", "Upgrade"), ("upgrade", "websocket")])
        ));
    }
}
