//! Prometheus metrics.
//!
//! Names follow OpenTelemetry's semantic conventions for generative AI where they exist (`gen_ai_*`); the rest is
//! `rkgate_*`. Every label is bounded: models and upstreams that the configuration does not know count as `other`.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text},
    metrics::{counter::Counter, family::Family, histogram::Histogram, info::Info},
    registry::{Metric, Registry},
};

use super::{
    board::Board,
    engine::Watched,
    policy::InForce,
    prompt_log::Logged,
    traces::{Traced, Traces},
};
use crate::{
    chat,
    engine::Engine,
    policy::live::{Attempt, Live},
    promptlog::PromptLog,
};

#[cfg(test)]
mod tests;

/// The media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of `gen_ai.server.request.duration` in seconds, as the conventions advise, and up for slow boards.
const DURATION_BOUNDS: [f64; 16] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
    327.68,
];
/// Bounds of `gen_ai.server.time_to_first_token` in seconds, as the conventions advise, and up: an NPU reads a
/// prompt of 16k tokens in about a minute.
const FIRST_TOKEN_BOUNDS: [f64; 19] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0,
];
/// Bounds of `gen_ai.server.time_per_output_token` in seconds, as the conventions advise.
const OUTPUT_TOKEN_BOUNDS: [f64; 13] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];
/// Bounds of `gen_ai.client.token.usage` in tokens: the conventions' powers of four up to 64k.
const TOKEN_BOUNDS: [f64; 9] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0,
];

/// The label of whatever the configuration does not know.
const OTHER: &str = "other";

/// `gen_ai.operation.name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    TextCompletion,
    /// `/v1/embeddings`.
    Embeddings,
}

impl EncodeLabelValue for Operation {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
        }
        .encode(encoder)
    }
}

