//! The one internal form of a conversation, whatever wire format it came in.
//!
//! Everything behind `wire/` sees these types only. They hold what rkgate understands; what it does not
//! understand survives in the `extra` maps, so that a request can be written out again without loss.

pub mod answer;
mod passage;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use passage::Passage;

/// A chat request: what a client asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The model's name as the client spelt it.
    pub model: String,
    /// The conversation, oldest message first.
    pub messages: Vec<Message>,
    /// Tool definitions offered to the model.
    pub tools: Vec<Tool>,
    /// Whether the model may, must or must not call a tool.
    pub tool_choice: ToolChoice,
    /// Whether the answer is wanted piece by piece.
    pub stream: bool,
    /// Whether a streamed answer ends with a usage chunk (`stream_options.include_usage`).
    pub include_usage: bool,
    /// Sampling values that the client set; unset ones are the policy's to choose.
    pub sampling: Sampling,
    /// The client's limit on generated tokens.
    pub max_tokens: Option<u32>,
    /// Strings that end the answer; they are not part of it.
    pub stop: Vec<String>,
    /// Whether the client switched thinking on or off; `None` leaves it to the policy or the model.
    pub thinking: Option<bool>,
    /// Fields that rkgate does not interpret, in their original order.
    pub extra: Map<String, Value>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions (also sent as `developer`).
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

impl Role {
    /// The role's name in every wire format and chat template.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// Thinking that came back with an assistant message (`reasoning_content`, `reasoning`, `thinking`).
    pub reasoning: Option<String>,
    /// Tool calls of an assistant message.
    pub tool_calls: Vec<ToolCall>,
    /// For a tool message: the call that it answers.
    pub tool_call_id: Option<String>,
    /// Fields that rkgate does not interpret, e.g. `name`.
    pub extra: Map<String, Value>,
}

/// A message's content: plain text, or parts with images among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Plain text; empty where the client sent `null` or nothing.
    Text(String),
    /// Text and image parts in order.
    Parts(Vec<Part>),
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Text.
    Text(String),
    /// An image as a URL, usually `data:image/png;base64,...`.
    Image(String),
    /// A part that rkgate passes on but does not understand.
    Other(Value),
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// The function's name.
    pub name: String,
    /// The definition as the client sent it (`{"type":"function","function":{...}}`).
    pub definition: Value,
}

/// Whether a tool may be called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No tool may be called.
    None,
    /// Some tool must be called.
    Required,
    /// This tool must be called.
    Named(String),
}

/// A tool call that the model made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The call's id, unique within the conversation.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments as JSON text, as the model or client spelt them.
    pub arguments: String,
}

/// Sampling values; `None` means that nobody asked for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 is greedy; usual 0.1 to 1.5.
    pub temperature: Option<f32>,
    /// Nucleus size, 0 to 1.
    pub top_p: Option<f32>,
    /// Number of candidates; 1 is greedy.
    pub top_k: Option<i32>,
    /// Smallest probability relative to the best candidate, 0 to 1. No RKLLM runtime knows it.
    pub min_p: Option<f32>,
    /// Multiplicative penalty of tokens already said; 1 is none.
    pub repeat_penalty: Option<f32>,
    /// -2 to 2.
    pub frequency_penalty: Option<f32>,
    /// -2 to 2.
    pub presence_penalty: Option<f32>,
    /// Seed of the sampler. No RKLLM runtime takes one.
    pub seed: Option<i64>,
}

/// One step of an answer, in the order in which a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Thinking.
    Reasoning(String),
    /// Visible text.
    Content(String),
    /// All content before this was thinking after all: the model closed a think block that it had not opened.
    /// A stream cannot take its text back; a collected answer moves it.
    ContentWasReasoning,
    /// A complete tool call; `index` counts the calls of this answer from 0.
    ToolCall {
        /// Position among the answer's calls.
        index: usize,
        /// The call.
        call: ToolCall,
    },
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model said its end token, or a stop string was met.
    Stop,
    /// `max_tokens` or the context was used up.
    Length,
    /// The answer ends with tool calls.
    ToolCalls,
}

impl FinishReason {
    /// Its name in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// Tokens counted from ids, never estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Of these, tokens that were in the KV cache already.
    pub cached: u32,
    /// Generated tokens, thinking and end token included.
    pub completion: u32,
    /// Of these, tokens inside the thinking part.
    pub reasoning: u32,
}

/// Where the time of one answer of the engine went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for the NPU.
    pub queued: std::time::Duration,
    /// Reading the prompt, as far as it was not in the KV cache.
    pub prefill: std::time::Duration,
    /// Writing the answer.
    pub decode: std::time::Duration,
}

impl Content {
    /// All text of this content; parts are joined by a line break, images are left out.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Text(text) => text.into(),
            Self::Parts(parts) => {
                let texts: Vec<&str> = parts
                    .iter()
                    .filter_map(|part| match part {
                        Part::Text(text) => Some(text.as_str()),
                        Part::Image(_) | Part::Other(_) => None,
                    })
                    .collect();
                texts.join("\n").into()
            }
        }
    }
}
