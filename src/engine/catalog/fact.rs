//! What the policy engine is told of models.

use std::sync::Arc;

use super::{ModelCard, name};
use crate::policy::{Facts, ModelFact};

impl From<&[ModelCard]> for Facts {
    /// The models of the embedded engine.
    fn from(cards: &[ModelCard]) -> Self {
        Self {
            models: cards.iter().map(ModelFact::from).collect(),
        }
    }
}

impl From<&ModelCard> for ModelFact {
    /// A model of the embedded engine.
    fn from(card: &ModelCard) -> Self {
        Self {
            id: card.id.as_str().into(),
            aliases: card.aliases.clone(),
            family: card.family.to_lowercase(),
            context: Some(card.context_or_default()),
            // The engine runs models without their vision encoders.
            vision: false,
            thinking: card.thinking,
            switchable: true,
            upstream: None,
            chars_per_token: Self::CHARS_PER_TOKEN,
        }
    }
}

/// A model that an upstream serves. Servers tell no more than its name, e.g. `qwen3:1.7b` or `Qwen/Qwen3-1.7B`; what
/// that does not say stays unknown. How the server is told to think is for the caller to know.
#[must_use]
pub fn upstream_model(id: &str, upstream: impl Into<Arc<str>>) -> ModelFact {
    let stem = id.rsplit('/').next().unwrap_or(id).replace(':', "-");
    let family = name::parse(&stem).family.unwrap_or_default().to_lowercase();
    ModelFact {
        id: id.into(),
        aliases: Vec::new(),
        context: None,
        vision: name::sees(&family),
        thinking: name::thinks(&family),
        switchable: false,
        family,
        upstream: Some(upstream.into()),
        chars_per_token: ModelFact::CHARS_PER_TOKEN,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn no_model_of_the_engine_sees() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Qwen3-VL-2B-w8a8-rk3588.rkllm"), "").unwrap();
        let catalog = crate::engine::catalog::Catalog::scan(dir.path());
        let card = catalog.models().first().unwrap();
        assert!(card.vision && !ModelFact::from(card).vision);
    }

    #[test]
    fn a_servers_name_tells_the_family() {
        for (id, family) in [
            ("qwen3:1.7b", "qwen3"),
            ("Qwen/Qwen3-1.7B", "qwen3"),
            ("qwen3-vl:2b", "qwen3-vl"),
            ("gemma-3-4b-it", "gemma-3"),
            ("", ""),
        ] {
            assert_eq!(upstream_model(id, "other").family, family, "{id}");
        }
        let fact = upstream_model("qwen3-vl:2b", "other");
        assert!(fact.vision && !fact.thinking);
        assert_eq!(fact.upstream.as_deref(), Some("other"));
    }
}
