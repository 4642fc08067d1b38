//! Upstream answers that have to be changed on their way: thinking dropped or told apart, JSON mended, loops ended.
//!
//! Text goes through the [`Assembler`]; every other field passes as it came. Tool calls are the upstream's to read.
//! Token counts of thinking are not known here.

mod stream;

#[cfg(test)]
mod tests;

pub use stream::AnswerStream;

use bytes::{BufMut, Bytes};
use serde_json::Map;

use super::{
    json,
    patch::{self, Changes},
    raw::{self, Member},
};
use crate::chat::{
    FinishReason,
    answer::{Answer, AnswerNotes, AnswerOptions, Assembler, Think},
};

const CONTENT: &str = "content";
const MODEL: &str = "model";
/// What upstreams call thinking. Some send it under two names.
const REASONING: &[&str] = &["reasoning_content", "reasoning", "thinking"];

/// The whole answer as the options want it, with another name of the model if one is given, and what was done to it.
/// What is no answer, an error for one, passes as it came.
#[must_use]
pub fn rewrite_answer(
    body: &Bytes,
    options: AnswerOptions,
    model: Option<&str>,
) -> (Bytes, AnswerNotes) {
    let think = options.think;
    let mut assembler = assembler(options);
    let Some(original) = Original::read(body) else {
        return (body.clone(), assembler.notes());
    };
    let mut events = Vec::new();
    assembler.push_reasoning(
        original.reasoning.clone().unwrap_or_default(),
        0,
        &mut events,
    );
    assembler.push(
        original.content.as_deref().unwrap_or_default(),
        0,
        &mut events,
    );
    assembler.finish(finish_reason(original.finish), &mut events);
    let mut answer: Answer = events.into_iter().collect();
    if think == Think::Drop {
        answer.reasoning.clear();
    }
    let notes = assembler.notes();
    (
        original
            .with(&answer, assembler.stopped(), model)
            .unwrap_or_else(|| body.clone()),
        notes,
    )
}

fn assembler(options: AnswerOptions) -> Assembler {
    Assembler::new(AnswerOptions {
        tools: Vec::new(),
        ..options
    })
}

/// What an answer has that may change.
struct Original<'a> {
    body: Vec<Member<'a>>,
    choice: Vec<Member<'a>>,
    message: Vec<Member<'a>>,
    content: Option<String>,
    reasoning: Option<String>,
    /// The reason as it is written.
    finish: &'a str,
}

impl<'a> Original<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let body = raw::members(std::str::from_utf8(body).ok()?)?;
        let choices = raw::elements(raw::find(&body, "choices")?)?;
        let choice = raw::members(choices.first()?)?;
        let message = raw::members(raw::find(&choice, "message")?)?;
        Some(Self {
            content: raw::find(&message, CONTENT).and_then(raw::string),
            reasoning: reasoning(&message),
            finish: raw::find(&choice, "finish_reason").unwrap_or("null"),
            body,
            choice,
            message,
        })
    }

    /// The body with another answer; `None` if it is the same.
    fn with(&self, answer: &Answer, stopped: bool, model: Option<&str>) -> Option<Bytes> {
        let mut message = Changes::default();
        let mut changed = stopped || model.is_some();
        if answer.content != self.content.as_deref().unwrap_or_default() {
            message.field_with(&[CONTENT], |out, _| json::write(out, &answer.content));
            changed = true;
        }
        if answer.reasoning != self.reasoning.as_deref().unwrap_or_default() {
            if answer.reasoning.is_empty() {
                message.remove(REASONING);
            } else {
                message.field_with(REASONING, |out, _| json::write(out, &answer.reasoning));
            }
            changed = true;
        }
        if !changed {
            return None;
        }
        let mut text = Vec::new();
        write(&mut text, &self.message, message);
        let mut choice = Changes::default();
        choice.field_with(&["message"], |out, _| out.put_slice(&text));
        if stopped {
            choice.field_with(&["finish_reason"], |out, _| json::write(out, "stop"));
        }
        let mut first = Vec::new();
        write(&mut first, &self.choice, choice);
        let mut body = Changes::default();
        body.field_with(&["choices"], |out, original| {
            let choices = original.and_then(raw::elements).unwrap_or_default();
            let others = choices.into_iter().skip(1).map(str::as_bytes);
            raw::write_list(
                out,
                std::iter::once(&*first).chain(others),
                |choice, out| {
                    out.put_slice(choice);
                },
            );
        });
        if let Some(model) = model {
            body.field_with(&[MODEL], move |out, _| json::write(out, model));
        }
        let mut out = Vec::new();
        write(&mut out, &self.body, body);
        Some(out.into())
    }
}

/// Writes an object with these changes; here, no field is anybody's own.
fn write(out: &mut Vec<u8>, members: &[Member<'_>], changes: Changes<'_>) {
    patch::write(out, members, changes, &Map::new(), &Map::new());
}

/// Thinking under the first of its names that has any.
fn reasoning(members: &[Member<'_>]) -> Option<String> {
    let texts = REASONING
        .iter()
        .filter_map(|name| raw::string(raw::find(members, name)?));
    texts.into_iter().find(|text| !text.is_empty())
}

fn finish_reason(text: &str) -> FinishReason {
    match text {
        "\"length\"" => FinishReason::Length,
        "\"tool_calls\"" | "\"function_call\"" => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}
