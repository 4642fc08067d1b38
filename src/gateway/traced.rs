//! A request that has ended, as a trace. Nothing of a prompt or an answer is in it.

use std::time::{Duration, SystemTime};

use super::{exchange::Exchange, local::Sharing, observe::Record, route::Call};
use crate::telemetry::traces::{Phase, RequestTrace, Traces, Value};

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome<'a> {
    pub(super) status: u16,
    /// What went wrong on this side, or at the upstream.
    pub(super) error: Option<&'a str>,
    pub(super) first_token: Option<Duration>,
    pub(super) duration: Duration,
}

/// Sends the trace of a request, if it is to be sent.
pub(super) fn send(traces: &Traces, exchange: &Exchange, call: Call, outcome: Outcome<'_>) {
    let headers = &exchange.request().headers;
    let Some(parent) = traces.sample(headers) else {
        return;
    };
    let record = &exchange.record;
    let model = exchange.model.as_deref().unwrap_or_default();
    let now = SystemTime::now();
    traces.send(RequestTrace {
        parent,
        name: format!("{} {model}", operation(call)).trim_end().to_owned(),
        begun: now.checked_sub(outcome.duration).unwrap_or(now),
        duration: outcome.duration,
        attributes: attributes(exchange, call, outcome),
        phases: phases(record, outcome),
        error: outcome.error.map(str::to_owned),
    });
}

/// `gen_ai.operation.name`.
fn operation(call: Call) -> &'static str {
    match call {
        Call::Chat => "chat",
        Call::Completion => "text_completion",
        Call::Embeddings => "embeddings",
    }
}

/// The names are those of OpenTelemetry's conventions for generative AI; what it has no name for is `rkgate.*`.
fn attributes(exchange: &Exchange, call: Call, outcome: Outcome<'_>) -> Vec<(&'static str, Value)> {
    let record = &exchange.record;
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let number = |number: Option<f32>| number.map(|number| Value::Number(number.into()));
    let integer = |number: i64| Value::Integer(number);
    let settled = record.settled.as_ref();
    let sampling = record.sampling.unwrap_or_default();
    let usage = record.usage;
    let headers = &exchange.request().headers;
    let conversation = headers.get("x-openwebui-chat-id");
    let conversation = conversation.and_then(|id| id.to_str().ok());
    let asked = record.journal.as_ref().map(super::Journal::asked);
    let asked = asked.filter(|asked| !asked.is_empty());
    let model = exchange.model.as_deref();
    let attributes = [
        ("gen_ai.operation.name", text(operation(call))),
        ("gen_ai.provider.name", text(record.provider())),
        ("gen_ai.request.model", asked.or(model).and_then(text)),
        ("gen_ai.response.model", model.and_then(text)),
        ("gen_ai.conversation.id", conversation.and_then(text)),
        ("gen_ai.request.temperature", number(sampling.temperature)),
        ("gen_ai.request.top_p", number(sampling.top_p)),
        (
            "gen_ai.request.top_k",
            sampling.top_k.map(|it| integer(it.into())),
        ),
        (
            "gen_ai.request.frequency_penalty",
            number(sampling.frequency_penalty),
        ),
        (
            "gen_ai.request.presence_penalty",
            number(sampling.presence_penalty),
        ),
        ("gen_ai.request.seed", sampling.seed.map(integer)),
        (
            "gen_ai.request.max_tokens",
            settled
                .and_then(|settled| settled.max_tokens)
                .map(|most| integer(most.into())),
        ),
        (
            "gen_ai.response.finish_reasons",
            record
                .finish
                .map(|reason| Value::Texts(vec![reason.as_str().to_owned()])),
        ),
        (
            "gen_ai.usage.input_tokens",
            usage.map(|usage| integer(usage.prompt.into())),
        ),
        (
            "gen_ai.usage.cache_read.input_tokens",
            usage.map(|usage| integer(usage.cached.into())),
        ),
        (
            "gen_ai.usage.output_tokens",
            usage.map(|usage| integer(usage.completion.into())),
        ),
        (
            "http.response.status_code",
            Some(integer(outcome.status.into())),
        ),
        (
            "error.type",
            outcome
                .error
                .and_then(|_| text(&outcome.status.to_string())),
        ),
        ("rkgate.request.id", text(&exchange.id)),
        ("rkgate.class", text(exchange.purpose())),
        (
            "rkgate.rule",
            settled.and_then(|settled| text(&settled.rule)),
        ),
        (
            "rkgate.profile",
            settled
                .and_then(|settled| settled.profile.as_deref())
                .and_then(text),
        ),
        (
            "rkgate.policy.generation",
            i64::try_from(exchange.generation).ok().map(integer),
        ),
        (
            "rkgate.shared",
            record.sharing.map(Sharing::as_str).and_then(text),
        ),
    ];
    attributes
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Where the time went: in the queue, reading the prompt, writing the answer; or at the upstream.
fn phases(record: &Record, outcome: Outcome<'_>) -> Vec<Phase> {
    let end = outcome.duration;
    let phase = |name, begin: Duration, end: Duration| Phase {
        name,
        is_remote: false,
        begin,
        end: end.max(begin),
    };
    if record.is_remote() {
        let call = Phase {
            is_remote: true,
            ..phase("upstream", Duration::ZERO, end)
        };
        return vec![call];
    }
    let mut phases = Vec::new();
    let prefill = outcome.first_token.zip(record.prefill);
    if let Some(queued) = record.queued {
        // Nothing but a model's loading comes between the queue and the prompt.
        let over = prefill.map_or(end, |(first, prefill)| first.saturating_sub(prefill));
        let queued = queued.saturating_sub(record.stood_back);
        phases.push(phase("queue", over.saturating_sub(queued), over));
    }
    if let Some((first, prefill)) = prefill {
        phases.push(phase("prefill", first.saturating_sub(prefill), first));
        phases.push(phase("decode", first, end));
    }
    phases
}
