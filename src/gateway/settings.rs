//! What can be set about the gateway. Every value has been checked by the time it arrives here.

use std::{sync::Arc, time::Duration};

use super::auth::Keys;
use crate::{promptlog::PromptLog, telemetry::traces::Traces};

/// Limits, timeouts and access rules of the gateway.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Largest request body, in bytes.
    pub body_limit: usize,
    /// Largest request header, in bytes.
    pub header_limit: usize,
    /// Time from the first byte of a request to the end of its header.
    pub header_timeout: Duration,
    /// Longest pause within a request body.
    pub body_timeout: Duration,
    /// How long a client may leave its side of the connection full before it is given up.
    pub write_timeout: Duration,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
    /// Silence after which a stream that has not begun is begun with a heartbeat; errors before it
    /// keep their HTTP status.
    pub first_heartbeat: Duration,
    /// Silence after which a stream gets its next heartbeat. Proxies commonly cut at 60 s or more.
    pub heartbeat: Duration,
    /// How long running answers may go on after a stop was asked for.
    pub drain_deadline: Duration,
    /// Connections held open at once; more wait in the system's backlog.
    pub max_connections: usize,
    /// Requests worked on at once; more are refused with 503.
    pub max_requests: usize,
    /// Origins that browsers may call from (`Access-Control-Allow-Origin`); empty sends no CORS headers.
    pub cors: Vec<String>,
    /// What keeps a record of each request, if anything does.
    pub log: Option<Arc<PromptLog>>,
    /// What sends a trace of each request, if anything does.
    pub traces: Option<Arc<Traces>>,
    /// API keys; `None` asks for none.
    pub keys: Option<Keys>,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            body_limit: 64 << 20,
            header_limit: 64 << 10,
            header_timeout: Duration::from_secs(20),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            first_heartbeat: Duration::from_secs(2),
            heartbeat: Duration::from_secs(10),
            drain_deadline: Duration::from_secs(60),
            max_connections: 1024,
            max_requests: 512,
            cors: vec!["*".to_owned()],
            log: None,
            traces: None,
            keys: None,
        }
    }
}
