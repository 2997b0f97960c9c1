//! Requests with a whole URL, as programs send them to a proxy for plain HTTP: passed on, and their answers back, as they
//! stream.

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::answer::{Answer, Body, BoxError, bounded, sentence};
use crate::dial::Connected;
use crate::egress::Shared;
use crate::target::Target;
use crate::{measure, tunnel};

/// Where plain HTTP is served.
const HTTP_PORT: u16 = 80;

/// Fields that mean something on one connection alone.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Passes a request on.
pub(crate) async fn pass(shared: &Shared, request: Request<Incoming>) -> Answer {
    let target = match target(request.uri()) {
        Ok(target) => target,
        Err(said) => return sentence(StatusCode::BAD_REQUEST, &said),
    };
    let Some(place) = shared.passage() else {
        return tunnel::busy();
    };
    let connected = match shared.dialer.plain(&target).await {
        Ok(connected) => connected,
        Err(trouble) => return shared.refuse(&trouble),
    };
    measure::passed("request");
    let idle = shared.limits.idle;
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, bounded(body, idle, ()));
    let asked = timeout(
        shared.limits.response_head,
        ask(connected, &target, request),
    );
    match asked.await {
        Ok(Ok(mut answer)) => {
            remove_hop_by_hop(answer.headers_mut());
            answer.map(|body| bounded(body, idle, place))
        }
        Ok(Err(error)) => {
            let said = format!("{target} broke the connection before it answered: {error}");
            sentence(StatusCode::BAD_GATEWAY, &said)
        }
        Err(_) => {
            let said = format!("{target} did not begin its answer in time");
            sentence(StatusCode::GATEWAY_TIMEOUT, &said)
        }
    }
}

fn target(uri: &Uri) -> Result<Target, String> {
    if uri.scheme_str() != Some("http") {
        return Err(
            "Firefly passes requests on over http alone; https goes through CONNECT".into(),
        );
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("a URL that is passed on holds no credentials; send them as a field".into());
    }
    Target::parse(authority, Some(HTTP_PORT)).map_err(|error| error.to_string())
}

async fn ask(
    connected: Connected,
    target: &Target,
    mut request: Request<Body>,
) -> Result<http::Response<Incoming>, BoxError> {
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    // Whoever waits for leave to send has it: the body is passed on as it comes.
    headers.remove(EXPECT);
    let host = match target.port {
        HTTP_PORT => target.host.to_string(),
        _ => target.to_string(),
    };
    headers.insert(HOST, HeaderValue::try_from(host)?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let path = request.uri().path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = match &connected.proxy {
        None => Uri::from(path),
        Some(proxy) => {
            if let Some(authorization) = &proxy.authorization {
                let headers = request.headers_mut();
                headers.insert(PROXY_AUTHORIZATION, authorization.clone());
            }
            format!("http://{target}{path}").parse()?
        }
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(connected.stream)).await?;
    // It ends with the answer's body, or when nobody wants that any more.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|token| token.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_are_passed_on() {
        let target = |uri: &'static str| {
            let target = target(&Uri::from_static(uri));
            target.map(|target| target.to_string()).ok()
        };
        assert_eq!(target("http://a.test/x").unwrap(), "a.test:80");
        assert_eq!(target("http://a.test:8080/x").unwrap(), "a.test:8080");
        for uri in [
            "https://a.test/",
            "ftp://a.test/",
            "http://bob:x@a.test/",
            "/x",
        ] {
            assert_eq!(target(uri), None, "{uri}");
        }
    }

    #[test]
    fn fields_of_one_hop_stay_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Basic y"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["authorization"]);
    }
}
