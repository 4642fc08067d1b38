//! The chunks of an upstream's stream, and its whole answers: what of them the log keeps.

use std::{borrow::Cow, ops::Range};

use serde::Deserialize;

use super::Reply;
use crate::{
    chat::{ToolCall, Usage},
    promptlog::weight,
};

/// Room that the first text of an answer makes for those to come, in bytes: that of a short answer.
const SHORT_ANSWER: usize = 512;

/// What chunks have said so far.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// Without its texts.
    reply: Reply,
    /// UTF-8, as is `reasoning`.
    content: Vec<u8>,
    reasoning: Vec<u8>,
    /// There was a chunk that could be read.
    found: bool,
    /// There was one that is no UTF-8.
    is_garbled: bool,
}

/// Where in a chunk its text stands, if there is nothing in it that would count twice if it came again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Without its quotes.
    pub(super) text: Range<usize>,
    pub(super) field: Field,
}

/// What a text belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Field {
    #[default]
    Content,
    Reasoning,
}

impl Chunks {
    /// Takes a chunk of a stream or a whole answer; what is neither is passed over. Gives the place of its text.
    pub(super) fn take(&mut self, data: &[u8]) -> Option<Place> {
        let json = String::from_utf8_lossy(data);
        let place = self.read(&json);
        match json {
            Cow::Borrowed(_) => place,
            Cow::Owned(_) => {
                self.is_garbled = true;
                None
            }
        }
    }

    /// Takes the text, valid UTF-8, of a chunk that is known but for it.
    pub(super) fn say(&mut self, text: &[u8], field: Field) {
        let said = match field {
            Field::Content => &mut self.content,
            Field::Reasoning => &mut self.reasoning,
        };
        if said.is_empty() && !text.is_empty() {
            said.reserve(text.len().max(SHORT_ANSWER));
        }
        said.extend_from_slice(text);
    }

    /// Whether there was a chunk or an answer that could be read.
    pub(super) fn found(&self) -> bool {
        self.found
    }

    /// Whether all that came was UTF-8.
    pub(super) fn is_valid(&self) -> bool {
        !self.is_garbled
    }

    /// Bytes of memory that it takes, roughly.
    pub(super) fn weight(&self) -> usize {
        weight::answer(&self.reply.answer) + self.content.capacity() + self.reasoning.capacity()
    }

    pub(super) fn into_reply(self) -> Reply {
        let mut reply = self.reply;
        reply.answer.content = text(self.content);
        reply.answer.reasoning = text(self.reasoning);
        reply
    }

    /// Takes a chunk or an answer; gives the place of its text.
    fn read(&mut self, json: &str) -> Option<Place> {
        let chunk = serde_json::from_str::<Chunk>(json).ok()?;
        let reply = &mut self.reply;
        if let Some(usage) = chunk.usage {
            reply.usage = Some(usage.into());
        }
        let choices = chunk.choices?;
        self.found = true;
        // Further choices are further tries; the log keeps the first.
        let choice = choices.into_iter().find(|choice| choice.index == 0)?;
        reply.finish = choice.finish_reason.or(reply.finish.take());
        let message = choice.delta.or(choice.message).unwrap_or_default();
        let text = message.content.or(choice.text).unwrap_or_default();
        let reasoning = [
            message.reasoning_content,
            message.reasoning,
            message.thinking,
        ];
        let mut reasoning = reasoning.into_iter().flatten();
        let reasoning = reasoning
            .find(|text| !text.0.is_empty())
            .unwrap_or_default();
        self.say(text.0.as_bytes(), Field::Content);
        self.say(reasoning.0.as_bytes(), Field::Reasoning);
        let calls = message.tool_calls.unwrap_or_default();
        let place = match (&*text.0, &*reasoning.0) {
            _ if !calls.is_empty() => None,
            (text, "") => place(json, text, Field::Content),
            ("", text) => place(json, text, Field::Reasoning),
            _ => None,
        };
        for call in calls {
            add(&mut self.reply.answer.tool_calls, call);
        }
        place
    }
}

/// Valid UTF-8 as text, without a copy.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The place of a text that is a part of this JSON; one with escapes is a copy.
fn place(json: &str, text: &str, field: Field) -> Option<Place> {
    let start = (text.as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
    let text_range = start..start.checked_add(text.len())?;
    (json.get(text_range.clone()) == Some(text)).then_some(Place {
        text: text_range,
        field,
    })
}

/// A stream brings the arguments of a call in pieces, under the call's index.
fn add(calls: &mut Vec<ToolCall>, call: Call) {
    let index = call.index.unwrap_or(calls.len()).min(calls.len());
    if index == calls.len() {
        calls.push(ToolCall {
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
    }
    if let Some(known) = calls.get_mut(index) {
        known.id.push_str(&call.id.unwrap_or_default());
        known.name.push_str(&call.function.name.unwrap_or_default());
        known
            .arguments
            .push_str(&call.function.arguments.unwrap_or_default());
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: usize,
    #[serde(borrow)]
    delta: Option<Message<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    /// Of `/v1/completions`.
    #[serde(borrow)]
    text: Option<Text<'a>>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    tool_calls: Option<Vec<Call>>,
}

/// A string that is borrowed where it has no escapes: a `Cow` in an `Option` never is.
#[derive(Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Call {
    index: Option<usize>,
    id: Option<String>,
    #[serde(default)]
    function: Function,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u32>,
}

#[derive(Default, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u32>,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        let cached = tokens.prompt_tokens_details.unwrap_or_default();
        let reasoning = tokens.completion_tokens_details.unwrap_or_default();
        Self {
            prompt: tokens.prompt_tokens,
            cached: cached.cached_tokens.unwrap_or(0),
            completion: tokens.completion_tokens,
            reasoning: reasoning.reasoning_tokens.unwrap_or(0),
        }
    }
}
