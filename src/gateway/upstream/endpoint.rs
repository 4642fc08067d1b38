//! One base address of an upstream and the sockets behind its name.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use pingora_core::{protocols::TcpKeepalive, upstreams::peer::HttpPeer};
use url::{Host, Url};

/// How long the addresses of a name are used before they are looked up again.
const LOOKUP_LIFE: Duration = Duration::from_secs(30);
/// How long an unused connection is kept. Common servers (uvicorn, node, cpp-httplib) close after 5 s, and a
/// request that meets the close has to be sent twice.
pub(super) const IDLE_LIFE: Duration = Duration::from_secs(4);

/// One base address of an upstream.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The path that calls are appended to, without a slash at the end.
    pub(super) base_path: String,
    /// The value of the `Host` header.
    pub(super) authority: String,
    tls: bool,
    connect_timeout: Duration,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Address(Arc<[HttpPeer]>),
    Name {
        name: String,
        port: u16,
        found: Mutex<Option<(Instant, Arc<[HttpPeer]>)>>,
    },
}

impl Endpoint {
    pub(super) fn new(url: &Url, connect_timeout: Duration) -> Result<Self, &'static str> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err("only http and https are supported"),
        };
        let host = url.host().ok_or("it has no host")?;
        let port = url.port_or_known_default().ok_or("it has no port")?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let mut endpoint = Self {
            base_path: url.path().trim_end_matches('/').to_owned(),
            authority,
            tls,
            connect_timeout,
            target: Target::Address(Arc::new([])),
        };
        endpoint.target = match host {
            Host::Domain(name) => Target::Name {
                name: name.to_owned(),
                port,
                found: Mutex::new(None),
            },
            Host::Ipv4(ip) => {
                Target::Address([endpoint.peer(SocketAddr::new(IpAddr::V4(ip), port), "")].into())
            }
            Host::Ipv6(ip) => {
                Target::Address([endpoint.peer(SocketAddr::new(IpAddr::V6(ip), port), "")].into())
            }
        };
        Ok(endpoint)
    }

    /// The sockets to try, in order.
    pub(super) async fn peers(&self) -> io::Result<Arc<[HttpPeer]>> {
        let (name, port, found) = match &self.target {
            Target::Address(peers) => return Ok(Arc::clone(peers)),
            Target::Name { name, port, found } => (name, *port, found),
        };
        let known = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((looked_up, peers)) = known
            && looked_up.elapsed() < LOOKUP_LIFE
        {
            return Ok(peers);
        }
        let lookup = tokio::net::lookup_host((name.as_str(), port));
        let addresses = tokio::time::timeout(self.connect_timeout, lookup)
            .await
            .map_err(|_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("looking up {name} took too long"),
                )
            })??;
        let peers: Arc<[HttpPeer]> = addresses.map(|address| self.peer(address, name)).collect();
        *found.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::clone(&peers)));
        Ok(peers)
    }

    fn peer(&self, address: SocketAddr, name: &str) -> HttpPeer {
        // Without a name to check a certificate against, pingora checks none; the address serves as the name.
        let sni = if self.tls && name.is_empty() {
            address.ip().to_string()
        } else {
            name.to_owned()
        };
        let mut peer = HttpPeer::new(address, self.tls, sni);
        peer.options.connection_timeout = Some(self.connect_timeout);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        peer.options.idle_timeout = Some(IDLE_LIFE);
        // Finds out within a minute that a server has lost its power while it was to answer.
        peer.options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
        peer
    }
}
