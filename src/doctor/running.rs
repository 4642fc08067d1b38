//! The gateway that runs on the configured admin address, if one does, and what it tells.

use std::{env, time::Duration};

use http::header;
use pingora_core::protocols::{http::v1::client::HttpSession, l4::stream::Stream};
use pingora_http::RequestHeader;
use serde_json::Value;
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::config::Address;

/// How long it may take to answer: it is on this machine and has little to say.
const PATIENCE: Duration = Duration::from_secs(1);

/// The variable with an API key to ask with; the configuration has hashes only.
pub(crate) const KEY: &str = "RKGATE_KEY";

/// What came of asking.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Running {
    /// Nobody answers there, or no gateway.
    No,
    /// It wants an API key, and the one given is none of its.
    Locked,
    /// What it says.
    Says(Value),
}

/// Asks for one of the admin port's documents. What takes longer than a second counts as no answer.
pub(crate) async fn ask(admin: &Address, path: &str) -> Running {
    match timeout(PATIENCE, get(admin, path)).await {
        Ok(Some((200, body))) => serde_json::from_slice(&body).map_or(Running::No, Running::Says),
        Ok(Some((401, _))) => Running::Locked,
        _ => Running::No,
    }
}

/// Status and body; `None` where nobody speaks HTTP.
async fn get(admin: &Address, path: &str) -> Option<(u16, Vec<u8>)> {
    let stream = match admin {
        Address::Tcp(address) => Stream::from(TcpStream::connect(address).await.ok()?),
        Address::Unix(path) => Stream::from(UnixStream::connect(path).await.ok()?),
    };
    let mut header = RequestHeader::build("GET", path.as_bytes(), None).ok()?;
    header.insert_header(header::HOST, "localhost").ok()?;
    header.insert_header(header::CONNECTION, "close").ok()?;
    if let Ok(key) = env::var(KEY) {
        let bearer = format!("Bearer {}", key.trim());
        header.insert_header(header::AUTHORIZATION, bearer).ok()?;
    }
    let mut session = HttpSession::new(Box::new(stream));
    session.write_request_header(Box::new(header)).await.ok()?;
    session.finish_body().await.ok()?;
    session.read_response().await.ok()?;
    let mut body = Vec::new();
    while let Some(piece) = session.read_body_ref().await.ok()? {
        body.extend_from_slice(piece);
    }
    Some((session.get_status()?.as_u16(), body))
}
