//! Sending traces, several in one call.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, header};
use pingora_core::{connectors::http::v1::Connector, upstreams::peer::HttpPeer};
use pingora_http::RequestHeader;
use serde_json::{Value as Json, json};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{RequestTrace, TraceSettings, Value, span::attribute};

/// Traces of one call.
const BATCH: usize = 512;
/// Time between two calls, so that several traces share one.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longest time of a call.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Exporter {
    settings: TraceSettings,
    connector: Connector,
    dropped: Arc<AtomicU64>,
    failing: bool,
}

/// Why traces could not be sent.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Address(#[from] io::Error),
    #[error("{0}")]
    Call(#[from] Box<pingora_core::Error>),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("it does not answer")]
    Silent,
}

impl Exporter {
    pub(super) fn new(settings: TraceSettings, dropped: Arc<AtomicU64>) -> Self {
        Self {
            settings,
            connector: Connector::new(None),
            dropped,
            failing: false,
        }
    }

    /// Sends what comes until it is to stop, and then what has come.
    pub(super) async fn run(
        mut self,
        mut receiver: mpsc::Receiver<RequestTrace>,
        stop: CancellationToken,
    ) {
        let mut traces = Vec::new();
        loop {
            let ended = tokio::select! {
                count = receiver.recv_many(&mut traces, BATCH) => count == 0,
                () = stop.cancelled() => true,
            };
            if !ended {
                tokio::select! {
                    () = sleep(INTERVAL) => {}
                    () = stop.cancelled() => {}
                }
            }
            while traces.len() < BATCH
                && let Ok(trace) = receiver.try_recv()
            {
                traces.push(trace);
            }
            self.send(&traces).await;
            traces.clear();
            if ended && receiver.is_empty() {
                return;
            }
        }
    }

    async fn send(&mut self, traces: &[RequestTrace]) {
        if traces.is_empty() {
            return;
        }
        let body = document(traces).to_string();
        let sent = timeout(PATIENCE, self.post(body.as_bytes())).await;
        match sent.unwrap_or(Err(Refused::Silent)) {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("traces are sent again");
            }
            Ok(()) => {}
            Err(reason) => {
                self.dropped
                    .fetch_add(traces.len() as u64, Ordering::Relaxed);
                // Said once, not for every call.
                if !std::mem::replace(&mut self.failing, true) {
                    let endpoint = &self.settings.endpoint;
                    tracing::warn!("traces cannot be sent to {endpoint}: {reason}");
                }
            }
        }
    }

    async fn post(&self, body: &[u8]) -> Result<(), Refused> {
        let endpoint = &self.settings.endpoint;
        let host = endpoint.host_str().unwrap_or_default();
        let port = endpoint.port_or_known_default().unwrap_or(4318);
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let mut addresses = tokio::net::lookup_host((name, port)).await?;
        let address = addresses
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no address"))?;
        let peer = HttpPeer::new(address, endpoint.scheme() == "https", name.to_owned());
        let (mut session, _) = self.connector.get_http_session(&peer).await?;
        session
            .write_request_header(Box::new(self.header(body.len())?))
            .await?;
        session.write_body(body).await?;
        session.finish_body().await?;
        session.read_response().await?;
        match session.get_status().map_or(0, |status| status.as_u16()) {
            200..300 => Ok(()),
            status => Err(Refused::Status(status)),
        }
    }

    fn header(&self, length: usize) -> Result<RequestHeader, Refused> {
        let endpoint = &self.settings.endpoint;
        let path = format!("{}/v1/traces", endpoint.path().trim_end_matches('/'));
        let mut header = RequestHeader::build(Method::POST, path.as_bytes(), None)?;
        let host = endpoint.host_str().unwrap_or_default();
        let authority = match endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        header.insert_header(header::HOST, authority)?;
        header.insert_header(header::CONTENT_TYPE, "application/json")?;
        header.insert_header(header::CONTENT_LENGTH, length)?;
        header.insert_header(header::CONNECTION, "close")?;
        for (name, value) in &self.settings.headers {
            header.insert_header(name.clone(), value.clone())?;
        }
        Ok(header)
    }
}

fn document(traces: &[RequestTrace]) -> Json {
    let version = env!("CARGO_PKG_VERSION");
    let about = [("service.name", "rkgate"), ("service.version", version)];
    let about = about.map(|(key, value)| attribute(key, &Value::Text(value.to_owned())));
    let spans: Vec<Json> = traces.iter().flat_map(RequestTrace::to_json).collect();
    json!({
        "resourceSpans": [{
            "resource": { "attributes": about },
            "scopeSpans": [{
                "scope": { "name": "rkgate", "version": version },
                "spans": spans,
            }],
        }],
    })
}
