//! What the policy makes of a request before anybody answers it.

use bytes::Bytes;
use http::HeaderMap;
use tracing::{info, warn};

use super::route::Call;
use crate::{
    chat::{self, Content, Message, Role},
    policy::{Decision, Facts, Headers, Input, Set, StepOutcome, Trace},
    wire::openai::{ChatBody, CompletionRequest, DecodeError},
};

/// A request and what was decided about it.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) call: Call,
    pub(super) body: ChatBody,
    /// The request as it came. A text to go on with is what a user says.
    pub(super) original: chat::Request,
    /// The conversation as the model is to see it; `None` where that is how it came.
    pub(super) rewritten: Option<chat::Request>,
    pub(super) decision: Decision,
    /// Why.
    pub(super) trace: Trace,
    /// Whether another model answers than the one asked for.
    pub(super) rerouted: bool,
}

/// Reads a body; `None` for calls that no rule speaks of.
pub(super) fn read(
    call: Call,
    body: &Bytes,
) -> Result<Option<(ChatBody, chat::Request)>, DecodeError> {
    match call {
        Call::Chat => ChatBody::decode(body).map(Some),
        Call::Completion => {
            let (body, request) = ChatBody::decode_text(body)?;
            Ok(Some((body, as_chat(request))))
        }
        Call::Embeddings => Ok(None),
    }
}

/// A text to go on with, as rules see it: what a user says, to a model that does not think.
fn as_chat(request: CompletionRequest) -> chat::Request {
    chat::Request {
        model: request.model,
        messages: vec![Message {
            role: Role::User,
            content: Content::Text(request.prompt),
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            extra: serde_json::Map::new(),
        }],
        stream: request.stream,
        include_usage: request.include_usage,
        sampling: request.sampling,
        max_tokens: request.max_tokens,
        stop: request.stop,
        thinking: Some(false),
        extra: request.extra,
        ..chat::Request::default()
    }
}

impl Decided {
    /// Asks the policy about a request.
    pub(super) fn about(
        call: Call,
        body: ChatBody,
        original: chat::Request,
        headers: &HeaderMap,
        set: &Set,
        facts: &Facts,
    ) -> Self {
        let outcome = set.decide(&Input {
            request: &original,
            headers: Headers::new(&|name| headers.get(name)?.to_str().ok()),
            facts,
        });
        tell(&outcome.trace);
        let answering = &outcome.decision.model;
        let rerouted = match facts.model(&original.model) {
            Some(asked) => asked.id != *answering,
            None => *original.model != **answering,
        };
        Self {
            call,
            body,
            // A text to go on with is the client's own to the letter.
            rewritten: outcome.request.filter(|_| call == Call::Chat),
            original,
            decision: outcome.decision,
            trace: outcome.trace,
            rerouted,
        }
    }

    /// The name that the model is found by: the client's own spelling, unless another one answers.
    pub(super) fn answering(&self) -> &str {
        if self.rerouted {
            &self.decision.model
        } else {
            &self.original.model
        }
    }

    /// Asks once more, with other facts.
    pub(super) fn again(&self, headers: &HeaderMap, set: &Set, facts: &Facts) -> Self {
        let (body, original) = (self.body.clone(), self.original.clone());
        Self::about(self.call, body, original, headers, set, facts)
    }
}

/// Logs what rules in shadow mode would have done, and what failed. Changes are told by place and length: their words
/// may quote the prompt.
fn tell(trace: &Trace) {
    for step in &trace.steps {
        match &step.outcome {
            StepOutcome::Shadow { what, changes } => {
                let changes = changes.iter().map(|change| {
                    format!("{}: {} -> {}", change.place, change.before, change.after)
                });
                let changes = changes.collect::<Vec<_>>().join(", ");
                info!(rule = %step.rule, what, changes, "rule in shadow mode");
            }
            StepOutcome::Failed { why } => warn!(rule = %step.rule, why, "a rule failed"),
            StepOutcome::Matched { .. }
            | StepOutcome::NotMatched { .. }
            | StepOutcome::Left { .. }
            | StepOutcome::Applied { .. }
            | StepOutcome::Sampled { .. } => {}
        }
    }
}
