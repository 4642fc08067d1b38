//! A client's connection: the socket that pingora's HTTP session works on.
//!
//! It differs from pingora's own stream in two ways. Small writes are gathered until a flush, so that an
//! answer's header and body leave in one segment; and a write that makes no progress fails after a time,
//! also while a header is written, which pingora's write timeout does not cover.

use std::{
    future::Future,
    io::{self, IoSlice},
    os::fd::AsRawFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
    time::Sleep,
};

/// Bytes gathered before they are written without a flush being asked for.
const GATHER: usize = 16 << 10;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    gathered: BytesMut,
    write_timeout: Duration,
    /// Runs while a write waits for the client to read.
    stuck: Option<Pin<Box<Sleep>>>,
}

/// The kinds of socket that the gateway listens on.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    pub(super) fn new(socket: Socket, write_timeout: Duration) -> Self {
        if let Socket::Tcp(tcp) = &socket {
            // Tokens must not wait for the previous one's acknowledgement. It fails only on a connection
            // that is gone already, which the first read will tell.
            let _ = tcp.set_nodelay(true);
        }
        Self {
            socket,
            gathered: BytesMut::new(),
            write_timeout,
            stuck: None,
        }
    }

    fn write_through(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Socket::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
        };
        match written {
            Poll::Ready(result) => {
                self.stuck = None;
                Poll::Ready(result)
            }
            Poll::Pending => {
                let timeout = self.write_timeout;
                let stuck = self
                    .stuck
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
                ready!(stuck.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not read its answer",
                )))
            }
        }
    }

    fn write_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let gathered = std::mem::take(&mut self.gathered);
            let result = self.write_through(cx, &[IoSlice::new(&gathered)]);
            self.gathered = gathered;
            match ready!(result)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gathered.advance(written),
            }
        }
        // Reclaims what `advance` cut off the front.
        self.gathered.clear();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Socket::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.gathered.len() + length > GATHER {
            ready!(self.write_gathered(cx))?;
        }
        if length > GATHER {
            return self.write_through(cx, bufs);
        }
        for buf in bufs {
            self.gathered.extend_from_slice(buf);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_gathered(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_gathered(cx))?;
        match &mut self.socket {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}

#[async_trait::async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // It fails only where there is no longer anything to shut down.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.as_raw_fd(),
            Socket::Unix(unix) => unix.as_raw_fd(),
        }
    }
}

// pingora keeps these for its own logs, which the gateway does not use.
impl Ssl for Connection {}

impl Peek for Connection {}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
