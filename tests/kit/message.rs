//! HTTP messages as they are on the wire.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A request or an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// Request line or status line.
    pub(crate) first_line: String,
    /// Names in lower case, values as sent, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// The sizes of the chunks that the body came in; empty where it was not chunked.
    pub(crate) chunks: Vec<usize>,
}

impl Message {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The data of the body's server-sent events.
    pub(crate) fn events(&self) -> Vec<String> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(str::to_owned)
            .collect()
    }
}

/// Reads messages from one direction of a connection.
#[derive(Debug)]
pub(crate) struct MessageReader<R> {
    reader: R,
    ahead: Vec<u8>,
}

impl<R: AsyncRead + Unpin> MessageReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            ahead: Vec::new(),
        }
    }

    /// The connection again; what was read ahead is lost.
    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// Reads a header; nothing at the end of the connection.
    pub(crate) async fn header(&mut self) -> io::Result<Option<Message>> {
        let Some(first_line) = self.line().await? else {
            return Ok(None);
        };
        let mut message = Message {
            first_line,
            ..Message::default()
        };
        loop {
            let line = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(Some(message));
            }
            let (name, value) = line.split_once(':').unwrap();
            message
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads the body that a header announces; an answer without a length ends with the connection.
    pub(crate) async fn body(&mut self, message: &mut Message, is_answer: bool) -> io::Result<()> {
        if message.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk().await? {
                message.chunks.push(chunk.len());
                message.body.extend(chunk);
            }
        } else if let Some(length) = message.header("content-length") {
            message.body = self.exactly(length.parse().unwrap()).await?;
        } else if is_answer {
            message.body = std::mem::take(&mut self.ahead);
            self.reader.read_to_end(&mut message.body).await?;
        }
        Ok(())
    }

    /// Reads one chunk; nothing at the last one.
    pub(crate) async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = usize::from_str_radix(line.split(';').next().unwrap().trim(), 16).unwrap();
        if size == 0 {
            while self
                .line()
                .await?
                .is_some_and(|trailer| !trailer.is_empty())
            {}
            return Ok(None);
        }
        let chunk = self.exactly(size).await?;
        self.line().await?;
        Ok(Some(chunk))
    }

    /// Waits for the end of the connection; true if it was a clean one and nothing came before it.
    pub(crate) async fn closed(&mut self) -> bool {
        let mut rest = [0; 64];
        self.ahead.is_empty() && matches!(self.reader.read(&mut rest).await, Ok(0) | Err(_))
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let line = self.ahead.drain(..end + 2).take(end).collect();
                return Ok(Some(String::from_utf8(line).unwrap()));
            }
            if !self.more().await? {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if !self.more().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    async fn more(&mut self) -> io::Result<bool> {
        Ok(self.reader.read_buf(&mut self.ahead).await? > 0)
    }
}
