//! Answers from upstreams: what is sent to them, and what becomes of what they say.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Gateway,
    decide::Decided,
    exchange::Exchange,
    failure::Failure,
    in_force::Settled,
    now,
    route::Call,
    upstream::{Edits, ModelAlias, Upstream, UpstreamFault},
};
use crate::{
    chat::{
        FinishReason, Usage,
        answer::{Answer, AnswerOptions},
    },
    policy::Decision,
    wire::openai::{self, ThinkSwitch},
};

/// A call for an upstream.
pub(super) struct Errand<'a> {
    pub(super) call: Call,
    pub(super) upstream: &'a Upstream,
    pub(super) alias: Option<&'a ModelAlias>,
    pub(super) body: Bytes,
    /// `None` where no rule speaks of the call, or it cannot be read: then it is the upstream's to judge.
    pub(super) decided: Option<Decided>,
}

/// Answers a request from an upstream.
pub(super) async fn answer(
    gateway: &Gateway,
    errand: Errand<'_>,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let Errand {
        call,
        upstream,
        alias,
        body,
        decided,
    } = errand;
    let path = match exchange.request().uri.query() {
        Some(query) => format!("{}?{query}", call.path()),
        None => call.path().to_owned(),
    };
    let upstreams = &gateway.upstreams;
    let Some(decided) = decided else {
        let body = match alias {
            Some(alias) => openai::with_model(&body, &alias.model),
            None => body,
        };
        return upstreams.relay(upstream, &path, body, None, exchange).await;
    };
    if let Some(journal) = &mut exchange.record.journal {
        journal.listen();
    }
    // A body of many megabytes must not stay for as long as the answer takes.
    drop(body);
    let edits = edits(&decided, exchange);
    let fallback = decided.decision.queue.fallback.clone();
    let asked = decided.original.model.clone();
    let body = sent(decided, alias, upstream, exchange);
    let deadline = edits.as_ref().and_then(|edits| edits.deadline);
    let relayed = upstreams
        .relay(upstream, &path, body, edits, exchange)
        .await;
    let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
    match (relayed, fallback) {
        (Err(Failure::Upstream(error)), Some(fallback))
            if late && error.kind == UpstreamFault::Timeout && exchange.status().is_none() =>
        {
            fall_back(&asked, &fallback, exchange).await
        }
        (relayed, _) => relayed,
    }
}

/// What is to be done to the answer; `None` where it is relayed as it comes.
fn edits(decided: &Decided, exchange: &Exchange) -> Option<Edits> {
    let Decision { answer, queue, .. } = &decided.decision;
    let rules = answer.think.is_some()
        || answer.json.is_some()
        || answer.repetition.is_some()
        || !answer.stop.is_empty();
    if decided.call != Call::Chat || !(rules || decided.rerouted) {
        return None;
    }
    let in_time = queue.deadline.filter(|_| queue.fallback.is_some());
    Some(Edits {
        options: AnswerOptions {
            id_seed: exchange.id.clone(),
            // The client's own strings are the upstream's to look for.
            ..decided.decision.answer_options(&[])
        },
        model: decided.rerouted.then(|| decided.original.model.clone()),
        // The answer of last resort comes as a whole.
        deadline: in_time
            .filter(|_| !decided.original.stream)
            .map(|time| (exchange.started + time).into()),
    })
}

/// The body as the upstream gets it: the client's own, byte for byte, but for what was decided.
fn sent(
    decided: Decided,
    alias: Option<&ModelAlias>,
    upstream: &Upstream,
    exchange: &mut Exchange,
) -> Bytes {
    let model = alias.map_or(decided.answering(), |alias| &alias.model);
    let model = model.to_owned();
    let Decided {
        call,
        body,
        original,
        rewritten,
        decision,
        ..
    } = decided;
    let switch = match call {
        Call::Chat => upstream.think_switch(),
        Call::Completion | Call::Embeddings => ThinkSwitch::None,
    };
    let switched = switch != ThinkSwitch::None && decision.thinking.is_some();
    let thinking = if switched {
        decision.thinking
    } else {
        original.thinking
    };
    exchange.record.sampling = Some(decision.sampling);
    exchange.record.settled = Some(Settled {
        thinking,
        ..Settled::from(&decision)
    });
    let resampled =
        decision.sampling != original.sampling || decision.max_tokens != original.max_tokens;
    let journal = exchange.record.journal.as_mut();
    if rewritten.is_none() && !resampled && !switched {
        let same = if model == original.model {
            body.bytes().clone()
        } else {
            openai::with_model(body.bytes(), &model)
        };
        if let Some(journal) = journal {
            let thinking = original.thinking;
            journal.sent(None, &Arc::new(original), thinking);
        }
        return same;
    }
    let mut sent = rewritten.unwrap_or_else(|| original.clone());
    sent.model = model;
    sent.sampling = decision.sampling;
    sent.max_tokens = decision.max_tokens;
    sent.thinking = thinking;
    switch.apply(&mut sent);
    let encoded = body.encode(&original, &sent);
    if let Some(journal) = journal {
        let thinking = original.thinking;
        journal.sent(Some(original), &Arc::new(sent), thinking);
    }
    encoded
}

/// Answers without the upstream, whose time is over.
async fn fall_back(
    model: &str,
    fallback: &Arc<str>,
    exchange: &mut Exchange,
) -> Result<(), Failure> {
    let answer = Answer {
        content: fallback.to_string(),
        ..Answer::default()
    };
    let body = openai::chat_completion(
        &exchange.id,
        now(),
        model,
        &answer,
        FinishReason::Stop,
        Usage::default(),
    );
    exchange.respond_json(&body).await
}
