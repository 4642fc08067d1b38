//! A client of one gateway: sends a request, reads the answer as it comes.

use std::{net::SocketAddr, time::Instant};

use http::{HeaderValue, header};
use pingora_core::protocols::{http::v1::client::HttpSession, l4::stream::Stream};
use pingora_http::RequestHeader;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::wire::sse::SseReader;

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The text, without thinking.
    pub(super) text: String,
    /// When the first text or thinking came, of a streamed answer.
    pub(super) first_text: Option<Instant>,
}

/// What is asked.
pub(super) struct Call<'a> {
    pub(super) path: &'a str,
    /// The request's id; the gateway takes it over.
    pub(super) id: &'a str,
    /// Who asks and in which chat, where Open WebUI tells.
    pub(super) from: Option<(&'a str, &'a str)>,
    pub(super) body: &'a Value,
}

/// Asks for an answer.
///
/// # Errors
/// In words, what the gateway or the connection said instead of an answer.
pub(super) async fn post(address: SocketAddr, call: Call<'_>) -> Result<Answer, String> {
    let body = call.body.to_string();
    let mut header = request("POST", call.path)?;
    let length = body.len().to_string();
    let mut fields = vec![
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
        ("x-request-id", call.id),
    ];
    if let Some((user, chat)) = call.from {
        fields.extend([("x-openwebui-user-id", user), ("x-openwebui-chat-id", chat)]);
    }
    for (name, value) in fields {
        let value = HeaderValue::from_str(value).map_err(in_words)?;
        header.insert_header(name, value).map_err(in_words)?;
    }
    let mut session = send(address, header, body.as_bytes()).await?;
    let status = session.get_status().map_or(0, |status| status.as_u16());
    let kind = session.get_header_bytes("content-type");
    if status == 200 && kind.starts_with(b"text/event-stream") {
        streamed(&mut session).await
    } else {
        let body = whole(&mut session).await?;
        match status {
            200 => Ok(Answer {
                text: text_of(&body, "/choices/0/message/content"),
                first_text: None,
            }),
            _ => Err(format!("{status}: {}", text_of(&body, "/error/message"))),
        }
    }
}

/// Asks for the list of models; how long that took is for the caller to measure.
///
/// # Errors
/// In words, what came instead.
pub(super) async fn list_models(address: SocketAddr) -> Result<(), String> {
    let mut session = send(address, request("GET", "/v1/models")?, b"").await?;
    let status = session.get_status().map_or(0, |status| status.as_u16());
    let list = whole(&mut session).await?;
    match status {
        200 => Ok(()),
        _ => Err(format!("{status}: {}", text_of(&list, "/error/message"))),
    }
}

fn request(method: &str, path: &str) -> Result<RequestHeader, String> {
    let mut header = RequestHeader::build(method, path.as_bytes(), None).map_err(in_words)?;
    let fields = [(header::HOST, "localhost"), (header::CONNECTION, "close")];
    for (name, value) in fields {
        header.insert_header(name, value).map_err(in_words)?;
    }
    Ok(header)
}

async fn send(
    address: SocketAddr,
    header: RequestHeader,
    body: &[u8],
) -> Result<HttpSession, String> {
    let stream = TcpStream::connect(address).await.map_err(in_words)?;
    stream.set_nodelay(true).map_err(in_words)?;
    let mut session = HttpSession::new(Box::new(Stream::from(stream)));
    session
        .write_request_header(Box::new(header))
        .await
        .map_err(in_words)?;
    session.write_body(body).await.map_err(in_words)?;
    session.finish_body().await.map_err(in_words)?;
    session.read_response().await.map_err(in_words)?;
    Ok(session)
}

async fn whole(session: &mut HttpSession) -> Result<Value, String> {
    let mut body = Vec::new();
    while let Some(piece) = session.read_body_ref().await.map_err(in_words)? {
        body.extend_from_slice(piece);
    }
    serde_json::from_slice(&body).map_err(in_words)
}

async fn streamed(session: &mut HttpSession) -> Result<Answer, String> {
    let mut events = SseReader::default();
    let mut answer = Answer::default();
    let mut failure = None;
    while let Some(piece) = session.read_body_ref().await.map_err(in_words)? {
        events.push(piece, |event| {
            let Ok(chunk) = serde_json::from_slice::<Value>(event) else {
                // The end: `[DONE]`.
                return;
            };
            if chunk.get("error").is_some() {
                failure = Some(text_of(&chunk, "/error/message"));
            }
            let text = text_of(&chunk, "/choices/0/delta/content");
            let thinking = text_of(&chunk, "/choices/0/delta/reasoning_content");
            if !text.is_empty() || !thinking.is_empty() {
                answer.first_text.get_or_insert_with(Instant::now);
            }
            answer.text.push_str(&text);
        });
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(answer),
    }
}

fn text_of(json: &Value, place: &str) -> String {
    let text = json.pointer(place).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
