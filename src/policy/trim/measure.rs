//! How long messages are, and how long a conversation may be: in characters as the policy says, and in tokens as the
//! model needs it.

use std::ops::{Add, Sub};

use crate::{
    chat::{Content, Message, Part, Request, Role, Tool},
    policy::{ModelFact, ModelSettings, Rewriter, context::Context, tools},
};

/// Tokens that a chat template puts around a message.
const FRAME: u32 = 6;
/// Tokens of an image, as the vision models of this size have it: 196 for 392 x 392 pixels, some more for others.
const IMAGE: u32 = 256;
/// Tokens that a chat template puts at the end, an empty thinking block included.
const END: u32 = 16;
/// Tokens of everything but the conversation count in steps of this, so that a memory block or a date that changes a
/// little moves no cut.
const STEP: u32 = 128;

/// The length of one message or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) chars: usize,
    pub(super) tokens: u32,
}

impl Size {
    /// The size of a message. System messages have none: they do not count for the window and always stay.
    pub(super) fn of(message: &Message, context: &Context<'_>) -> Self {
        if message.role == Role::System {
            return Self::default();
        }
        Self::whole(message, context)
    }

    fn whole(message: &Message, context: &Context<'_>) -> Self {
        let mut size = Self {
            chars: 0,
            tokens: FRAME,
        };
        match &message.content {
            Content::Text(text) => size.grow(text, context),
            Content::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Text(text) => size.grow(text, context),
                        Part::Image(_) | Part::Other(_) => size.tokens += IMAGE,
                    }
                }
            }
        }
        for text in message.reasoning.iter().chain(
            message
                .tool_calls
                .iter()
                .flat_map(|call| [&call.name, &call.arguments]),
        ) {
            size.grow(text, context);
            size.tokens += FRAME;
        }
        size
    }

    fn grow(&mut self, text: &str, context: &Context<'_>) {
        self.chars += text.chars().count();
        self.tokens += context.text_tokens(text);
    }

    pub(super) fn fits(self, mark: Mark) -> bool {
        mark.chars.is_none_or(|chars| self.chars <= chars) && self.fits_tokens(mark)
    }

    pub(super) fn fits_tokens(self, mark: Mark) -> bool {
        mark.tokens.is_none_or(|tokens| self.tokens <= tokens)
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            chars: self.chars + other.chars,
            tokens: self.tokens + other.tokens,
        }
    }
}

impl Sub for Size {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            chars: self.chars.saturating_sub(other.chars),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}

/// Tokens of the system messages.
fn system_tokens<'m>(messages: impl Iterator<Item = &'m Message>, context: &Context<'_>) -> u32 {
    messages
        .filter(|message| message.role == Role::System)
        .map(|message| Size::whole(message, context).tokens)
        .sum()
}

/// Tokens of tool definitions with what a chat template puts around them.
fn tools_tokens(tools: &[Tool], context: &Context<'_>) -> u32 {
    if tools.is_empty() {
        return 0;
    }
    let definitions = tools
        .iter()
        .map(|tool| tools::tokens(&tool.definition, context));
    definitions.sum::<u32>() + tools::FRAME
}

/// Tokens that a prompt is likely to have, rather too many than too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Of all of it.
    pub prompt: u32,
    /// Of its system messages.
    pub system: u32,
    /// Of its tool definitions.
    pub tools: u32,
}

impl Estimate {
    /// Estimates the prompt of a request for a model.
    #[must_use]
    pub fn of(request: &Request, model: Option<&ModelFact>) -> Self {
        let context = Context {
            original: request,
            labels: &[],
            model,
            settings: &ModelSettings::default(),
        };
        let messages = request.messages.iter();
        let conversation: u32 = messages
            .clone()
            .map(|message| Size::of(message, &context).tokens)
            .sum();
        let system = system_tokens(messages, &context);
        let tools = tools_tokens(&request.tools, &context);
        Self {
            prompt: conversation + system + tools + END,
            system,
            tools,
        }
    }
}

/// A length that a conversation must not have more than; `None` is no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) chars: Option<usize>,
    pub(super) tokens: Option<u32>,
}

/// The two marks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Water {
    pub(super) high: Mark,
    pub(super) low: Mark,
}

impl Water {
    /// The marks for a request; `None` where nothing limits its length.
    pub(super) fn new(request: &Rewriter<'_>, context: &Context<'_>) -> Option<Self> {
        let history = context.settings.history;
        let tokens = context.prompt_tokens().map(|prompt| {
            let around = system_tokens(request.messages(), context)
                + tools_tokens(request.tools(), context)
                + END;
            prompt.saturating_sub(around.next_multiple_of(STEP))
        });
        if history.window_chars.is_none() && tokens.is_none() {
            return None;
        }
        let keep = history
            .window_chars
            .map(|window| history.keep_chars.unwrap_or(window / 2).min(window));
        // The low mark in tokens is as far below the high one as that in characters; half where there is none.
        let share = |tokens: u32| match (history.window_chars, keep) {
            (Some(window), Some(keep)) => {
                (f64::from(tokens) * keep as f64 / window.max(1) as f64) as u32
            }
            _ => tokens / 2,
        };
        Some(Self {
            high: Mark {
                chars: history.window_chars,
                tokens,
            },
            low: Mark {
                chars: keep,
                tokens: tokens.map(share),
            },
        })
    }

    /// The high mark after a cut that left this much: the policy's characters may be passed where a cut could not reach
    /// the low mark, the model's tokens never.
    pub(super) fn above(&self, kept: Size) -> Mark {
        let grown = self
            .high
            .chars
            .zip(self.low.chars)
            .map(|(high, low)| high.max(kept.chars + (high - low)));
        Mark {
            chars: grown,
            tokens: self.high.tokens,
        }
    }
}