/// One finished request, whatever its end.
#[derive(Debug, Clone, Copy)]
pub struct RequestRecord<'a> {
    /// What the request was for, e.g. `chat`.
    pub class: &'static str,
    /// The model asked for.
    pub model: &'a str,
    /// `rkllm` for the embedded engine, else the upstream's name.
    pub provider: &'a str,
    /// The kind of call.
    pub operation: Operation,
    /// The HTTP status sent; 499 when the client went away first.
    pub status: u16,
    /// From the request's first byte to the answer's last.
    pub duration: Duration,
    /// From the request's first byte to the first token sent, where one was.
    pub time_to_first_token: Option<Duration>,
    /// Mean time between tokens after the first, where two or more were sent.
    pub time_per_output_token: Option<Duration>,
    /// Time spent waiting for the NPU, where the request reached the queue.
    pub queued: Option<Duration>,
    /// Exact token counts, where they are known.
    pub usage: Option<chat::Usage>,
    /// How it came by an answer that was made for another request, if it did: `cached` or `joined`.
    pub shared: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    class: &'static str,
    model: Arc<str>,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GenAiLabels {
    gen_ai_operation_name: Operation,
    gen_ai_provider_name: Arc<str>,
    gen_ai_request_model: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    gen_ai_operation_name: Operation,
    gen_ai_provider_name: Arc<str>,
    gen_ai_request_model: Arc<str>,
    gen_ai_token_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabel {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SharedLabels {
    class: &'static str,
    how: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabel {
    upstream: Arc<str>,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of one gateway. Recording never blocks on I/O.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    engine: Option<Engine>,
    known: RwLock<HashSet<Arc<str>>>,
    other: Arc<str>,
    requests: Family<RequestLabels, Counter>,
    duration: Histograms<GenAiLabels>,
    first_token: Histograms<GenAiLabels>,
    output_token: Histograms<GenAiLabels>,
    tokens: Histograms<TokenLabels>,
    queue_seconds: Histograms<ClassLabel>,
    prefill_tokens: Family<KindLabel, Counter>,
    shared_answers: Family<SharedLabels, Counter>,
    upstream_errors: Family<UpstreamLabel, Counter>,
    policy_reloads: Family<ResultLabel, Counter>,
    log_lines_dropped: Counter,
}

impl Metrics {
    /// Registers every metric; the board's readings are taken anew at each scrape.
    #[must_use]
    pub fn new(board: Board) -> Self {
        let mut registry = Registry::default();
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("rkgate_build", "The running version", Info::new(build));
        registry.register_collector(Box::new(board));
        let r = &mut registry;
        Self {
            known: RwLock::default(),
            other: OTHER.into(),
            requests: add(r, "rkgate_requests", "Finished requests", Family::default()),
            duration: add(
                r,
                "gen_ai_server_request_duration_seconds",
                "Time from a request's first byte to its answer's last",
                Family::new_with_constructor(|| Histogram::new(DURATION_BOUNDS)),
            ),
            first_token: add(
                r,
                "gen_ai_server_time_to_first_token_seconds",
                "Time from a request's first byte to its answer's first token",
                Family::new_with_constructor(|| Histogram::new(FIRST_TOKEN_BOUNDS)),
            ),
            output_token: add(
                r,
                "gen_ai_server_time_per_output_token_seconds",
                "Mean time per token after the first",
                Family::new_with_constructor(|| Histogram::new(OUTPUT_TOKEN_BOUNDS)),
            ),
            tokens: add(
                r,
                "gen_ai_client_token_usage",
                "Tokens per request",
                Family::new_with_constructor(|| Histogram::new(TOKEN_BOUNDS)),
            ),
            queue_seconds: add(
                r,
                "rkgate_queue_seconds",
                "Time spent waiting for the NPU",
                Family::new_with_constructor(|| Histogram::new(DURATION_BOUNDS)),
            ),
            prefill_tokens: add(
                r,
                "rkgate_prefill_tokens",
                "Prompt tokens found in the KV cache (reused), read by the NPU (computed), or of requests that shared an answer (shared)",
                Family::default(),
            ),
            shared_answers: add(
                r,
                "rkgate_shared_answers",
                "Requests that got an answer which was kept (cached) or just being made (joined) for another one",
                Family::default(),
            ),
            upstream_errors: add(
                r,
                "rkgate_upstream_errors",
                "Calls to an upstream that failed",
                Family::default(),
            ),
            policy_reloads: add(
                r,
                "rkgate_policy_reloads",
                "Attempts to load rules and policies",
                Family::default(),
            ),
            log_lines_dropped: add(
                r,
                "rkgate_log_lines_dropped",
                "Log lines that could not be written",
                Counter::default(),
            ),
            registry,
            engine: None,
        }
    }

    /// Adds the engine's state, which is looked at anew at each scrape.
    pub fn watch(&mut self, engine: Engine) {
        self.registry
            .register_collector(Box::new(Watched(engine.clone())));
        self.engine = Some(engine);
    }

    /// Adds the prompt log's state, which is looked at anew at each scrape.
    pub fn watch_log(&mut self, log: Arc<PromptLog>) {
        self.registry.register_collector(Box::new(Logged(log)));
    }

    /// Adds the rules and policies in force, which are looked at anew at each scrape.
    pub fn watch_policy(&mut self, policy: Arc<Live>) {
        self.registry.register_collector(Box::new(InForce(policy)));
    }

    /// Lets what becomes of traces be read.
    pub fn watch_traces(&mut self, traces: Arc<Traces>) {
        self.registry.register_collector(Box::new(Traced(traces)));
    }

    /// Lets these model and upstream names appear as labels; all others count as `other`.
    pub fn know<S: Into<Arc<str>>>(&self, names: impl IntoIterator<Item = S>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(names.into_iter().map(Into::into));
    }

    /// Counts one finished request.
    pub fn request(&self, record: &RequestRecord) {
        let model = self.label(record.model);
        let labels = GenAiLabels {
            gen_ai_operation_name: record.operation,
            gen_ai_provider_name: self.provider(record.provider),
            gen_ai_request_model: model.clone(),
        };
        self.requests
            .get_or_create(&RequestLabels {
                class: record.class,
                model,
                status: record.status,
            })
            .inc();
        self.duration
            .get_or_create(&labels)
            .observe(record.duration.as_secs_f64());
        if let Some(time) = record.time_to_first_token {
            self.first_token
                .get_or_create(&labels)
                .observe(time.as_secs_f64());
        }
        if let Some(time) = record.time_per_output_token {
            self.output_token
                .get_or_create(&labels)
                .observe(time.as_secs_f64());
        }
        if let Some(how) = record.shared {
            let class = record.class;
            self.shared_answers
                .get_or_create(&SharedLabels { class, how })
                .inc();
        } else if let Some(time) = record.queued {
            let class = ClassLabel {
                class: record.class,
            };
            self.queue_seconds
                .get_or_create(&class)
                .observe(time.as_secs_f64());
        }
        if let Some(usage) = record.usage {
            self.usage(&labels, usage);
            if record.shared.is_some() {
                self.prefilled("shared").inc_by(usage.prompt.into());
            }
        }
    }

    fn usage(&self, labels: &GenAiLabels, usage: chat::Usage) {
        for (gen_ai_token_type, tokens) in [("input", usage.prompt), ("output", usage.completion)] {
            let labels = TokenLabels {
                gen_ai_operation_name: labels.gen_ai_operation_name,
                gen_ai_provider_name: labels.gen_ai_provider_name.clone(),
                gen_ai_request_model: labels.gen_ai_request_model.clone(),
                gen_ai_token_type,
            };
            self.tokens
                .get_or_create(&labels)
                .observe(f64::from(tokens));
        }
    }

    fn prefilled(&self, kind: &'static str) -> Counter {
        self.prefill_tokens.get_or_create_owned(&KindLabel { kind })
    }

    /// Takes over what the engine has read: requests know of no prompt that was read for nothing, or twice.
    fn read(&self, engine: &Engine) {
        let counters = engine.status().counters;
        let computed = counters
            .prompt_tokens
            .saturating_sub(counters.cached_tokens);
        for (kind, tokens) in [("reused", counters.cached_tokens), ("computed", computed)] {
            // Another scrape may have come first with more.
            let counted = self.prefilled(kind);
            counted.inner().fetch_max(tokens, Ordering::Relaxed);
        }
    }

    /// Counts a call to an upstream that failed.
    pub fn upstream_failed(&self, upstream: &str) {
        self.upstream_errors
            .get_or_create(&UpstreamLabel {
                upstream: self.label(upstream),
            })
            .inc();
    }

    /// Counts an attempt to load rules and policies.
    pub fn policy_loaded(&self, attempt: &Attempt) {
        let result = if attempt.error.is_none() {
            "ok"
        } else {
            "failed"
        };
        self.policy_reloads
            .get_or_create(&ResultLabel { result })
            .inc();
    }

    /// The counter of log lines that could not be written, for the log's writer.
    #[must_use]
    pub fn log_lines_dropped(&self) -> Counter {
        self.log_lines_dropped.clone()
    }

    /// All metrics as OpenMetrics text, see [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// When a metric cannot be formatted, which no value of ours leads to.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        if let Some(engine) = &self.engine {
            self.read(engine);
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }

    fn provider(&self, name: &str) -> Arc<str> {
        if name == "rkllm" {
            name.into()
        } else {
            self.label(name)
        }
    }

    fn label(&self, name: &str) -> Arc<str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).unwrap_or(&self.other).clone()
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
