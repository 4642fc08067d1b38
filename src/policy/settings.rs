//! The settings of a model: one `[[model]]` table after `like` and `[[change]]`.

use std::sync::Arc;

use super::{Class, matching::Glob};

/// Settings of a model; what is `None` is not limited.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSettings {
    /// Tokens of context to use.
    pub context: Option<u32>,
    /// Tokens kept free for the answer.
    pub reserve: Option<u32>,
    /// How much of a conversation the model sees.
    pub history: History,
    /// Longest system prompt in tokens.
    pub system_tokens: Option<u32>,
    /// Limits of tool definitions.
    pub tools: Option<ToolLimits>,
    /// The sampling profile's name by class.
    pub profile: ByClass<Arc<str>>,
    /// Longest answer in tokens by class.
    pub max_tokens: ByClass<u32>,
}

/// How much of a conversation a model sees, in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Nothing is cut below this.
    pub window_chars: Option<usize>,
    /// What a cut leaves.
    pub keep_chars: Option<usize>,
    /// Latest turns that a cut leaves whatever their length.
    pub keep_turns: Option<usize>,
    /// Longest answer that goes back to the model.
    pub assistant_cap_chars: Option<usize>,
}

/// Limits of tool definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolLimits {
    /// Tokens that all definitions may take together.
    pub max_tokens: u32,
    /// What happens to more.
    pub on_excess: Excess,
    /// Names of tools that clients offer in every chat, whatever it is about.
    pub(super) builtin: Vec<Glob>,
}

/// What happens to tool definitions that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The ones that the conversation needs stay.
    Prune,
    /// All of them go.
    Drop,
    /// They stay.
    Keep,
}

/// A value for each class.
#[derive(Debug, Clone, PartialEq)]
pub struct ByClass<T>([Option<T>; Class::ALL.len()]);

impl<T> Default for ByClass<T> {
    fn default() -> Self {
        Self([const { None }; Class::ALL.len()])
    }
}

impl<T> ByClass<T> {
    /// Makes the values one by one.
    pub(crate) fn from_fn(mut value: impl FnMut(Class) -> Option<T>) -> Self {
        Self(Class::ALL.map(&mut value))
    }

    /// The value for a class.
    #[must_use]
    pub fn get(&self, class: Class) -> Option<&T> {
        self.0.get(class as usize).and_then(Option::as_ref)
    }
}
