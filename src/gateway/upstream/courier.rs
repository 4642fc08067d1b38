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
        // A body of many megabytes must not stay for as long as the answer takes.
        self.body = Bytes::new();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn courier(buffer: usize, body: &[u8]) -> (Courier, tokio::io::DuplexStream) {
        let (near, far) = duplex(buffer);
        let head = Bytes::from_static(b"POST / HTTP/1.1\r\n\r\n");
        (
            Courier::new(Box::new(near), head, Bytes::copy_from_slice(body)),
            far,
        )
    }

    #[tokio::test]
    async fn reading_the_answer_sends_the_request_through_any_buffer() {
        for buffer in [1, 2, 19, 21, 22, 64, 1 << 20] {
            for length in [0, 1, 100, 5000] {
                let body = vec![b'x'; length];
                let (mut courier, mut far) = courier(buffer, &body);
                let server = tokio::spawn(async move {
                    let mut request = vec![0; 19 + length];
                    far.read_exact(&mut request).await.unwrap();
                    far.write_all(b"ok").await.unwrap();
                    request
                });
                let mut answer = [0; 2];
                courier.read_exact(&mut answer).await.unwrap();
                let request = server.await.unwrap();
                assert!(request.starts_with(b"POST /") && request.ends_with(&body));
                assert!(courier.received());
                assert!(courier.into_reusable().is_some());
            }
        }
    }

    #[tokio::test]
    async fn an_answer_in_the_middle_of_the_request_is_read_and_the_connection_not_reused() {
        let (mut courier, mut far) = courier(16, &[b'x'; 1000]);
        far.write_all(b"no").await.unwrap();
        let mut answer = [0; 2];
        courier.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"no");
        assert!(courier.into_reusable().is_none());
    }

    #[tokio::test]
    async fn what_was_said_before_a_broken_connection_is_read() {
        let (mut courier, mut far) = courier(16, &[b'x'; 1000]);
        far.write_all(b"no").await.unwrap();
        drop(far);
        let mut answer = String::new();
        courier.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "no");
        assert!(courier.into_reusable().is_none());
    }
}
