//! What the gateway tells about its requests: one span, one line and one count each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{Span, debug, field::Empty, info, info_span, warn};

use super::{
    exchange::Exchange,
    failure::{CLIENT_CLOSED_REQUEST, Failure, Fault},
    in_force::{self, Settled},
    journal::{Ended, Journal},
    local::Sharing,
    route::Call,
    traced::{self, Outcome},
};
use crate::{
    chat::{FinishReason, Sampling, Usage, answer::AnswerNotes},
    engine::Miss,
    telemetry::{
        Activity, Metrics, Operation, RequestRecord,
        activity::{Ending, Ticket},
        traces::Traces,
    },
};

/// What is learnt about a request while it is answered.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The name of the API key that opened the door.
    pub(super) key: Option<Arc<str>>,
    /// The call, for requests that name a model.
    pub(super) call: Option<Call>,
    /// The upstream that answers; empty for the engine.
    pub(super) provider: String,
    /// When the first token or byte of the answer's body was sent.
    pub(super) first_token: Option<Instant>,
    /// What the policy has decided.
    pub(super) settled: Option<Settled>,
    /// The sampling values that were in force.
    pub(super) sampling: Option<Sampling>,
    /// What the rules have done to the answer.
    pub(super) notes: AnswerNotes,
    /// Time that the engine took to read the prompt.
    pub(super) prefill: Option<Duration>,
    /// Time that it took to write the answer.
    pub(super) decode: Option<Duration>,
    /// Time in the engine's queue, with all waits of what gave way.
    pub(super) queued: Option<Duration>,
    /// Of this, time after the first token.
    pub(super) stood_back: Duration,
    /// Why much of the prompt was not found in the KV cache.
    pub(super) miss: Option<Miss>,
    /// How the request came by an answer that was made for another one.
    pub(super) sharing: Option<Sharing>,
    /// Tokens, where they were counted.
    pub(super) usage: Option<Usage>,
    /// Shows the request to whoever watches; there for requests that name a model.
    pub(super) ticket: Option<Ticket>,
    /// The engine's failure that the client was not told of, as there is an answer to give instead.
    pub(super) replaced: Option<Failure>,
    /// Why the answer ended, where the engine made it.
    pub(super) finish: Option<FinishReason>,
    /// What the prompt log is told; there for requests that name a model.
    pub(super) journal: Option<Journal>,
}

impl Record {
    /// Who answers, by the name in metrics.
    pub(super) fn provider(&self) -> &str {
        if self.provider.is_empty() {
            ENGINE
        } else {
            &self.provider
        }
    }

    /// Whether an upstream answers.
    pub(super) fn is_remote(&self) -> bool {
        !self.provider.is_empty()
    }

    /// Tells who watches.
    pub(super) fn show(&self, tell: impl FnOnce(&Ticket)) {
        if let Some(ticket) = &self.ticket {
            tell(ticket);
        }
    }

    /// Notes how the request came by an answer that was made for another one, if it did.
    pub(super) fn shared(&mut self, sharing: Option<Sharing>) {
        self.sharing = sharing;
        if let (Some(sharing), Some(journal)) = (sharing, &mut self.journal) {
            let rule = self
                .settled
                .as_ref()
                .and_then(|settled| settled.cache.clone());
            journal.shared(rule, sharing);
        }
    }

    /// What was in force for the answer, as JSON; `None` as long as that is not known.
    pub(super) fn in_force(&self) -> Option<String> {
        let (settled, sampling) = (self.settled.as_ref()?, self.sampling.as_ref()?);
        Some(in_force::json(settled, sampling))
    }

    /// What the rules have done to the answer, as JSON; `None` where that is nothing.
    fn noted(&self) -> Option<String> {
        let noted = self.notes != AnswerNotes::default();
        noted.then(|| serde_json::to_string(&self.notes).ok())?
    }
}

/// The provider name of the embedded engine.
const ENGINE: &str = "rkllm";

/// The span of one request; the stages of the request fill in its empty fields.
pub(super) fn span(exchange: &Exchange) -> Span {
    info_span!(
        "request",
        id = exchange.id,
        class = Empty,
        model = Empty,
        queue_ms = Empty,
        prefill_ms = Empty,
        decode_ms = Empty,
    )
}

/// Headers by which Open WebUI can tell what a request is for, which chat it belongs to, and who asks.
const WEBUI_HEADERS: [&str; 3] = [
    "x-openwebui-task",
    "x-openwebui-chat-id",
    "x-openwebui-user-id",
];

/// Shows a request that has come.
pub(super) fn began(exchange: &mut Exchange, activity: &Arc<Activity>) {
    let headers = &exchange.request().headers;
    let present = WEBUI_HEADERS
        .into_iter()
        .filter(|name| headers.contains_key(*name));
    let ticket = activity.begin(&exchange.id, exchange.purpose(), present.collect());
    exchange.record.ticket = Some(ticket);
}

