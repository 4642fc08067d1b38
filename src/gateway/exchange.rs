//! One request and its answer, on top of pingora's HTTP/1 session.
//!
//! It knows what has been sent already, so that a failure is told in the way that is still possible, and it
//! notices a client that goes away.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_http::{RequestHeader, ResponseHeader};

use super::{
    failure::{Failure, words},
    observe::Record,
    route::Call,
};
use crate::{policy::Class, promptlog::NOBODY, wire::openai::write_error};

/// Memory set aside for a body before any of it has arrived, whatever length the client announces.
const BODY_RESERVE: usize = 256 << 10;

/// Asks for the sampling values of the answer, and tells them.
const SAMPLING: &str = "x-rkgate-sampling";

/// What may be sent of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Header { status: StatusCode, events: bool },
    All { status: StatusCode },
}

/// One request and its answer.
pub(super) struct Exchange {
    session: HttpSession,
    sent: Sent,
    version: Version,
    /// Whether the answer is to leave its body out (`HEAD`).
    bodiless: bool,
    /// The request's id: the client's own where it sent a sane one.
    pub(super) id: String,
    /// When the request's header was complete.
    pub(super) started: Instant,
    /// What the request is for.
    pub(super) class: Class,
    /// The rules in force for it; 0 before any were looked at.
    pub(super) generation: u64,
    /// The model that answers, once it is known.
    pub(super) model: Option<String>,
    /// The page that a browser calls from, if it may.
    pub(super) allowed_origin: Option<HeaderValue>,
    /// What is learnt on the way, for logs and metrics.
    pub(super) record: Record,
}

impl Exchange {
    /// Begins the exchange of a session whose header has been read.
    pub(super) fn new(session: HttpSession) -> Self {
        let header = session.req_header();
        let (version, bodiless) = (header.version, header.method == Method::HEAD);
        Self::with(session, version, bodiless)
    }

    /// Begins the exchange of a session whose header could not be read, to say so and close.
    pub(super) fn refused(session: HttpSession) -> Self {
        let mut exchange = Self::with(session, Version::HTTP_10, false);
        exchange.close_after();
        exchange
    }

    fn with(session: HttpSession, version: Version, bodiless: bool) -> Self {
        let id = request_id(session.get_header("x-request-id"));
        Self {
            session,
            sent: Sent::Nothing,
            version,
            bodiless,
            id,
            started: Instant::now(),
            class: Class::Chat,
            generation: 0,
            model: None,
            allowed_origin: None,
            record: Record::default(),
        }
    }

