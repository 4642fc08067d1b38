//! What the policy makes of a request before anybody answers it.

use http::HeaderMap;
use tracing::{info, warn};

use super::route::Call;
use crate::{
    chat::{self, Content, Message, Role},
    policy::{Decision, Facts, Headers, Input, Outcome, Set, StepOutcome, Trace},
    wire::openai::{CompletionRequest, DecodeError, decode_chat, decode_completion},
};

/// A request as the client sent it.
#[derive(Debug)]
pub(super) enum Form {
    /// A conversation.
    Chat(chat::Request),
    /// A text to go on with.
    Text(CompletionRequest),
}

/// A request and what was decided about it.
#[derive(Debug)]
pub(super) struct Decided {
    /// The request as it came.
    pub(super) form: Form,
    /// The conversation as the model is to see it; `None` where that is how it came.
    pub(super) rewritten: Option<chat::Request>,
    pub(super) decision: Decision,
    /// Whether another model answers than the one asked for.
    pub(super) rerouted: bool,
}

impl Form {
    /// Reads a body; `None` for calls that no rule speaks of.
    pub(super) fn read(call: Call, body: &[u8]) -> Result<Option<Self>, DecodeError> {
        match call {
            Call::Chat => decode_chat(body).map(Self::Chat).map(Some),
            Call::Completion => decode_completion(body).map(Self::Text).map(Some),
            Call::Embeddings => Ok(None),
        }
    }

    fn model(&self) -> &str {
        match self {
            Self::Chat(request) => &request.model,
            Self::Text(request) => &request.model,
        }
    }
}

impl Decided {
    /// Asks the policy about a request.
    pub(super) fn about(form: Form, headers: &HeaderMap, set: &Set, facts: &Facts) -> Self {
        let outcome = match &form {
            Form::Chat(request) => decide(request, headers, set, facts),
            Form::Text(request) => decide(&as_chat(request), headers, set, facts),
        };
        tell(&outcome.trace);
        let asked = facts.model(form.model());
        let rerouted = match asked {
            Some(model) => model.id != outcome.decision.model,
            None => *form.model() != *outcome.decision.model,
        };
        Self {
            rewritten: match form {
                Form::Chat(_) => outcome.request,
                // What is to be continued is the client's own text to the letter.
                Form::Text(_) => None,
            },
            form,
            decision: outcome.decision,
            rerouted,
        }
    }
}

fn decide(request: &chat::Request, headers: &HeaderMap, set: &Set, facts: &Facts) -> Outcome {
    set.decide(&Input {
        request,
        headers: Headers::new(&|name| headers.get(name)?.to_str().ok()),
        facts,
    })
}

/// A text to go on with, as rules see it: what a user says, to a model that does not think.
fn as_chat(request: &CompletionRequest) -> chat::Request {
    chat::Request {
        model: request.model.clone(),
        messages: vec![Message {
            role: Role::User,
            content: Content::Text(request.prompt.clone()),
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            extra: serde_json::Map::new(),
        }],
        stream: request.stream,
        sampling: request.sampling,
        max_tokens: request.max_tokens,
        stop: request.stop.clone(),
        thinking: Some(false),
        ..chat::Request::default()
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
