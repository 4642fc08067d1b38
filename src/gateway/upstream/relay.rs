//! Calls: a request goes to an upstream, and the answer comes back as it comes, or changed as the rules want it.

use std::{sync::atomic::Ordering, time::Instant};

use bytes::Bytes;
use pingora_core::{
    ErrorType,
    protocols::{Stream, http::v1::client::HttpSession},
    upstreams::peer::{HttpPeer, Peer},
};
use pingora_http::ResponseHeader;
use tracing::debug;

use super::{
    Upstream, UpstreamError, UpstreamFault, Upstreams,
    courier::Courier,
    edit::{self, Editable, Edits},
    endpoint::{Endpoint, IDLE_LIFE},
    head::{self, RequestHead},
};
use crate::gateway::{
    exchange::Exchange,
    failure::{Failure, words},
};

/// What is asked of an upstream.
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    /// Below the upstream's base path.
    pub(super) path: &'a str,
    /// Header fields of the client that go along.
    pub(super) fields: Bytes,
    pub(super) body: Option<Bytes>,
}

/// An upstream's answer whose header has been read.
pub(super) struct Answer<'a> {
    upstream: &'a Upstream,
    upstreams: &'a Upstreams,
    /// What connections to this peer are kept under.
    pool_key: u64,
    session: HttpSession,
}

/// Why one endpoint gave no answer, and whether the next may be asked.
enum Refusal {
    /// It never saw the request.
    Unseen(UpstreamError),
    /// It may have begun to work on it.
    Seen(UpstreamError),
}

impl Upstreams {
    /// Sends a request and relays the answer to the client, with these edits if there are any.
    pub(in crate::gateway) async fn relay(
        &self,
        upstream: &Upstream,
        path: &str,
        body: Bytes,
        edits: Option<Edits>,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        // A key that let the client in here is no secret to share with an upstream.
        let keep_key = upstream.settings.api_key.is_none() && exchange.record.key.is_none();
        let request = Request {
            method: "POST",
            path,
            fields: head::passing(exchange.request(), keep_key, edits.is_some()),
            body: Some(body),
        };
        let mut answer = tokio::select! {
            answer = self.call(upstream, &request) => answer?,
            gone = exchange.client_gone() => return Err(gone),
            () = edit::too_late(edits.as_ref()) => return Err(upstream.late().into()),
        };
        drop(request);
        let (header, length) = head::answer(answer.header());
        if let Some(edits) = edits {
            match Editable::of(answer.header()) {
                Some(Editable::Whole) => return edit::whole(answer, header, edits, exchange).await,
                Some(Editable::Stream) => {
                    return edit::stream(answer, header, edits, exchange).await;
                }
                None => {}
            }
        }
        exchange.begin(header, length).await?;
        loop {
            // Whoever leaves takes the upstream's connection along, so that it stops to generate.
            let piece = tokio::select! {
                piece = answer.read() => piece?,
                gone = exchange.client_gone() => return Err(gone),
            };
            match piece {
                Some(piece) => {
                    exchange.record.first_token.get_or_insert_with(Instant::now);
                    exchange.write(piece).await?;
                }
                None => break,
            }
        }
        exchange.finish().await?;
        answer.release().await;
        Ok(())
    }

