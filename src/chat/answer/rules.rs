//! What is to happen to an answer beyond reading it.

use std::sync::Arc;

use serde::Serialize;

/// Where thinking goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Think {
    /// To `reasoning_content`.
    #[default]
    Reasoning,
    /// Nowhere.
    Drop,
    /// Into the visible text, tags included.
    Inline,
}

impl Think {
    /// The word in rule files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::Drop => "drop",
            Self::Inline => "inline",
        }
    }

    /// The meaning of a word in a rule file.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Reasoning, Self::Drop, Self::Inline]
            .into_iter()
            .find(|think| think.as_str() == word)
    }
}

/// An object with one known key, as Open WebUI's tasks want it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JsonShape {
    /// The key, e.g. `title`.
    pub key: Arc<str>,
    /// Whether its value is a list of strings; a string otherwise.
    pub list: bool,
}

/// When an answer counts as going round in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Repetition {
    /// The shortest passage that counts, in characters.
    pub min_chars: usize,
    /// How often it has to stand in a row; less than 2 counts as 2.
    pub times: usize,
}
