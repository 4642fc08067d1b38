//! What the policy engine makes of a request, why, and what that costs the model: as data, for the terminal, for
//! scripts and for the console.
//!
//! The decision is that of [`Set::explain`], which runs the code of the live path. What is added here is for people:
//! who determined each sampling value, the difference between the request before and after, the prompt as the model
//! reads it with its length, and how much of it the model has read already.

mod difference;
mod follow;
mod models;
mod prompt;
mod reuse;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

pub use self::{
    difference::{Difference, Line, LineKind, MessageDifference, ToolDifference, Words},
    follow::RuleAt,
    models::Models,
    prompt::Prompt,
    reuse::{Differs, Kept, Previous, Reuse},
};
use crate::{
    chat::{self, Sampling},
    policy::{
        Class, Decision, Facts, Headers, Input, ModelFact, Outcome, Sampled, Set, StepOutcome,
        Trace, ValueOrigin,
    },
    wire::openai,
};

#[cfg(test)]
mod tests;

/// What is to be explained.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The rules and policies.
    pub set: &'a Set,
    /// The models.
    pub facts: &'a Facts,
    /// The request.
    pub request: &'a chat::Request,
    /// Its headers.
    pub headers: Headers<'a>,
    /// The model that is to answer, whatever the routes say.
    pub forced: Option<&'a str>,
    /// The request before it; without one, it is taken from the request itself.
    pub previous: Option<Turn<'a>>,
}

/// A request and its headers.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// The request.
    pub request: &'a chat::Request,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// What becomes of a request, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The model that the client asked for.
    pub asked: String,
    /// The model that answers; `None` where nobody here knows it.
    pub model: Option<Model>,
    /// What was decided.
    pub decision: Decision,
    /// The sampling values and who determined each.
    pub sampling: Vec<UsedValue>,
    /// Where the runtime takes sampling values only when it loads a model: the class that these are for, whatever the
    /// request is and asks for.
    pub sampling_at_load: Option<Class>,
    /// The limit of generated tokens and who determined it.
    pub max_tokens: Sampled<u32>,
    /// Why, rule by rule.
    pub trace: Trace,
    /// Whether messages or tools are rewritten.
    pub rewritten: bool,
    /// The request as it goes on, in the OpenAI format.
    pub request: Value,
    /// What was rewritten.
    pub difference: Difference,
    /// What the model reads.
    pub prompt: Prompt,
    /// What of it the model has read already; `None` where there was no request before.
    pub reuse: Option<Reuse>,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Its id.
    pub id: Arc<str>,
    /// Its family; empty where unknown.
    pub family: String,
    /// Tokens that its context holds, if known.
    pub context: Option<u32>,
    /// The upstream that serves it; `None` for the engine.
    pub upstream: Option<Arc<str>>,
}

/// A sampling value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UsedValue {
    /// What was decided.
    #[serde(flatten)]
    pub decided: Sampled<f32>,
    /// What the engine gives to the runtime; `None` where the runtime has no such value, or a server answers.
    pub used: Option<f32>,
}

/// Explains a request.
#[must_use]
pub fn explain(question: &Question<'_>, models: &Models<'_>) -> Explanation {
    let turn = Turn {
        request: question.request,
        headers: question.headers,
    };
    let weighed = question.weigh(turn);
    let decision = &weighed.outcome.decision;
    let model = question.facts.model(&decision.model);
    let settings = question.set.model_settings(&decision.model, model);
    // First, as it tells the reader of the prompt how the model has said its answers.
    let reuse = reuse::reuse(question, &weighed, model, models);
    let prompt = Prompt::new(models, model, settings, &weighed.sent, &weighed.unrewritten);
    let difference = Difference::new(question.request, &weighed.sent, &weighed.outcome.trace);
    let Weighed { outcome, sent, .. } = weighed;
    let Outcome {
        decision,
        request: rewritten,
        mut trace,
    } = outcome;
    let (values, max_tokens) = sampled(&mut trace, &decision);
    let local = model.is_some_and(|model| model.upstream.is_none());
    let engine = models.sampling(question.set, &decision).filter(|_| local);
    let (engine, sampling_at_load) = engine.unzip();
    Explanation {
        asked: question.request.model.clone(),
        model: model.map(Model::from),
        sampling: values
            .into_iter()
            .map(|value| used(value, engine.as_ref()))
            .collect(),
        sampling_at_load: sampling_at_load.flatten(),
        max_tokens,
        trace,
        rewritten: rewritten.is_some(),
        request: openai::chat_json(&sent),
        difference,
        prompt,
        reuse,
        decision,
    }
}

impl From<&ModelFact> for Model {
    fn from(fact: &ModelFact) -> Self {
        Self {
            id: fact.id.clone(),
            family: fact.family.clone(),
            context: fact.context,
            upstream: fact.upstream.clone(),
        }
    }
}

/// A request and what becomes of it.
struct Weighed<'a> {
    request: &'a chat::Request,
    outcome: Outcome,
    /// As it goes on.
    sent: chat::Request,
    /// As it would go on without rewriting, with the same switches.
    unrewritten: chat::Request,
}

impl<'a> Question<'a> {
    fn weigh<'t>(&self, turn: Turn<'t>) -> Weighed<'t>
    where
        'a: 't,
    {
        let input = Input {
            request: turn.request,
            headers: turn.headers,
            facts: self.facts,
        };
        let outcome = self.set.explain(&input, self.forced);
        let decided = |request: &chat::Request| {
            let decision = &outcome.decision;
            let mut stop = request.stop.clone();
            let more = decision.answer.stop.iter();
            stop.extend(more.filter(|text| !request.stop.contains(text)).cloned());
            chat::Request {
                model: decision.model.to_string(),
                thinking: decision.thinking,
                sampling: decision.sampling,
                max_tokens: decision.max_tokens,
                stop,
                ..request.clone()
            }
        };
        Weighed {
            request: turn.request,
            sent: decided(outcome.request.as_ref().unwrap_or(turn.request)),
            unrewritten: decided(turn.request),
            outcome,
        }
    }
}

/// Takes the sampling values out of the trace. Where the stage has failed they are the client's.
fn sampled(trace: &mut Trace, decision: &Decision) -> (Vec<Sampled<f32>>, Sampled<u32>) {
    let at = trace
        .steps
        .iter()
        .position(|step| matches!(step.outcome, StepOutcome::Sampled { .. }));
    match at.map(|at| trace.steps.remove(at).outcome) {
        Some(StepOutcome::Sampled { values, max_tokens }) => (values, max_tokens),
        _ => {
            let max_tokens = Sampled {
                name: "max_tokens".into(),
                value: decision.max_tokens,
                asked: decision.max_tokens,
                origin: ValueOrigin::Client,
            };
            (Vec::new(), max_tokens)
        }
    }
}

/// What becomes of a value behind the policy engine.
fn used(mut decided: Sampled<f32>, engine: Option<&Sampling>) -> UsedValue {
    let engine = engine.and_then(|engine| match &*decided.name {
        "temperature" => engine.temperature,
        "top_p" => engine.top_p,
        "top_k" => engine.top_k.map(|value| value as f32),
        "min_p" => engine.min_p,
        "repeat_penalty" => engine.repeat_penalty,
        "frequency_penalty" => engine.frequency_penalty,
        "presence_penalty" => engine.presence_penalty,
        _ => None,
    });
    if decided.origin == ValueOrigin::Default {
        decided.value = engine;
    }
    UsedValue {
        decided,
        used: engine,
    }
}
