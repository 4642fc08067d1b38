//! A client that may go away.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::message::{Message, MessageReader};

/// A request that is not answered in this time is stuck: longer than any deadline of the shipped policies.
const PATIENCE: Duration = Duration::from_secs(900);

/// When a client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    Never,
    /// As soon as it has asked.
    AtOnce,
    /// When the answer has begun.
    AtTheBeginning,
}

/// A request that was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) outcome: Outcome,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Answered {
        status: u16,
        usage: Option<Usage>,
        /// What a failure says.
        failure: Option<String>,
    },
    /// The client went away.
    Gone,
    /// The connection failed, or nothing came.
    Lost(String),
}

/// Tokens, as the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    pub(super) cached: u64,
    pub(super) completion: u64,
}

/// What is asked.
pub(super) struct Call<'a> {
    pub(super) path: &'a str,
    /// What makes the request's id different from the client's other ones.
    pub(super) id: String,
    /// Who asks in which chat, and what for, as Open WebUI tells.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a Value,
    pub(super) leaves: Leaves,
}

/// A client; it writes down what it has sent.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) api: SocketAddr,
    pub(super) name: String,
    pub(super) sent: Arc<Mutex<Vec<Sent>>>,
}

impl Client {
    /// Asks and returns the text of the answer; empty where there is none.
    pub(super) async fn ask(&self, call: Call<'_>) -> String {
        let id = format!("{}-{}", self.name, call.id);
        let asked = timeout(PATIENCE, self.exchange(&id, &call)).await;
        let (outcome, text) = match asked {
            Ok(Ok(Some(answer))) => read(&answer),
            Ok(Ok(None)) => (Outcome::Gone, String::new()),
            Ok(Err(error)) => (Outcome::Lost(error.to_string()), String::new()),
            Err(_) => (Outcome::Lost("stuck".to_owned()), String::new()),
        };
        self.sent.lock().unwrap().push(Sent { id, outcome });
        text
    }

    /// The answer; `None` where the client went away.
    async fn exchange(&self, id: &str, call: &Call<'_>) -> std::io::Result<Option<Message>> {
        let Call {
            path,
            headers,
            body,
            leaves,
            ..
        } = call;
        let body = body.to_string();
        let mut head = format!(
            "POST /v1/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nX-Request-Id: {id}\r\n"
        );
        for (name, value) in *headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(self.api).await?;
        stream.set_nodelay(true)?;
        stream.write_all(head.as_bytes()).await?;
        if *leaves == Leaves::AtOnce {
            return Ok(None);
        }
        let mut reader = MessageReader::new(stream);
        let Some(mut answer) = reader.header().await? else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        if *leaves == Leaves::AtTheBeginning {
            return Ok(None);
        }
        reader.body(&mut answer, true).await?;
        Ok(Some(answer))
    }
}

fn read(answer: &Message) -> (Outcome, String) {
    let status = answer.status();
    let is_stream = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    let chunks: Vec<Value> = if is_stream {
        let events = answer.events();
        let told = events.iter().filter(|event| *event != "[DONE]");
        told.map(|event| serde_json::from_str(event).unwrap())
            .collect()
    } else {
        vec![answer.json()]
    };
    let mut text = String::new();
    let (mut usage, mut failure) = (None, None);
    for chunk in &chunks {
        for place in ["/choices/0/delta/content", "/choices/0/message/content"] {
            let said = chunk.pointer(place).and_then(Value::as_str);
            text.push_str(said.unwrap_or_default());
        }
        if let Some(told) = chunk.get("usage").filter(|usage| usage.is_object()) {
            let count = |place: &str| told.pointer(place).and_then(Value::as_u64).unwrap_or(0);
            usage = Some(Usage {
                prompt: count("/prompt_tokens"),
                cached: count("/prompt_tokens_details/cached_tokens"),
                completion: count("/completion_tokens"),
            });
        }
        let error = chunk.pointer("/error/message").and_then(Value::as_str);
        failure = error.map(str::to_owned).or(failure);
    }
    let outcome = Outcome::Answered {
        status,
        usage,
        failure,
    };
    (outcome, text)
}