    /// What the request is for, as answers, logs and metrics tell it.
    pub(super) fn purpose(&self) -> &'static str {
        match (self.record.call, self.class) {
            // Lists of models, and what is refused unread.
            (None, _) => "none",
            // Rules speak of conversations only; a text to go on with may be a task to them.
            (Some(Call::Embeddings), _) => "embeddings",
            (Some(Call::Completion), Class::Chat) => "text_completion",
            (_, class) => class.as_str(),
        }
    }

    /// The request's header.
    pub(super) fn request(&self) -> &RequestHeader {
        self.session.req_header()
    }

    /// Whether the client asks for the sampling values in force.
    fn wants_sampling(&self) -> bool {
        self.session
            .get_header(SAMPLING)
            .is_some_and(|value| value.as_bytes() == b"1")
    }

    /// Whether all that the header is to say is known.
    pub(super) fn may_begin(&self) -> bool {
        !self.wants_sampling() || self.record.sampling.is_some()
    }

    /// The status that was sent, if any.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self.sent {
            Sent::Nothing => None,
            Sent::Header { status, .. } | Sent::All { status } => Some(status),
        }
    }

    /// The connection again, if the answer was sent in full.
    pub(super) fn into_session(self) -> Option<HttpSession> {
        matches!(self.sent, Sent::All { .. }).then_some(self.session)
    }

    /// Closes the connection after this answer.
    pub(super) fn close_after(&mut self) {
        self.session.set_server_keepalive(None);
    }

    /// Reads the whole request body.
    pub(super) async fn read_body(
        &mut self,
        limit: usize,
        pause: Duration,
    ) -> Result<Bytes, Failure> {
        let announced = self
            .session
            .get_header(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(Failure::BodyTooLarge { limit });
        }
        let expects = self.session.get_header(header::EXPECT);
        if expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
            && self.version == Version::HTTP_11
        {
            self.session
                .write_continue_response()
                .await
                .map_err(|_| Failure::ClientGone("before its upload"))?;
        }
        self.session.set_read_timeout(Some(pause));
        let Some(first) = self.read_piece().await? else {
            return Ok(Bytes::new());
        };
        if announced == Some(first.len()) {
            return Ok(first);
        }
        let mut body = BytesMut::with_capacity(
            announced
                .unwrap_or(first.len())
                .min(BODY_RESERVE)
                .max(first.len()),
        );
        let mut piece = Some(first);
        while let Some(bytes) = piece {
            if body.len() + bytes.len() > limit {
                return Err(Failure::BodyTooLarge { limit });
            }
            body.extend_from_slice(&bytes);
            piece = self.read_piece().await?;
        }
        Ok(body.freeze())
    }

    async fn read_piece(&mut self) -> Result<Option<Bytes>, Failure> {
        use pingora_core::ErrorType::{ConnectionClosed, ReadError, ReadTimedout};
        self.session
            .read_body_bytes()
            .await
            .map_err(|error| match error.etype() {
                ReadTimedout => Failure::Slow("body"),
                ConnectionClosed | ReadError => Failure::ClientGone("during its upload"),
                _ => Failure::BadBody(words(&error)),
            })
    }

    /// Waits until the client goes away. Cancelling it loses nothing.
    pub(super) async fn client_gone(&mut self) -> Failure {
        // With pipelining on, it returns for no other reason than an end of the connection.
        let _ = self.session.read_body_or_idle(true).await;
        Failure::ClientGone(match self.sent {
            Sent::Nothing => "before its answer began",
            Sent::Header { .. } | Sent::All { .. } => "during its answer",
        })
    }

    /// Sends the header of an answer. `length` is that of the body where it is known.
    pub(super) async fn begin(
        &mut self,
        mut header: ResponseHeader,
        length: Option<usize>,
    ) -> Result<(), Failure> {
        let status = header.status;
        let is_stream = header
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        let events = is_stream && !header.headers.contains_key(header::CONTENT_ENCODING);
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match length {
            Some(length) => set(&mut header, "content-length", HeaderValue::from(length)),
            None if bodiless => {}
            None if self.version == Version::HTTP_11 => {
                set(
                    &mut header,
                    "transfer-encoding",
                    HeaderValue::from_static("chunked"),
                );
            }
            // HTTP/1.0 knows no chunks: the body ends with the connection.
            None => self.close_after(),
        }
        self.describe(&mut header);
        self.sent = Sent::Header { status, events };
        if let Some(journal) = &mut self.record.journal {
            journal.header(&header, is_stream);
        }
        self.session
            .write_response_header(Box::new(header))
            .await
            .map_err(|_| Failure::ClientGone("during its answer"))
    }

    /// The headers that every answer carries.
    fn describe(&self, header: &mut ResponseHeader) {
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            set(header, "x-request-id", id);
        }
        set(
            header,
            "x-rkgate-class",
            HeaderValue::from_static(self.purpose()),
        );
        set(
            header,
            "x-rkgate-policy",
            HeaderValue::from(self.generation),
        );
        if let Some(queued) = self.record.queued {
            let ms = u64::try_from(queued.as_millis()).unwrap_or(u64::MAX);
            set(header, "x-rkgate-queue-ms", HeaderValue::from(ms));
        }
        let in_force = self.wants_sampling().then(|| self.record.in_force());
        if let Some(value) = in_force
            .flatten()
            .and_then(|json| HeaderValue::from_maybe_shared(json).ok())
        {
            set(header, SAMPLING, value);
        }
        let model = self.model.as_deref().unwrap_or(NOBODY);
        if let Ok(model) = HeaderValue::from_str(model) {
            set(header, "x-rkgate-model", model);
        }
        if let Some(origin) = &self.allowed_origin {
            set(header, "access-control-allow-origin", origin.clone());
            set(
                header,
                "access-control-expose-headers",
                HeaderValue::from_static("*"),
            );
            if origin != "*" {
                set(header, "vary", HeaderValue::from_static("Origin"));
            }
        }
    }

    /// Sends a piece of the body.
    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        // An empty chunk would end the body.
        if piece.is_empty() {
            return Ok(());
        }
        if let Some(journal) = &mut self.record.journal {
            journal.body(piece);
        }
        match self.session.write_body(piece).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::ClientGone("during its answer")),
        }
    }

    /// Ends the body.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        self.session
            .finish_body()
            .await
            .map_err(|_| Failure::ClientGone("at the end of its answer"))?;
        if let Sent::Header { status, .. } = self.sent {
            self.sent = Sent::All { status };
        }
        Ok(())
    }

    /// Sends a whole answer.
    pub(super) async fn respond(
        &mut self,
        header: ResponseHeader,
        body: &[u8],
    ) -> Result<(), Failure> {
        let bodiless = header.status == StatusCode::NO_CONTENT;
        self.begin(header, (!bodiless).then_some(body.len()))
            .await?;
        // The answer to HEAD announces the length of what it leaves out.
        if !self.bodiless {
            self.write(body).await?;
        }
        self.finish().await
    }

    /// Sends a JSON answer with status 200.
    pub(super) async fn respond_json(&mut self, body: &[u8]) -> Result<(), Failure> {
        self.respond(response(StatusCode::OK, "application/json"), body)
            .await
    }

    /// Tells the client of a failure in the way that is still possible: as an answer, as the last event of a
    /// stream, or by an answer that visibly lacks its end.
    pub(super) async fn fail(&mut self, failure: &Failure) {
        // Where telling fails too, the client is gone and there is nothing left to do.
        let _ = match (failure, self.sent) {
            (Failure::ClientGone(_), _) | (_, Sent::All { .. }) => Ok(()),
            (_, Sent::Nothing) => self.respond_failure(failure).await,
            (_, Sent::Header { events: true, .. }) => self.end_with_failure(failure).await,
            (_, Sent::Header { events: false, .. }) => {
                // Sends what was gathered, so that the client sees where its answer was cut.
                self.session.shutdown().await;
                Ok(())
            }
        };
    }

    async fn respond_failure(&mut self, failure: &Failure) -> Result<(), Failure> {
        let verdict = failure.verdict();
        let mut header = response(verdict.status, "application/json");
        if let Some(time) = verdict.retry_after {
            set(
                &mut header,
                "retry-after",
                HeaderValue::from(time.as_secs().max(1)),
            );
        }
        match failure {
            // Where a body that cannot be read ends, nobody knows.
            Failure::BadBody(_) => self.close_after(),
            Failure::MethodNotAllowed { allow } => {
                set(&mut header, "allow", HeaderValue::from_static(allow))
            }
            Failure::Unauthorized => set(
                &mut header,
                "www-authenticate",
                HeaderValue::from_static("Bearer"),
            ),
            _ => {}
        }
        self.respond(header, &failure.told(|error| error.to_json()))
            .await
    }

    async fn end_with_failure(&mut self, failure: &Failure) -> Result<(), Failure> {
        // The blank line ends an event that was cut in the middle.
        let mut end = BytesMut::from("\n\n");
        failure.told(|error| write_error(error, &mut end));
        self.write(&end).await?;
        self.finish().await
    }
}

