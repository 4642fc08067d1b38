//! What a model makes of its input.

use serde::{Deserialize, Serialize};

use super::ModelCard;
use crate::engine::{EngineError, Prompt};

/// What a model makes of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Text.
    Text,
    /// A vector: the last layer at the input's last token.
    Embedding,
}

impl ModelKind {
    /// The name in `model.toml` and in every list of models.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Embedding => "embedding",
        }
    }
}

impl ModelCard {
    /// Refuses a prompt that asks for something else than the model gives.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`].
    pub(in crate::engine) fn check_kind(&self, prompt: &Prompt) -> Result<(), EngineError> {
        let id = &self.id;
        Err(EngineError::Unsupported(match (self.kind, prompt) {
            (ModelKind::Text, Prompt::Chat(_) | Prompt::Text(_))
            | (ModelKind::Embedding, Prompt::Embed(_)) => return Ok(()),
            (ModelKind::Text, Prompt::Embed(_)) => format!(
                "the model `{id}` writes text and gives no embeddings; use a model whose kind in GET /v1/models is \
                 `embedding`"
            ),
            (ModelKind::Embedding, Prompt::Chat(_) | Prompt::Text(_)) => format!(
                "the model `{id}` gives embeddings and writes no text; it is for /v1/embeddings"
            ),
        }))
    }
}
