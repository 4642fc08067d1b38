//! Connections: accepting them, their requests one after another, and the drain at the end.
//!
//! pingora's own server stops with a fixed sleep and then cuts what still runs, so the gateway drives
//! pingora's HTTP sessions from an accept loop of its own.

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures::FutureExt;
use pingora_core::protocols::{Stream, http::v1::server::HttpSession};
use tokio::{io::AsyncReadExt, sync::Semaphore, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug, error, info, warn};

use super::{
    Gateway, Listener,
    connection::{Connection, Socket},
    exchange::Exchange,
    failure::{Failure, words},
    observe,
};

/// Set aside for a request's first read.
const FIRST_READ: usize = 8 << 10;
/// How long a client whose request was refused may go on sending it: closing at once would reset the
/// connection and take the answer with it.
const LINGER: Duration = Duration::from_secs(2);
/// How long the clients may take that are told that their answers were cut at the drain's deadline.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Pause after the system refused to accept, e.g. because no file descriptor is free.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

impl Gateway {
    /// Accepts clients and answers them until `stop` is cancelled, then drains: no new connection, no new
    /// request, idle connections closed at once, running answers up to the drain deadline. Those that are not
    /// complete by then end with an error.
    pub async fn serve(self: Arc<Self>, listener: Listener, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let drain = Drain {
            stop: stop.clone(),
            cut: CancellationToken::new(),
        };
        let gone = CancellationToken::new();
        let slots = Arc::new(Semaphore::new(self.settings.max_connections));
        while let Some((socket, slot)) = next_client(&listener, &slots, &stop).await {
            let connection = Connection::new(socket, self.settings.write_timeout);
            let requests = requests(Arc::clone(&self), Box::new(connection), drain.clone());
            let gone = gone.clone();
            connections.spawn(async move {
                let _slot = slot;
                gone.run_until_cancelled(requests).await;
            });
        }
        drop(listener);
        connections.close();
        if !connections.is_empty() {
            info!(
                connections = connections.len(),
                "finishing the answers that run"
            );
        }
        let finished = |within| time::timeout(within, connections.wait());
        if finished(self.settings.drain_deadline).await.is_err() {
            warn!(
                connections = connections.len(),
                "cutting the answers that still run at the deadline"
            );
            drain.cut.cancel();
            if finished(LAST_WORDS).await.is_err() {
                gone.cancel();
                connections.wait().await;
            }
        }
    }
}

/// How far the end has come.
#[derive(Clone)]
struct Drain {
    /// No request is taken any more.
    stop: CancellationToken,
    /// The deadline is over.
    cut: CancellationToken,
}

/// The next client and its place among the connections; nothing once a stop is asked for.
async fn next_client(
    listener: &Listener,
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(Socket, tokio::sync::OwnedSemaphorePermit)> {
    stop.run_until_cancelled(async {
        // The semaphore is never closed, so that the default is never taken.
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        let mut told = false;
        loop {
            match listener.accept().await {
                Ok(socket) => return Some((socket, slot)),
                Err(error) if concerns_one_client(&error) => {
                    debug!(%error, "a client left before it was accepted");
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(%error, "cannot accept clients for now");
                    }
                    time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    })
    .await
    .flatten()
}

fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// Answers the requests of one connection until either side has had enough.
async fn requests(gateway: Arc<Gateway>, mut stream: Stream, drain: Drain) {
    let Drain { stop, cut } = drain;
    let mut head = BytesMut::new();
    loop {
        if head.is_empty() {
            head.reserve(FIRST_READ);
            let first = tokio::select! {
                read = stream.read_buf(&mut head) => read,
                () = stop.cancelled() => return,
                () = time::sleep(gateway.settings.keep_alive) => return,
            };
            if !matches!(first, Ok(1..)) {
                return;
            }
        }
        let mut session = HttpSession::new(stream);
        session.set_pipelined_prefix(std::mem::take(&mut head));
        session.set_pipelining_enabled(true);
        session.set_total_drain_timeout(Some(LINGER));
        let header = cut.run_until_cancelled(read_header(&gateway, session));
        let Some(mut exchange) = header.await.flatten() else {
            return;
        };
        if stop.is_cancelled() {
            exchange.close_after();
        }
        let Some(session) = answer(&gateway, exchange, &cut).await else {
            return;
        };
        let Some((next, prefix)) = next_request(session).await else {
            return;
        };
        if stop.is_cancelled() {
            return;
        }
        stream = next;
        head = prefix;
    }
}

/// Reads a request's header; a header that is none is answered and nothing returned.
async fn read_header(gateway: &Gateway, mut session: HttpSession) -> Option<Exchange> {
    use pingora_core::ErrorType::InvalidHTTPHeader;
    let limit = gateway.settings.header_limit;
    // pingora allows this time for each read; the timeout around it holds for the header as a whole.
    session.set_read_timeout(None);
    let read = time::timeout(gateway.settings.header_timeout, session.read_request()).await;
    let failure = match read {
        Ok(Ok(Some(size))) if size <= limit => return Some(Exchange::new(session)),
        Ok(Ok(Some(_))) => Failure::HeaderTooLarge { limit },
        Ok(Ok(None)) => return None,
        Ok(Err(error)) if *error.etype() == InvalidHTTPHeader => Failure::BadHeader(words(&error)),
        Ok(Err(_)) => return None,
        Err(_) => Failure::Slow("header"),
    };
    debug!(failure = failure.message(), "refused a request");
    let mut exchange = Exchange::refused(session);
    exchange.fail(&failure).await;
    // Its body cannot be read without a header, so there is nothing to linger for.
    exchange.into_session()?.shutdown().await;
    None
}

/// Answers one request, unless it is cut. Returns the session if its answer was sent in full.
async fn answer(
    gateway: &Arc<Gateway>,
    mut exchange: Exchange,
    cut: &CancellationToken,
) -> Option<HttpSession> {
    let span = observe::span(&exchange);
    async {
        let answering = AssertUnwindSafe(gateway.answer(&mut exchange)).catch_unwind();
        let result = match cut.run_until_cancelled(answering).await {
            None => Err(Failure::Stopping),
            Some(Ok(result)) => result,
            Some(Err(panic)) => {
                error!(panic = panic_message(panic.as_ref()), "a request panicked");
                Err(Failure::Internal)
            }
        };
        if let Err(failure) = &result {
            exchange.fail(failure).await;
        }
        let traces = gateway.settings.traces.as_deref();
        observe::finished(
            &mut exchange,
            result.as_ref().err(),
            &gateway.metrics,
            traces,
        );
    }
    .instrument(span)
    .await;
    exchange.into_session()
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (None, Some(message)) => message,
        (None, None) => "no message",
    }
}

/// Makes the connection ready for its next request, with what has been read of it already.
async fn next_request(mut session: HttpSession) -> Option<(Stream, BytesMut)> {
    if !session.is_body_done() {
        linger(session).await;
        return None;
    }
    let reusable = session.reuse().await.ok()??;
    let (stream, prefix) = reusable.into_parts();
    Some((stream, prefix.unwrap_or_default()))
}

/// Ends a connection whose client may still be sending.
async fn linger(mut session: HttpSession) {
    session.shutdown().await;
    // The client has its answer; whether it also stops sending changes nothing.
    let _ = session.drain_request_body().await;
}