/// Shows what was decided about a request.
pub(super) fn decided(exchange: &Exchange) {
    let record = &exchange.record;
    record.show(|ticket| {
        ticket.decided(
            exchange.purpose(),
            record.provider(),
            exchange.model.as_deref(),
        );
    });
}

/// Tells of a request that has ended. Runs inside its span.
pub(super) fn finished(
    exchange: &mut Exchange,
    failure: Option<&Failure>,
    metrics: &Metrics,
    traces: Option<&Traces>,
) {
    let duration = exchange.started.elapsed();
    let verdict = failure.map(Failure::verdict);
    let status = match (failure, exchange.status()) {
        (Some(Failure::ClientGone(_)), _) => CLIENT_CLOSED_REQUEST,
        (_, Some(status)) => status.as_u16(),
        (_, None) => verdict.map_or(CLIENT_CLOSED_REQUEST, |verdict| verdict.status.as_u16()),
    };
    tell(exchange, status, duration, failure);
    let class = exchange.purpose();
    let first_token = exchange
        .record
        .first_token
        .map(|at| at.duration_since(exchange.started));
    if let (Some(traces), Some(call)) = (traces, exchange.record.call) {
        let error = failure.filter(|_| status >= 500);
        let error = error.map(Failure::message);
        let outcome = Outcome {
            status,
            error: error.as_deref(),
            first_token,
            duration,
        };
        traced::send(traces, exchange, call, outcome);
    }
    let record = &mut exchange.record;
    if let Some(ticket) = record.ticket.take() {
        ticket.end(Ending {
            status,
            failure: failure.map(Failure::message),
            first_token,
            prefill: record.prefill,
            usage: record.usage,
        });
    }
    if let Some(mut journal) = record.journal.take() {
        journal.noted(&record.notes);
        journal.end(Ended {
            class,
            model: exchange.model.as_deref(),
            provider: record.provider(),
            generation: exchange.generation,
            status,
            error: failure.or(record.replaced.as_ref()).map(Failure::message),
            finish: record.finish,
            settled: record.settled.as_ref(),
            sampling: record.sampling,
            usage: record.usage,
            miss: record.miss,
            queued: record.queued,
            first_token,
            total: duration,
            decode: record.decode,
        });
    }
    let operation = match record.call {
        Some(Call::Chat) => Operation::Chat,
        Some(Call::Completion) => Operation::TextCompletion,
        Some(Call::Embeddings) => Operation::Embeddings,
        None => return,
    };
    let provider = record.provider();
    let per_token = record
        .usage
        .zip(first_token)
        .and_then(|(usage, first_token)| {
            let further = usage
                .completion
                .checked_sub(1)
                .filter(|further| *further > 0)?;
            let writing = duration.saturating_sub(first_token + record.stood_back);
            Some(writing / further)
        });
    metrics.request(&RequestRecord {
        class,
        model: exchange.model.as_deref().unwrap_or_default(),
        provider,
        operation,
        status,
        duration,
        time_to_first_token: first_token,
        time_per_output_token: per_token,
        queued: record.queued,
        usage: record.usage,
        shared: record.sharing.map(Sharing::as_str),
    });
    if verdict.is_some_and(|verdict| verdict.fault == Fault::Upstream) {
        metrics.upstream_failed(provider);
    }
}

fn tell(exchange: &Exchange, status: u16, duration: Duration, failure: Option<&Failure>) {
    let span = Span::current();
    span.record("class", exchange.purpose());
    if let Some(model) = &exchange.model {
        span.record("model", model);
    }
    if let Some(queued) = exchange.record.queued {
        span.record("queue_ms", millis(queued));
    }
    let ms = millis(duration);
    if let (None, Some(replaced)) = (failure, &exchange.record.replaced) {
        let reason = replaced.message();
        warn!(status, ms, reason, "answered with the fallback");
        return;
    }
    match failure {
        Some(failure) => match failure.verdict().fault {
            Fault::Client | Fault::Load => {
                info!(status, ms, reason = failure.message(), "not answered")
            }
            Fault::Engine | Fault::Upstream | Fault::Gateway => {
                warn!(status, ms, reason = failure.message(), "failed")
            }
        },
        None if exchange.record.call.is_some() => {
            let record = &exchange.record;
            let usage = record.usage.unwrap_or_default();
            let settled = record.settled.as_ref();
            info!(
                status,
                ms,
                generation = exchange.generation,
                rule = settled.map(|settled| &*settled.rule),
                profile = settled.and_then(|settled| settled.profile.as_deref()),
                sampling = record.in_force(),
                notes = record.noted(),
                prompt = usage.prompt,
                cached = usage.cached,
                miss = record.miss.map(Miss::as_str),
                shared = record.sharing.map(Sharing::as_str),
                completion = usage.completion,
                "answered"
            );
        }
        // Open WebUI asks for the list of models at every turn of a page.
        None => debug!(status, ms, "answered"),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
