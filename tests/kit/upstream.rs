//! An upstream whose every connection a test holds in its hands.

use std::net::SocketAddr;

use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpListener,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use url::Url;

use super::{
    message::{Message, MessageReader},
    soon,
};

/// A listening upstream.
pub(crate) struct Upstream {
    pub(crate) listener: TcpListener,
}

/// One connection of the gateway to the upstream.
pub(crate) struct Call {
    pub(crate) writer: OwnedWriteHalf,
    pub(crate) reader: MessageReader<OwnedReadHalf>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}/v1", self.address()).parse().unwrap()
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Call {
        let (stream, _) = soon("a connection to the upstream", self.listener.accept())
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Call {
            writer,
            reader: MessageReader::new(reader),
        }
    }

    /// Answers every request of every connection with what `answer` makes of it, for ever.
    pub(crate) fn serve(
        self,
        answer: impl Fn(Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> SocketAddr {
        let address = self.address();
        let answer = std::sync::Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let mut call = self.accept_now().await;
                let answer = std::sync::Arc::clone(&answer);
                tokio::spawn(async move {
                    while let Some(request) = call.try_request().await {
                        let answer = answer(request);
                        if call.writer.write_all(&answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    async fn accept_now(&self) -> Call {
        let (stream, _) = self.listener.accept().await.unwrap();
        let (reader, writer) = stream.into_split();
        Call {
            writer,
            reader: MessageReader::new(reader),
        }
    }
}

impl Call {
    /// Reads a whole request.
    pub(crate) async fn request(&mut self) -> Message {
        soon("a request at the upstream", self.try_request())
            .await
            .expect("the connection was closed")
    }

    async fn try_request(&mut self) -> Option<Message> {
        let mut message = self.reader.header().await.ok()??;
        self.reader.body(&mut message, false).await.ok()?;
        Some(message)
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a chunk.
    pub(crate) async fn chunk(&mut self, data: &str) {
        self.send(format!("{:x}\r\n{data}\r\n", data.len())).await;
    }

    /// Waits until the gateway closes the connection.
    pub(crate) async fn closed(&mut self) -> bool {
        soon("the end of the connection", self.reader.closed()).await
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        let stream = self.writer.reunite(self.reader.into_inner()).unwrap();
        #[allow(
            deprecated,
            reason = "a zero linger time is what makes a close a reset"
        )]
        stream.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

/// An answer with a length.
pub(crate) fn answer(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The header of a chunked stream of events.
pub(crate) const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
