//! What the content of a record weighs: the memory that waits with it for the writer.
//!
//! Every request is weighed when it ends, so this adds up lengths and copies nothing. Texts before and after the rewrite
//! are two copies and count twice.

use std::mem::size_of;

use serde_json::{Map, Value};

use super::Content;
use crate::{
    chat::{self, Message, Part, Request, ToolCall, answer::Answer},
    policy::{Change, Step, StepOutcome},
};

/// What the allocator takes for itself with every piece, in bytes.
const PIECE: usize = 16;
/// What a key of a JSON object takes beside its name and value: a hash and its share of the index.
const KEY: usize = size_of::<String>() + 24;

/// Bytes of memory, roughly.
pub(super) fn of(content: &Content) -> usize {
    let headers = content.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| size_of::<(String, String)>() + text(name) + text(value))
        .sum();
    headers
        + request(&content.before)
        + content.after.as_deref().map_or(0, request)
        + content.trace.steps.iter().map(step).sum::<usize>()
        + answer(&content.answer)
}

/// Bytes of memory that an answer takes, roughly.
pub(super) fn answer(answer: &Answer) -> usize {
    let calls = answer.tool_calls.iter().map(call).sum::<usize>();
    text(&answer.content) + text(&answer.reasoning) + calls
}

fn request(request: &Request) -> usize {
    let tools = request.tools.iter();
    size_of::<Request>()
        + text(&request.model)
        + request.messages.iter().map(message).sum::<usize>()
        + tools
            .map(|tool| size_of::<String>() + text(&tool.name) + value(&tool.definition))
            .sum::<usize>()
        + request
            .stop
            .iter()
            .map(|stop| size_of::<String>() + text(stop))
            .sum::<usize>()
        + object(&request.extra)
}

fn message(message: &Message) -> usize {
    let content = match &message.content {
        chat::Content::Text(said) => text(said),
        chat::Content::Parts(parts) => parts.iter().map(part).sum(),
    };
    size_of::<Message>()
        + content
        + message.reasoning.as_deref().map_or(0, text)
        + message.tool_calls.iter().map(call).sum::<usize>()
        + message.tool_call_id.as_deref().map_or(0, text)
        + object(&message.extra)
}

fn part(part: &Part) -> usize {
    size_of::<Part>()
        + match part {
            Part::Text(said) | Part::Image(said) => text(said),
            Part::Other(other) => value(other),
        }
}

fn call(call: &ToolCall) -> usize {
    size_of::<ToolCall>() + text(&call.id) + text(&call.name) + text(&call.arguments)
}

/// The names of rules and files are shared with the rules.
fn step(step: &Step) -> usize {
    let outcome = match &step.outcome {
        StepOutcome::Matched { what: said }
        | StepOutcome::NotMatched { why: said, .. }
        | StepOutcome::Failed { why: said } => text(said),
        StepOutcome::Left { why } => why.as_deref().map_or(0, text),
        StepOutcome::Applied { changes } => changes.iter().map(change).sum(),
        StepOutcome::Shadow { what, changes } => {
            text(what) + changes.iter().map(change).sum::<usize>()
        }
        StepOutcome::Sampled { values, .. } => size_of_val(values.as_slice()),
    };
    size_of::<Step>() + outcome
}

fn change(change: &Change) -> usize {
    size_of::<Change>() + text(&change.place) + text(&change.what)
}

fn text(text: &str) -> usize {
    if text.is_empty() {
        0
    } else {
        text.len() + PIECE
    }
}

fn value(json: &Value) -> usize {
    size_of::<Value>()
        + match json {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(said) => text(said),
            Value::Array(values) => PIECE + values.iter().map(value).sum::<usize>(),
            Value::Object(members) => object(members),
        }
}

fn object(members: &Map<String, Value>) -> usize {
    let members = members.iter();
    members
        .map(|(name, member)| KEY + text(name) + value(member))
        .sum()
}
