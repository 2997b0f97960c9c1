//! Requests to a running Firefly.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde_json::{Value, json};

use super::token::{self, Token};
use crate::args;
use crate::exit::Refused;

/// Commands are decided in milliseconds; a server that takes this long is in trouble.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an answer that is read as it comes may take in all; it is given up sooner if nothing comes.
const STREAM_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the next piece of an answer may take. A server that looks for few events among many is silent for a while.
const SILENCE_MAX: Duration = Duration::from_secs(5 * 60);

/// What history calls this client.
const CLIENT: &str = "command line";

/// Query parameters; those without a value are left out.
pub type Query<'a> = [(&'a str, Option<&'a str>)];

/// Where live sockets are: the addresses to try, and the URL to ask for, without a position.
pub struct Live {
    pub addresses: Vec<SocketAddr>,
    pub url: String,
}

/// A signed-in client.
pub struct Api {
    client: Client,
    server: Url,
    /// Where the server's name leads, if the resolver is not to be asked.
    addresses: Vec<SocketAddr>,
    token: Token,
}

impl Api {
    /// Reaches the server, with the token of an earlier call if there is one.
    pub async fn connect(args: &args::Client) -> anyhow::Result<Self> {
        let server =
            Url::parse(&args.server).with_context(|| format!("{:?} is no URL", args.server))?;
        let mut client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .read_timeout(SILENCE_MAX)
            .no_proxy();
        let addresses = args
            .address
            .map_or_else(|| loopback(&server), |address| vec![address]);
        if let Some(host) = server.host_str().filter(|_| !addresses.is_empty()) {
            client = client.resolve_to_addrs(host, &addresses);
        }
        let client = client.build().context("cannot set the HTTP client up")?;
        let token = match token::load(&args.server) {
            Some(token) => token,
            None => sign_in(&client, &server).await?,
        };
        let mut api = Self {
            client,
            server,
            addresses,
            token,
        };
        // The token may be of an earlier installation, or too old.
        if api.send(Method::GET, "projections", None).await?.status() == StatusCode::UNAUTHORIZED {
            api.token = sign_in(&api.client, &api.server).await?;
        }
        token::store(&args.server, &api.token);
        Ok(api)
    }

    /// Who is signed in.
    pub fn user(&self) -> &str {
        &self.token.user
    }

    /// Where live sockets are.
    pub async fn live(&self) -> anyhow::Result<Live> {
        if self.server.scheme() != "http" {
            bail!(
                "this client follows projects over http only, not over {}",
                self.server.scheme()
            );
        }
        let host = self
            .server
            .host_str()
            .context("the server's URL has no host")?;
        let port = self
            .server
            .port_or_known_default()
            .context("the server's URL has no port")?;
        let addresses = if self.addresses.is_empty() {
            let name = host.trim_start_matches('[').trim_end_matches(']');
            tokio::net::lookup_host((name, port))
                .await
                .with_context(|| format!("cannot find {host}"))?
                .collect()
        } else {
            self.addresses.clone()
        };
        Ok(Live {
            addresses,
            url: format!("ws://{host}:{port}/api/v1/live?token={}", self.token.token),
        })
    }

    pub async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.get_with(path, &[]).await
    }

    /// Asks with those of the query parameters that have a value.
    pub async fn get_with(&mut self, path: &str, query: &Query<'_>) -> anyhow::Result<Value> {
        let request = self.request(Method::GET, path, query)?;
        answer(self.sent(request).await?).await
    }

    /// The same for an answer that is read as it comes, however long it is.
    pub async fn stream(
        &mut self,
        path: &str,
        query: &Query<'_>,
    ) -> anyhow::Result<reqwest::Response> {
        let request = self.request(Method::GET, path, query)?;
        let response = self.sent(request.timeout(STREAM_TIMEOUT)).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(match answer(response).await {
            Ok(_) => anyhow!("the server refused without a reason"),
            Err(refused) => refused,
        })
    }

    pub async fn post(&mut self, path: &str, body: Value) -> anyhow::Result<Value> {
        answer(self.send(Method::POST, path, Some(body)).await?).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<reqwest::Response> {
        let mut request = self.request(method, path, &[])?;
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.sent(request).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &Query<'_>,
    ) -> anyhow::Result<RequestBuilder> {
        let mut url = self.server.join(&format!("/api/v1/{path}"))?;
        let given: Vec<(&str, &str)> = query
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)))
            .collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given);
        }
        let request = self.client.request(method, url);
        Ok(request.bearer_auth(&self.token.token))
    }

    async fn sent(&self, request: RequestBuilder) -> anyhow::Result<reqwest::Response> {
        request
            .send()
            .await
            .with_context(|| unreachable(&self.server))
    }
}

async fn sign_in(client: &Client, server: &Url) -> anyhow::Result<Token> {
    let response = client
        .post(server.join("/api/v1/sessions/start")?)
        .json(&json!({"client": CLIENT}))
        .send()
        .await
        .with_context(|| unreachable(server))?;
    let answer = answer(response).await.context("cannot sign in")?;
    serde_json::from_value(json!({"user": answer["user"], "token": answer["token"]}))
        .context("the server's sign-in has no token")
}

async fn answer(response: reqwest::Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body: Value = response
        .json()
        .await
        .with_context(|| format!("the server answered {status} without JSON"))?;
    if status.is_success() {
        return Ok(body);
    }
    match (body["detail"].as_str(), body["code"].as_str()) {
        (Some(detail), Some(code)) => Err(Refused {
            detail: detail.to_owned(),
            code: code.to_owned(),
        }
        .into()),
        _ => Err(anyhow!("the server answered {status}")),
    }
}

fn unreachable(server: &Url) -> String {
    format!("no Firefly answers at {server}; start one with: firefly up")
}

/// Names below `localhost` are this host, whether or not its resolver knows that (RFC 6761 §6.3). Empty for others.
fn loopback(server: &Url) -> Vec<SocketAddr> {
    let host = server.host_str().unwrap_or_default();
    if host != "localhost" && !host.ends_with(".localhost") {
        return Vec::new();
    }
    let port = server.port_or_known_default().unwrap_or(80);
    let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_localhost_are_this_host_in_both_families() {
        let addresses = |url: &str| loopback(&Url::parse(url).unwrap());
        let both: Vec<SocketAddr> = ["127.0.0.1:7", "[::1]:7"]
            .map(|address| address.parse().unwrap())
            .into();
        assert_eq!(addresses("http://localhost:7"), both);
        assert_eq!(addresses("http://project.localhost:7"), both);
        assert_eq!(addresses("http://localhost.org:7"), []);
        assert_eq!(addresses("http://[::1]:7"), []);
    }
}
