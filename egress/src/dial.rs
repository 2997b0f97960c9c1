//! From a target to a connection: judged, resolved once, judged again, and connected to that very address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{Limits, UpstreamProxy};
use crate::policy::{Refusal, Rules};
use crate::target::{Host, Target};

/// Lookups under way at once; each holds a thread for as long as the system takes.
const LOOKUPS_MAX: usize = 64;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// How long one address is tried while there are others.
const ADDRESS_TRY: Duration = Duration::from_secs(3);

/// Any port will do to ask the system which way it would go.
const ANY_PORT: u16 = 9;

/// No host has these: they are reserved, and for discarding.
const NOBODYS_V4: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 1);
const NOBODYS_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

/// Looks names up. Others than the system's are for tests.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of a name.
    ///
    /// # Errors
    ///
    /// There are none, or nobody can tell.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug)]
pub struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS_MAX)))
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let name = name.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            // Held until the system answers, also when nobody waits for it any more.
            let _turn = turn;
            let addresses = (name.as_str(), ANY_PORT).to_socket_addrs()?;
            Ok(addresses.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}

/// Why there is no connection, in a sentence for those who read the output of git and npm.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// It may not be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name has no address.
    #[error("Firefly finds no address for {0}; see whether the name is right ({1})")]
    Unresolved(Target, #[source] io::Error),
    /// Nobody accepts.
    #[error("Firefly cannot connect to {0}: {1}")]
    Unreachable(Target, #[source] io::Error),
    /// It took too long.
    #[error("Firefly could not connect to {0} in time")]
    Slow(Target),
    /// The proxy that Firefly has to use does not do it.
    #[error("the proxy that Firefly has to use does not connect to {0} (it answers {1})")]
    ProxyRefused(Target, StatusCode),
    /// It does not speak HTTP with us.
    #[error("the proxy that Firefly has to use could not be asked for {0}: {1}")]
    Proxy(Target, #[source] hyper::Error),
}

impl Trouble {
    /// What is answered.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::Slow(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Unresolved(..)
            | Self::Unreachable(..)
            | Self::ProxyRefused(..)
            | Self::Proxy(..) => StatusCode::BAD_GATEWAY,
        }
    }
}

/// Bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection, and whether requests on it are read by a proxy first.
pub(crate) struct Connected {
    pub(crate) stream: Box<dyn Stream>,
    /// Set where the proxy itself reads the request: then it is told the whole URL.
    pub(crate) proxy: Option<UpstreamProxy>,
}

/// Makes connections.
pub(crate) struct Dialer {
    rules: Rules,
    resolver: Arc<dyn Resolver>,
    proxy: Option<UpstreamProxy>,
    resolve: Duration,
    connect: Duration,
}

impl Dialer {
    pub(crate) fn new(
        rules: Rules,
        resolver: Arc<dyn Resolver>,
        proxy: Option<UpstreamProxy>,
        limits: &Limits,
    ) -> Self {
        Self {
            rules,
            resolver,
            proxy,
            resolve: limits.resolve,
            connect: limits.connect,
        }
    }

    /// A connection for bytes of any kind.
    pub(crate) async fn tunnel(&self, target: &Target) -> Result<Box<dyn Stream>, Trouble> {
        match self.proxy_for(target) {
            None => Ok(Box::new(self.direct(target).await?)),
            Some(proxy) => {
                self.rules.judge_unseen(target)?;
                let asked = timeout(self.connect, ask_proxy(proxy, target));
                asked.await.map_err(|_| Trouble::Slow(target.clone()))?
            }
        }
    }

    /// A connection for one plain request.
    pub(crate) async fn plain(&self, target: &Target) -> Result<Connected, Trouble> {
        let Some(proxy) = self.proxy_for(target) else {
            let stream = Box::new(self.direct(target).await?);
            let proxy = None;
            return Ok(Connected { stream, proxy });
        };
        self.rules.judge_unseen(target)?;
        let connected = timeout(self.connect, connect_to_proxy(proxy));
        let stream = connected
            .await
            .map_err(|_| Trouble::Slow(target.clone()))?
            .map_err(|error| Trouble::Unreachable(proxy.target.clone(), error))?;
        Ok(Connected {
            stream: Box::new(stream),
            proxy: Some(proxy.clone()),
        })
    }

