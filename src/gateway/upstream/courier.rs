//! An upstream's connection that sends a request while it waits for the answer.
//!
//! pingora's HTTP session either writes or reads, so a server that answers before it has read the whole body,
//! say with 413, and then stops reading would never be heard. Here whoever reads the answer moves the request
//! on, and header and body leave in one segment.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection with a request on its way.
#[derive(Debug)]
pub(super) struct Courier {
    stream: Stream,
    head: Bytes,
    body: Bytes,
    unflushed: bool,
    write_failed: bool,
    received: bool,
}

impl Courier {
    /// A courier that is to send this header and body.
    pub(super) fn new(stream: Stream, head: Bytes, body: Bytes) -> Self {
        Self {
            stream,
            head,
            body,
            unflushed: true,
            write_failed: false,
            received: false,
        }
    }

    /// Whether any byte of an answer has come.
    pub(super) fn received(&self) -> bool {
        self.received
    }

    /// The connection, if the request was sent in full, so that another one may follow.
    pub(super) fn into_reusable(self) -> Option<Stream> {
        (!self.unflushed && !self.write_failed).then_some(self.stream)
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.head.has_remaining() || self.body.has_remaining() {
            let slices = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(self.head.len());
            self.head.advance(of_head);
            self.body.advance(written - of_head);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Courier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.write_failed && matches!(self.send(cx), Poll::Ready(Err(_))) {
            // What the server said before it stopped reading may still be read; if it said nothing, the read
            // fails as well.
            self.write_failed = true;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.received |= buf.filled().len() > before;
        Poll::Ready(Ok(()))
    }
}

/// The session that reads the answer writes nothing; only its shutdown comes this way.
impl AsyncWrite for Courier {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait::async_trait]
impl Shutdown for Courier {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for Courier {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Courier {}

impl Peek for Courier {}

impl GetTimingDigest for Courier {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Courier {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Courier {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