    /// Sends a request to the first endpoint that takes it and reads the answer's header.
    pub(super) async fn call<'a>(
        &'a self,
        upstream: &'a Upstream,
        request: &Request<'_>,
    ) -> Result<Answer<'a>, UpstreamError> {
        let mut refusal = None;
        for (index, endpoint) in upstream.endpoints() {
            match self.call_endpoint(upstream, endpoint, request).await {
                Ok(answer) => {
                    upstream.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Refusal::Seen(error)) => return Err(error),
                Err(Refusal::Unseen(error)) => {
                    debug!(%error, "trying the next address");
                    refusal = Some(error);
                }
            }
        }
        Err(refusal
            .unwrap_or_else(|| upstream.error(UpstreamFault::Unreachable, "it has no address")))
    }

    async fn call_endpoint<'a>(
        &'a self,
        upstream: &'a Upstream,
        endpoint: &Endpoint,
        request: &Request<'_>,
    ) -> Result<Answer<'a>, Refusal> {
        let unreachable =
            |reason: String| Refusal::Unseen(upstream.error(UpstreamFault::Unreachable, reason));
        let head = RequestHead {
            method: request.method,
            base_path: &endpoint.base_path,
            path: request.path,
            authority: &endpoint.authority,
            fields: &request.fields,
            api_key: upstream.settings.api_key.as_deref(),
            length: request.body.as_ref().map(Bytes::len),
        }
        .to_bytes();
        let body = request.body.clone().unwrap_or_default();
        let peers = endpoint
            .peers()
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let mut refusal = None;
        for peer in peers.iter() {
            if let Some(stream) = self.connector.reused_stream(peer).await {
                match self
                    .converse(
                        upstream,
                        peer,
                        Courier::new(stream, head.clone(), body.clone()),
                    )
                    .await
                {
                    Err(Silence { error, stale: true }) => {
                        debug!(%error, "a kept connection was dead; trying a new one")
                    }
                    result => return result.map_err(|silence| Refusal::Seen(silence.error)),
                }
            }
            match self.connector.new_stream(peer).await {
                Ok(stream) => {
                    let result = self
                        .converse(upstream, peer, Courier::new(stream, head, body))
                        .await;
                    return result.map_err(|silence| Refusal::Seen(silence.error));
                }
                Err(error) => {
                    let reason = format!("{}: {}", endpoint.authority, words(&error));
                    refusal = Some(unreachable(reason));
                }
            }
        }
        Err(refusal
            .unwrap_or_else(|| unreachable(format!("{} has no address", endpoint.authority))))
    }

    /// Sends the courier's request and reads the answer's header.
    async fn converse<'a>(
        &'a self,
        upstream: &'a Upstream,
        peer: &HttpPeer,
        courier: Courier,
    ) -> Result<Answer<'a>, Silence> {
        let mut session = HttpSession::new(Box::new(courier));
        session.read_timeout = upstream.settings.first_byte_timeout;
        loop {
            if let Err(error) = session.read_response().await {
                let stale = matches!(
                    error.etype(),
                    ErrorType::ConnectionClosed | ErrorType::ReadError
                ) && courier_of(session.into_inner())
                    .is_some_and(|courier| !courier.received());
                return Err(Silence {
                    error: upstream.read_error(&error),
                    stale,
                });
            }
            match session.get_status().map(|status| status.as_u16()) {
                // It promises to do what nobody asked for.
                Some(101) => {
                    let error =
                        upstream.error(UpstreamFault::Garbage, "it switched protocols unasked");
                    return Err(Silence {
                        error,
                        stale: false,
                    });
                }
                Some(100..=199) => {}
                _ => break,
            }
        }
        session.read_timeout = Some(upstream.settings.read_timeout);
        Ok(Answer {
            upstream,
            upstreams: self,
            pool_key: peer.reuse_hash(),
            session,
        })
    }
}

/// A connection that gave no answer.
struct Silence {
    error: UpstreamError,
    /// It had been closed before the first byte of an answer.
    stale: bool,
}

impl Answer<'_> {
    /// The answer's header.
    pub(super) fn header(&self) -> &ResponseHeader {
        static EMPTY: std::sync::LazyLock<ResponseHeader> =
            std::sync::LazyLock::new(|| http::Response::new(()).into_parts().0.into());
        self.session.resp_header().unwrap_or(&EMPTY)
    }

    /// The next piece of the body, as it comes; nothing at its end.
    pub(super) async fn read(&mut self) -> Result<Option<&[u8]>, UpstreamError> {
        self.session
            .read_body_ref()
            .await
            .map_err(|error| self.upstream.read_error(&error))
    }

    /// That the answer has not come by its deadline.
    pub(super) fn late(&self) -> UpstreamError {
        self.upstream.late()
    }

    /// An error of this answer's upstream.
    pub(super) fn error(&self, kind: UpstreamFault, reason: &str) -> UpstreamError {
        self.upstream.error(kind, reason)
    }

    /// Keeps the connection for another request, if the answer was read to its end.
    pub(super) async fn release(mut self) {
        self.session.respect_keepalive();
        let stream = self
            .session
            .reuse()
            .await
            .and_then(courier_of)
            .and_then(Courier::into_reusable);
        if let Some(stream) = stream {
            self.upstreams
                .connector
                .release_stream(stream, self.pool_key, Some(IDLE_LIFE));
        }
    }
}

impl Upstream {
    fn late(&self) -> UpstreamError {
        self.error(
            UpstreamFault::Timeout,
            "the deadline of the request's queue class is over",
        )
    }

    fn read_error(&self, error: &pingora_core::Error) -> UpstreamError {
        let kind = match error.etype() {
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => UpstreamFault::Timeout,
            ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => {
                UpstreamFault::Closed
            }
            _ => UpstreamFault::Garbage,
        };
        self.error(kind, words(error))
    }
}

fn courier_of(stream: Stream) -> Option<Courier> {
    stream
        .into_any()
        .downcast::<Courier>()
        .ok()
        .map(|courier| *courier)
}
