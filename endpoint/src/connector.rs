//! Endpoints for hyper's client, which wants a URL of everything.
//!
//! A path is no host of a URL, so the host is the endpoint's text in hex digits, of either form. The client keeps a
//! pool for each host, and so for each endpoint.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use firefly_domain::{Address, Endpoint};
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use hyper_util::rt::TokioIo;
use tower::Service;

use crate::{Error, Stream, connect};

/// What a request over a Unix socket says for its host. Project-servers answer to addresses and to no name, since a
/// name may be anybody's.
const UNIX_HOST: &str = "127.0.0.1:80";

/// Makes a request one to the project-server at an endpoint, for a client with a [`Connector`]. The path has the query
/// behind it.
///
/// # Errors
///
/// The endpoint names no address, or the path makes no URL.
pub fn direct<B>(request: &mut Request<B>, endpoint: &Endpoint, path: &str) -> Result<(), Error> {
    let host = match endpoint.address()? {
        Address::Tcp(authority) => authority,
        Address::Unix(_) => UNIX_HOST,
    };
    let host = HeaderValue::try_from(host).map_err(|_| Error::Url(host.to_owned()))?;
    let uri = format!("http://{}{path}", hex::encode(endpoint.as_str()));
    *request.uri_mut() = uri.parse().map_err(|_| Error::Url(path.to_owned()))?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// Connects hyper's client to where [`direct`] sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Connector {
    limit: Duration,
}

impl Connector {
    /// A connector whose connections are there within `limit`, or never.
    pub const fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.limit;
        Box::pin(async move {
            let stream = connect(&endpoint_of(&uri)?, limit).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// The endpoint in a URL that [`direct`] has made.
fn endpoint_of(uri: &Uri) -> Result<Endpoint, Error> {
    let host = uri.host().unwrap_or_default();
    let bytes = hex::decode(host).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Endpoint::new)
        .ok_or_else(|| Error::Url(uri.to_string()))
}

#[cfg(test)]
mod tests;
