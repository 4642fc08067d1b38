//! What an operation may look at beside the messages.

use std::sync::Arc;

use super::{ModelFact, ModelSettings, prose};
use crate::chat;

/// What is known of a request while it is rewritten.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The request as it came.
    pub(crate) original: &'a chat::Request,
    /// What else is known of it.
    pub(crate) labels: &'a [Arc<str>],
    /// The model that will answer; `None` where nothing is known of it.
    pub(crate) model: Option<&'a ModelFact>,
    /// The model's settings.
    pub(crate) settings: &'a ModelSettings,
}

/// Kept free for the answer where no policy says more, in tokens.
const RESERVE: u32 = 512;

impl Context<'_> {
    /// Whether this label is set.
    pub(crate) fn has_label(&self, label: &str) -> bool {
        self.labels.iter().any(|set| **set == *label)
    }

    /// Tokens of a text, rather too many than too few.
    pub(crate) fn text_tokens(&self, text: &str) -> u32 {
        prose::tokens(text, self.chars_per_token()).ceil() as u32
    }

    /// Tokens that a prompt may have: the context, as far as policy and model allow, without what is kept free for
    /// the answer. `None` where neither knows the context.
    pub(crate) fn prompt_tokens(&self) -> Option<u32> {
        let model = self.model.and_then(|model| model.context);
        let context = match (self.settings.context, model) {
            (Some(policy), Some(model)) => policy.min(model),
            (policy, model) => policy.or(model)?,
        };
        let reserve = self.settings.reserve.unwrap_or(RESERVE);
        Some(context.saturating_sub(reserve.min(context / 2)))
    }

    pub(crate) fn chars_per_token(&self) -> f32 {
        let learned = self.model.map(|model| model.chars_per_token);
        learned.unwrap_or(ModelFact::CHARS_PER_TOKEN).max(0.5)
    }
}
