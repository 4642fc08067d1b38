//! The sockets on which clients reach the gateway.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::connection::Socket;
use crate::config::Address;

/// Connections that may wait to be accepted: as many as there may be at all by default. Where more come at once, the
/// system lets some wait for seconds and loses what their clients sent.
const BACKLOG: u32 = 1024;

/// A socket that accepts clients.
#[derive(Debug)]
pub struct Listener {
    socket: ListenerSocket,
    address: BoundAddress,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Where a listener really listens: a TCP port 0 has become the port that the system chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// As the configuration would have named it.
impl From<&BoundAddress> for Address {
    fn from(bound: &BoundAddress) -> Self {
        match bound {
            BoundAddress::Tcp(address) => Self::Tcp(*address),
            BoundAddress::Unix(path) => Self::Unix(path.clone()),
        }
    }
}

impl Listener {
    /// Listens on a TCP address.
    ///
    /// # Errors
    /// Where the system refuses, e.g. because the port is taken.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = BoundAddress::Tcp(socket.local_addr()?);
        Ok(Self {
            socket: ListenerSocket::Tcp(socket),
            address,
        })
    }

    /// Listens on a Unix socket. A socket file left behind by a process that is gone is replaced.
    ///
    /// # Errors
    /// Where the system refuses, e.g. because another process listens there or a file of another kind is
    /// in the way.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let socket = bind_unix(path)?;
        Ok(Self {
            socket: ListenerSocket::Unix(socket),
            address: BoundAddress::Unix(path.to_owned()),
        })
    }

    /// Where this listener listens.
    #[must_use]
    pub fn address(&self) -> &BoundAddress {
        &self.address
    }

    pub(super) async fn accept(&self) -> io::Result<Socket> {
        match &self.socket {
            ListenerSocket::Tcp(tcp) => tcp.accept().await.map(|(socket, _)| Socket::Tcp(socket)),
            ListenerSocket::Unix(unix) => {
                unix.accept().await.map(|(socket, _)| Socket::Unix(socket))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let BoundAddress::Unix(path) = &self.address {
            // Nobody answers there any more; a file that is gone already is as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A Unix socket at `path`; see [`Listener::unix`].
pub(crate) fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        result => result,
    }
}

/// Whether a socket file has no listener behind it.
fn is_abandoned(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn replaces_an_abandoned_unix_socket_but_no_live_one_and_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::unix(&path).unwrap();
        assert_eq!(
            Listener::unix(&path).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "not a socket").unwrap();
        assert!(Listener::unix(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a socket");
    }

    #[tokio::test]
    async fn tells_the_port_that_the_system_chose() {
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let BoundAddress::Tcp(address) = listener.address() else {
            panic!("not TCP")
        };
        assert_ne!(address.port(), 0);
    }

    #[tokio::test]
    async fn a_crowd_is_let_in_before_anybody_is_accepted() {
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let BoundAddress::Tcp(address) = *listener.address() else {
            panic!("not TCP")
        };
        let crowd = (0..300).map(|_| tokio::net::TcpStream::connect(address));
        let all = futures::future::try_join_all(crowd);
        let patience = std::time::Duration::from_secs(10);
        let connected = tokio::time::timeout(patience, all).await;
        assert_eq!(connected.unwrap().unwrap().len(), 300);
    }
}
