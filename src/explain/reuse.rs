//! How much of a prompt the model has read already, given the request before it.

mod compare;

use serde::Serialize;

use super::{Models, Question, Turn, Weighed, follow::RuleAt};
use crate::{
    chat::{Message, Request, Role},
    policy::{Headers, ModelFact},
};
use compare::Comparison;

/// What of a prompt the model has read already, if the previous request was the last one that it ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reuse {
    /// Where the previous request is from.
    pub previous: Previous,
    /// Whether the figures are exact.
    pub exact: bool,
    /// What of the prompt is kept.
    pub kept: Kept,
    /// What would be kept if neither request were rewritten.
    pub unrewritten: Option<Kept>,
    /// Where the prompt differs from what the model holds; `None` where it only goes on from there.
    pub differs: Option<Differs>,
    /// What the figures rest on.
    pub notes: Vec<String>,
}

/// Where the previous request is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Previous {
    /// It was given.
    Given,
    /// This request without its last answer and what came after it.
    Derived,
}

/// Tokens of a prompt that need not be read again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kept {
    /// So many.
    pub tokens: u32,
    /// In percent of the prompt, with one digit behind the point.
    pub percent: f32,
    /// The others, which have to be read.
    pub read: u32,
}

impl Kept {
    fn new(tokens: u32, prompt: u32) -> Self {
        let share = f64::from(tokens) / f64::from(prompt.max(1));
        Self {
            tokens,
            percent: ((share * 1000.0).round() / 10.0) as f32,
            read: prompt.saturating_sub(tokens),
        }
    }
}

/// The first place where a prompt differs from what the model holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Differs {
    /// `model`, `tools`, `messages[N]` of the request as it goes on, or `template`.
    pub place: String,
    /// Why, in words.
    pub why: String,
    /// The last that is the same.
    pub behind: String,
    /// What the model holds next.
    pub was: String,
    /// What the prompt says next.
    pub is: String,
    /// The rules that changed this place, now or before.
    pub rules: Vec<RuleAt>,
}

/// The request before this one, as this one tells it, and the answer in between. `None` for a conversation's first
/// request.
pub(super) fn derive(request: &Request) -> Option<(Request, Option<&Message>)> {
    let messages = &request.messages;
    let at = messages
        .iter()
        .rposition(|message| message.role == Role::Assistant)?;
    let before = messages.get(..at)?;
    before.iter().find(|message| message.role == Role::User)?;
    let previous = Request {
        messages: before.to_vec(),
        ..request.clone()
    };
    Some((previous, messages.get(at)))
}

/// The answer to a given previous request: the first of the model's messages behind as many user messages as it had.
fn answer_to<'r>(previous: &Request, request: &'r Request) -> Option<&'r Message> {
    let is_user = |message: &&Message| message.role == Role::User;
    let asked = previous.messages.iter().filter(is_user).count();
    let next = request.messages.get(previous.messages.len());
    next.filter(|next| next.role == Role::Assistant)
        .or_else(|| {
            let mut users = 0;
            request.messages.iter().find(|message| {
                users += usize::from(message.role == Role::User);
                users >= asked && message.role == Role::Assistant
            })
        })
}

/// What is kept of the prompt of `now`. `None` where there was no request before it.
pub(super) fn reuse(
    question: &Question<'_>,
    now: &Weighed<'_>,
    model: Option<&ModelFact>,
    models: &Models<'_>,
) -> Option<Reuse> {
    let derived = derive(question.request);
    let (kind, request, headers, answer) = match (question.previous, &derived) {
        (Some(Turn { request, headers }), _) => {
            let answer = answer_to(request, question.request);
            (Previous::Given, request, headers, answer)
        }
        (None, Some((request, answer))) => (Previous::Derived, request, question.headers, *answer),
        (None, None) => return None,
    };
    let look_up = |name: &str| headers.get(name);
    let headers = Headers::new(&look_up);
    let before = question.weigh(Turn { request, headers });
    let comparison = Comparison {
        before: &before,
        now,
        answer,
        thought: answer.is_some_and(|answer| has_thought(answer, &before, model)),
    };
    let mut reuse = comparison.compare(kind, model, models);
    if kind == Previous::Derived {
        reuse.notes.push(
            "the previous request is taken from this one: what only it had, such as search results, is not in it"
                .to_owned(),
        );
    }
    Some(reuse)
}

/// Whether the model has thought before an answer and the request does not say what.
fn has_thought(answer: &Message, before: &Weighed<'_>, model: Option<&ModelFact>) -> bool {
    let thinks = before
        .sent
        .thinking
        .unwrap_or(model.is_some_and(|model| model.thinking));
    thinks && answer.reasoning.is_none() && !answer.content.text().contains("</think>")
}
