//! What the policy engine is told: the request, its headers, and which models exist.

use std::sync::Arc;

use crate::chat;

/// Everything a decision may depend on.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The request as it came.
    pub request: &'a chat::Request,
    /// Its headers.
    pub headers: Headers<'a>,
    /// What exists.
    pub facts: &'a Facts,
}

/// A view of a request's headers: name in lower case to value.
#[derive(Clone, Copy)]
pub struct Headers<'a>(&'a dyn Fn(&str) -> Option<&'a str>);

impl<'a> Headers<'a> {
    /// Wraps a look-up by lower-case name.
    #[must_use]
    pub fn new(look_up: &'a dyn Fn(&str) -> Option<&'a str>) -> Self {
        Self(look_up)
    }

    /// The value of a header, if it was sent and is text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        (self.0)(name)
    }
}

/// Facts about the models at hand; a snapshot that changes when the catalogue does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The models, in the catalogue's order.
    pub models: Vec<ModelFact>,
}

impl Facts {
    /// One model as tests in files assume it: qwen3-1.7b with 4096 tokens of context.
    #[must_use]
    pub fn example() -> Self {
        Self {
            models: vec![ModelFact {
                id: "qwen3-1.7b".into(),
                aliases: Vec::new(),
                family: "qwen3".to_owned(),
                context: Some(4096),
                vision: false,
                thinking: true,
                switchable: true,
                upstream: None,
                chars_per_token: ModelFact::CHARS_PER_TOKEN,
            }],
        }
    }

    /// These facts with other characters per token of one model.
    #[must_use]
    pub fn with_density(&self, id: &str, chars_per_token: f32) -> Self {
        let mut facts = self.clone();
        for model in facts.models.iter_mut().filter(|model| *model.id == *id) {
            model.chars_per_token = chars_per_token;
        }
        facts
    }

    /// The model known by this name, whatever its case; ids go before aliases.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&ModelFact> {
        let named = |model: &&ModelFact| model.id.eq_ignore_ascii_case(name);
        let called = |model: &&ModelFact| model.is_called(name);
        let mut models = self.models.iter();
        models.clone().find(named).or_else(|| models.find(called))
    }
}

/// What is known of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFact {
    /// Its id in the model list.
    pub id: Arc<str>,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// Its family in lower case, e.g. `qwen3`; empty where unknown.
    pub family: String,
    /// Tokens that its context holds; `None` where unknown, as with most upstreams.
    pub context: Option<u32>,
    /// Whether it sees images.
    pub vision: bool,
    /// Whether it can think before it answers.
    pub thinking: bool,
    /// Whether it can be told to think or not by other means than words in the conversation.
    pub switchable: bool,
    /// The upstream that serves it; `None` for the embedded engine.
    pub upstream: Option<Arc<str>>,
    /// Characters of ordinary text per token. Where a conversation is cut follows from it, so that it must not change
    /// from one turn to the next: nothing is learned as conversations go.
    pub chars_per_token: f32,
}

impl ModelFact {
    /// Usual for English text and the tokenisers of small models.
    pub const CHARS_PER_TOKEN: f32 = 3.6;

    /// Whether this is the model's id or one of its aliases, whatever the case.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name)
            || self
                .aliases
                .iter()
                .any(|alias| alias.eq_ignore_ascii_case(name))
    }

    /// Tokens that a text of so many characters is likely to have, rounded up.
    #[must_use]
    pub fn tokens(&self, chars: usize) -> u32 {
        (chars as f32 / self.chars_per_token.max(0.5)).ceil() as u32
    }
}