    fn proxy_for(&self, target: &Target) -> Option<&UpstreamProxy> {
        let proxy = self.proxy.as_ref();
        proxy.filter(|proxy| !proxy.passes_over(&target.host))
    }

    async fn direct(&self, target: &Target) -> Result<TcpStream, Trouble> {
        self.rules.judge(target)?;
        let addresses = self.addresses(target).await?;
        let deadline = Instant::now() + self.connect;
        let mut last = None;
        for (index, address) in addresses.iter().enumerate() {
            let is_last = index + 1 == addresses.len();
            let until = if is_last {
                deadline
            } else {
                deadline.min(Instant::now() + ADDRESS_TRY)
            };
            match timeout_at(until, TcpStream::connect((*address, target.port))).await {
                Ok(Ok(stream)) => {
                    // Tunnels carry conversations; small parts of them must not wait.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => {}
            }
        }
        Err(match last {
            Some(error) => Trouble::Unreachable(target.clone(), error),
            None => Trouble::Slow(target.clone()),
        })
    }

    /// The addresses that may be connected to; the first refusal if there are none.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, Trouble> {
        let found = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => timeout(self.resolve, self.resolver.resolve(name))
                .await
                .map_err(|_| Trouble::Slow(target.clone()))?
                .map_err(|error| Trouble::Unresolved(target.clone(), error))?,
        };
        let (mut open, mut refusal) = (Vec::new(), None);
        for address in found {
            match self.rules.judge_address(target, address, is_own(address)) {
                Ok(()) => open.push(address),
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        open.truncate(ADDRESSES_MAX);
        match refusal {
            Some(refusal) if open.is_empty() => Err(refusal.into()),
            _ if open.is_empty() => {
                let none = io::Error::new(io::ErrorKind::NotFound, "it has none");
                Err(Trouble::Unresolved(target.clone(), none))
            }
            _ => Ok(open),
        }
    }
}

/// Whether an address is one of this host: then a socket can have it. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let nobodys: IpAddr = match address {
        IpAddr::V4(_) => NOBODYS_V4.into(),
        IpAddr::V6(_) => NOBODYS_V6.into(),
    };
    let can_have = |address| UdpSocket::bind((address, 0)).is_ok();
    can_have(address) && (!can_have(nobodys) || answers_from(address))
}

/// Whether the system would answer from the address that it is asked at. Where it lets sockets have every address there
/// is, this still tells the first address of each interface.
fn answers_from(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let way = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(address, ANY_PORT))?;
        socket.local_addr()
    });
    way.is_ok_and(|from| from.ip() == address)
}

async fn connect_to_proxy(proxy: &UpstreamProxy) -> io::Result<TcpStream> {
    let port = proxy.target.port;
    let stream = match &proxy.target.host {
        Host::Name(name) => TcpStream::connect((name.as_str(), port)).await?,
        Host::Address(address) => TcpStream::connect((*address, port)).await?,
    };
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Has the proxy connect to the target.
async fn ask_proxy(proxy: &UpstreamProxy, target: &Target) -> Result<Box<dyn Stream>, Trouble> {
    let stream = connect_to_proxy(proxy)
        .await
        .map_err(|error| Trouble::Unreachable(proxy.target.clone(), error))?;
    let broken = |error| Trouble::Proxy(target.clone(), error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // It ends when the answer is refused or the tunnel is taken over.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::connect(target.to_string())
        .header(HOST, target.to_string())
        .body(Empty::<Bytes>::new())
        .expect("a host and a port make a request");
    if let Some(authorization) = &proxy.authorization {
        let headers = request.headers_mut();
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    let answer = sender.send_request(request).await.map_err(broken)?;
    if answer.status() != StatusCode::OK {
        return Err(Trouble::ProxyRefused(target.clone(), answer.status()));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(broken)?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_addresses_are_known() {
        let own = |address: &str| is_own(address.parse().unwrap());
        assert!(own("127.0.0.1"));
        // Not the one that an answer would come from.
        assert!(own("127.1.2.3") && !answers_from("127.1.2.3".parse().unwrap()));
        for address in ["203.0.113.253", "8.8.8.8", "2001:db8::253", "240.0.0.1"] {
            assert!(!own(address), "{address}");
        }
    }
}
