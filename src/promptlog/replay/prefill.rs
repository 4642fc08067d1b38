//! What a model would have to read of a prompt, given the one that it ran before.

use std::{collections::HashMap, sync::Arc};

use crate::chat::{Content, Part, Request, answer::Answer};

/// A prompt as one text: close enough to what a chat template makes of it to compare beginnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt(String);

/// Characters that a template puts around a message, roughly.
const AROUND: usize = 16;

impl Prompt {
    pub(super) fn of(request: &Request) -> Self {
        let mut text = String::new();
        for tool in &request.tools {
            text.push_str(&tool.definition.to_string());
            text.push('\n');
        }
        for message in &request.messages {
            begin(&mut text, message.role.as_str());
            match &message.content {
                Content::Text(said) => text.push_str(said),
                Content::Parts(parts) => {
                    for part in parts {
                        if let Part::Text(said) = part {
                            text.push_str(said);
                        }
                    }
                }
            }
            for call in &message.tool_calls {
                text.push_str(&call.name);
                text.push_str(&call.arguments);
            }
            text.push('\n');
        }
        begin(&mut text, "assistant");
        Self(text)
    }

    /// Bytes of it.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Tokens of it, at so many characters each.
    pub(super) fn tokens(&self, rate: f32) -> u32 {
        (self.0.chars().count() as f32 / rate.max(0.5)).ceil() as u32
    }

    /// Of so many tokens, those that are left when so many bytes are known.
    pub(super) fn rest(&self, tokens: u32, known: usize) -> u64 {
        let share = 1.0 - known as f64 / self.len().max(1) as f64;
        (f64::from(tokens) * share).ceil() as u64
    }
}

/// Stands for the marks that a template puts before a message.
fn begin(text: &mut String, role: &str) {
    text.push_str(role);
    text.extend(std::iter::repeat_n('|', AROUND.saturating_sub(role.len())));
}

/// What each model holds in its KV cache: the last prompt and its answer.
#[derive(Debug, Default)]
pub(super) struct Caches(HashMap<Arc<str>, String>);

impl Caches {
    /// Runs a prompt; gives the bytes of it that the model held already.
    pub(super) fn run(&mut self, model: &Arc<str>, prompt: &Prompt, answer: &Answer) -> usize {
        let held = self.0.entry(model.clone()).or_default();
        let pairs = held.bytes().zip(prompt.0.bytes());
        let same = pairs.take_while(|(held, new)| held == new).count();
        held.clone_from(&prompt.0);
        // Thinking is in the cache, but not in the next prompt.
        if answer.reasoning.is_empty() {
            held.push_str(&answer.content);
            held.push('\n');
        }
        same
    }
}
