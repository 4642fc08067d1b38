//! Everything that can fail a request, and the one place that says what the client is told.

use std::time::Duration;

use http::StatusCode;

use crate::{
    engine::{EngineError, Withdrawal},
    excerpt,
    wire::openai::{DecodeError, ErrorBody},
};

use super::upstream::{UpstreamError, UpstreamFault};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The client went away, or stopped reading; there is nobody to tell.
    #[error("the client went away {0}")]
    ClientGone(&'static str),
    /// The request's header cannot be read as HTTP.
    #[error("this is not a valid HTTP/1.1 request: {0}")]
    BadHeader(String),
    /// The request's header is too large.
    #[error(
        "the request header is larger than {limit} bytes; the limit is `limits.header` in rkgate.toml"
    )]
    HeaderTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The request did not arrive in time.
    #[error(
        "the request {0} did not arrive in time; the limit is `limits.{0}_timeout` in rkgate.toml"
    )]
    Slow(&'static str),
    /// The request's body is too large.
    #[error(
        "the request body is larger than {limit} bytes; the limit is `limits.body` in rkgate.toml"
    )]
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The request's body cannot be read as HTTP says, e.g. a broken chunk.
    #[error("the request body cannot be read: {0}")]
    BadBody(String),
    /// The request's body is not what the API takes.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// No such path.
    #[error(
        "there is no {0}; the API is at /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models"
    )]
    NoSuchPath(String),
    /// The path does not take this method.
    #[error("this path takes {allow} only")]
    MethodNotAllowed {
        /// The methods that it takes.
        allow: &'static str,
    },
    /// No API key, or a wrong one.
    #[error("a valid API key is needed, as `Authorization: Bearer <key>`")]
    Unauthorized,
    /// No model of that name, neither here nor at an upstream.
    #[error("the model `{model}` does not exist; known are: {known}")]
    UnknownModel {
        /// The name asked for.
        model: String,
        /// The names that would have worked.
        known: String,
    },
    /// One of the inputs to be embedded is longer than the model can read.
    #[error(
        "input[{index}] is {tokens} tokens long, but this model reads {limit} at most; cut the text into shorter pieces (in Open WebUI: Admin Panel > Settings > Documents > Chunk Size)"
    )]
    InputTooLong {
        /// Which input, from 0.
        index: usize,
        /// Its length.
        tokens: u32,
        /// The longest that would fit.
        limit: u32,
    },
    /// A rule refuses the request, in these words.
    #[error("{0}")]
    Denied(String),
    /// Too many requests at once.
    #[error(
        "{limit} requests are being worked on already; try again in a moment; the limit is `limits.concurrent_requests` in rkgate.toml"
    )]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// The engine could not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An upstream could not answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// rkgate ends before the answer was complete.
    #[error(
        "rkgate is shutting down; the answer was not complete in time; the limit is `limits.drain` in rkgate.toml"
    )]
    Stopping,
    /// A fault of rkgate's own.
    #[error("an internal error; the log has it under this request's id")]
    Internal,
}

/// Where a failure's cause lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The client sent what cannot be answered, or left.
    Client,
    /// There is more to do than can be done.
    Load,
    /// The embedded engine.
    Engine,
    /// A server that requests are relayed to.
    Upstream,
    /// rkgate itself.
    Gateway,
}

/// What the client is told about a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    /// The HTTP status, also where the answer has begun and it can no longer be sent.
    pub(super) status: StatusCode,
    /// OpenAI's `error.type`.
    kind: &'static str,
    /// OpenAI's `error.code`.
    code: Option<&'static str>,
    /// OpenAI's `error.param`.
    param: Option<&'static str>,
    /// When to try again.
    pub(super) retry_after: Option<Duration>,
    /// Where the cause lies.
    pub(super) fault: Fault,
}

/// The status that logs and metrics give a request whose client left before the answer, as nginx does.
pub(super) const CLIENT_CLOSED_REQUEST: u16 = 499;

