//! A client that sends exactly the bytes that a test wants.

use std::{io, net::SocketAddr};

use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{
    message::{Message, MessageReader},
    soon,
};

/// One connection to the gateway.
pub(crate) struct Client {
    pub(crate) writer: OwnedWriteHalf,
    pub(crate) reader: MessageReader<OwnedReadHalf>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        Self {
            writer,
            reader: MessageReader::new(reader),
        }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a POST with a JSON body and further header lines.
    pub(crate) async fn post(&mut self, path: &str, headers: &[&str], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        );
        for header in headers {
            request += header;
            request += "\r\n";
        }
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut request = request.into_bytes();
        request.extend(body);
        self.send(request).await;
    }

    pub(crate) async fn get(&mut self, path: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .await;
        self.answer().await
    }

    /// Reads an answer's header.
    pub(crate) async fn header(&mut self) -> Message {
        soon("an answer's header", self.reader.header())
            .await
            .unwrap()
            .expect("the connection was closed")
    }

    /// Reads a whole answer.
    pub(crate) async fn answer(&mut self) -> Message {
        self.try_answer()
            .await
            .unwrap()
            .expect("the connection was closed")
    }

    /// Reads a whole answer, or learns how the connection ended instead.
    pub(crate) async fn try_answer(&mut self) -> io::Result<Option<Message>> {
        soon("an answer", async {
            let Some(mut message) = self.reader.header().await? else {
                return Ok(None);
            };
            self.reader.body(&mut message, true).await?;
            Ok(Some(message))
        })
        .await
    }

    /// Reads the next chunk of an answer as text.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        soon("a chunk", self.reader.chunk())
            .await
            .unwrap()
            .map(|chunk| String::from_utf8(chunk).unwrap())
    }

    /// Waits until the gateway closes the connection.
    pub(crate) async fn closed(&mut self) -> bool {
        soon("the end of the connection", self.reader.closed()).await
    }
}

/// One request on a connection of its own.
pub(crate) async fn post(address: SocketAddr, path: &str, body: impl AsRef<[u8]>) -> Message {
    let mut client = Client::connect(address).await;
    client.post(path, &["Connection: close"], body).await;
    client.answer().await
}