/// An answer's header.
pub(super) fn response(status: StatusCode, content_type: &'static str) -> ResponseHeader {
    let mut header = empty_response(status);
    set(
        &mut header,
        "content-type",
        HeaderValue::from_static(content_type),
    );
    header
}

/// An answer's header without a body's type.
pub(super) fn empty_response(status: StatusCode) -> ResponseHeader {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.into()
}

/// Sets a header; the names are all known to be valid.
pub(super) fn set(header: &mut ResponseHeader, name: &'static str, value: HeaderValue) {
    let _ = header.insert_header(name, value);
}

/// The client's own id where it is one that logs and headers can carry, else a new one.
fn request_id(sent: Option<&HeaderValue>) -> String {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte))
    };
    match sent.and_then(|value| value.to_str().ok()).filter(sane) {
        Some(id) => id.to_owned(),
        None => format!("req-{}", uuid::Uuid::new_v4().simple()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn keeps_a_sane_request_id_and_replaces_any_other() {
        let value = |id: &str| HeaderValue::from_str(id).unwrap();
        assert_eq!(
            request_id(Some(&value("trace-1.a:b/c_d"))),
            "trace-1.a:b/c_d"
        );
        for odd in ["", "with space", "quote\"", &"x".repeat(129)] {
            let id = request_id(Some(&value(odd)));
            assert!(
                id.starts_with("req-") && id.len() == 36,
                "{odd:?} became {id}"
            );
        }
        assert_ne!(request_id(None), request_id(None));
    }
}