impl Failure {
    /// What the client is told. No other place maps a failure to a status.
    pub(super) fn verdict(&self) -> Verdict {
        use Fault::{Client, Engine, Gateway, Load, Upstream};
        match self {
            Self::ClientGone(_) => {
                let status =
                    StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::BAD_REQUEST);
                Verdict::new(status, "client_closed_request", Client)
            }
            Self::BadHeader(_) => Verdict::new(StatusCode::BAD_REQUEST, INVALID, Client),
            Self::HeaderTooLarge { .. } => {
                Verdict::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, INVALID, Client)
            }
            Self::Slow(_) => Verdict::new(StatusCode::REQUEST_TIMEOUT, INVALID, Client),
            Self::BodyTooLarge { .. } => {
                Verdict::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, Client)
                    .code("request_too_large")
            }
            Self::BadBody(_) | Self::Decode(_) => {
                Verdict::new(StatusCode::BAD_REQUEST, INVALID, Client)
            }
            Self::NoSuchPath(_) => {
                Verdict::new(StatusCode::NOT_FOUND, INVALID, Client).code("unknown_url")
            }
            Self::MethodNotAllowed { .. } => {
                Verdict::new(StatusCode::METHOD_NOT_ALLOWED, INVALID, Client)
                    .code("method_not_supported")
            }
            Self::Unauthorized => {
                Verdict::new(StatusCode::UNAUTHORIZED, INVALID, Client).code("invalid_api_key")
            }
            Self::UnknownModel { .. } | Self::Engine(EngineError::UnknownModel { .. }) => {
                Verdict::new(StatusCode::NOT_FOUND, INVALID, Client)
                    .code("model_not_found")
                    .param("model")
            }
            Self::InputTooLong { .. } => Verdict::new(StatusCode::BAD_REQUEST, INVALID, Client)
                .code("context_length_exceeded")
                .param("input"),
            Self::Denied(_) => {
                Verdict::new(StatusCode::FORBIDDEN, INVALID, Client).code("denied_by_policy")
            }
            Self::Busy { .. } => Verdict::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, Load)
                .code("too_many_requests")
                .retry_after(Duration::from_secs(1)),
            Self::Engine(EngineError::ContextLength { .. }) => {
                Verdict::new(StatusCode::BAD_REQUEST, INVALID, Client)
                    .code("context_length_exceeded")
                    .param("messages")
            }
            Self::Engine(EngineError::Unsupported(_)) => {
                Verdict::new(StatusCode::BAD_REQUEST, INVALID, Client).code("unsupported")
            }
            Self::Engine(
                EngineError::QueueFull { retry_after, .. }
                | EngineError::Withdrawn {
                    why: Withdrawal::Displaced,
                    retry_after,
                },
            ) => Verdict::new(StatusCode::TOO_MANY_REQUESTS, OVERLOADED, Load)
                .code("queue_full")
                .retry_after(*retry_after),
            Self::Engine(EngineError::Withdrawn { retry_after, .. }) => {
                Verdict::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, Load)
                    .code("withdrawn")
                    .retry_after(*retry_after)
            }
            Self::Stopping | Self::Engine(EngineError::ShuttingDown) => {
                Verdict::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, Load)
                    .code("shutting_down")
                    .retry_after(Duration::from_secs(5))
            }
            Self::Engine(EngineError::Load { .. }) => {
                Verdict::new(StatusCode::SERVICE_UNAVAILABLE, SERVER, Engine)
                    .code("model_load_failed")
            }
            Self::Engine(EngineError::Worker { .. }) => {
                Verdict::new(StatusCode::BAD_GATEWAY, SERVER, Engine).code("engine_worker_failed")
            }
            Self::Engine(EngineError::Run { .. }) => {
                Verdict::new(StatusCode::BAD_GATEWAY, SERVER, Engine).code("engine_run_failed")
            }
            Self::Upstream(error) => {
                let (status, code) = match error.kind {
                    UpstreamFault::Unreachable => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
                    UpstreamFault::Timeout => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
                    UpstreamFault::Closed => (StatusCode::BAD_GATEWAY, "upstream_closed"),
                    UpstreamFault::Garbage => {
                        (StatusCode::BAD_GATEWAY, "upstream_invalid_response")
                    }
                };
                Verdict::new(status, SERVER, Upstream).code(code)
            }
            Self::Internal => Verdict::new(StatusCode::INTERNAL_SERVER_ERROR, SERVER, Gateway),
        }
    }

    /// What went wrong, in words; not more of them than logs and watchers can bear.
    pub(super) fn message(&self) -> String {
        excerpt::message(&self.to_string()).into_owned()
    }

    /// Calls `write` with the OpenAI error object.
    pub(super) fn told<T>(&self, write: impl FnOnce(&ErrorBody<'_>) -> T) -> T {
        let verdict = self.verdict();
        let param = match self {
            Self::Decode(error) => error.param(),
            _ => verdict.param,
        };
        write(&ErrorBody {
            message: &self.message(),
            kind: verdict.kind,
            param,
            code: verdict.code,
        })
    }
}

const INVALID: &str = "invalid_request_error";
const OVERLOADED: &str = "rate_limit_error";
const SERVER: &str = "server_error";

impl Verdict {
    fn new(status: StatusCode, kind: &'static str, fault: Fault) -> Self {
        Self {
            status,
            kind,
            code: None,
            param: None,
            retry_after: None,
            fault,
        }
    }

    fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }
}

/// What pingora says of an error, without the bytes that it quotes.
pub(super) fn words(error: &pingora_core::Error) -> String {
    match (&error.cause, &error.context) {
        (Some(cause), _) => cause.to_string(),
        (None, Some(context)) => context.as_str().to_owned(),
        (None, None) => error.etype().as_str().to_owned(),
    }
}
