//! What an embedding is wanted of.

use serde::{Deserialize, Serialize};

/// What an embedding is wanted of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Passage {
    /// Text, tokenised as the model's tokenizer does it, with the token that it ends texts with.
    Text(String),
    /// Ids of the model's own vocabulary, read as they are.
    Tokens(Vec<u32>),
}

impl Passage {
    /// A measure of length to compare passages of the same form by: bytes of text, or ids.
    #[must_use]
    pub fn extent(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Tokens(ids) => ids.len(),
        }
    }
}
