//! Sampling values for jobs that leave them open: one table, by model family.
//!
//! The numbers are those that the model's makers recommend. No runtime knows `min_p` or a seed.

use serde::{Deserialize, Serialize};

use crate::chat;

/// Sampling values as the runtime takes them: all set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// 0 is greedy.
    pub temperature: f32,
    /// Nucleus size, 0 to 1.
    pub top_p: f32,
    /// Number of candidates.
    pub top_k: i32,
    /// Multiplicative penalty of tokens already said; 1 is none.
    pub repeat_penalty: f32,
    /// -2 to 2.
    pub frequency_penalty: f32,
    /// -2 to 2.
    pub presence_penalty: f32,
}

const GENERAL: Values = Values {
    temperature: 0.7,
    top_p: 0.9,
    top_k: 40,
    repeat_penalty: 1.1,
    frequency_penalty: 0.0,
    presence_penalty: 0.0,
};

/// The values for a model of `family` when nobody asks for others.
#[must_use]
pub fn defaults(family: &str, thinking: bool) -> Values {
    let family = family.to_ascii_lowercase();
    if family.starts_with("qwen3") {
        let (temperature, top_p) = if thinking { (0.6, 0.95) } else { (0.7, 0.8) };
        // The penalty keeps the small sizes from repeating themselves.
        Values {
            temperature,
            top_p,
            top_k: 20,
            presence_penalty: 1.5,
            ..GENERAL
        }
    } else if family.starts_with("minicpm") {
        Values {
            top_p: 0.7,
            repeat_penalty: 1.02,
            ..GENERAL
        }
    } else {
        GENERAL
    }
}

impl Values {
    /// These values with what the job asks for in place of them.
    ///
    /// Qwen3 is never run greedily: it falls into endless repetition, so that its `top_k` stays at 2 at least and
    /// its temperature above 0.
    #[must_use]
    pub fn with(self, asked: &chat::Sampling, family: &str) -> Self {
        let mut values = Self {
            temperature: asked
                .temperature
                .unwrap_or(self.temperature)
                .clamp(0.0, 5.0),
            top_p: asked.top_p.unwrap_or(self.top_p).clamp(0.0, 1.0),
            top_k: asked.top_k.unwrap_or(self.top_k).max(1),
            repeat_penalty: asked.repeat_penalty.unwrap_or(self.repeat_penalty),
            frequency_penalty: asked
                .frequency_penalty
                .unwrap_or(self.frequency_penalty)
                .clamp(-2.0, 2.0),
            presence_penalty: asked
                .presence_penalty
                .unwrap_or(self.presence_penalty)
                .clamp(-2.0, 2.0),
        };
        if family.to_ascii_lowercase().starts_with("qwen3") {
            values.top_k = values.top_k.max(2);
            values.temperature = values.temperature.max(0.1);
        }
        values
    }
}

impl From<Values> for chat::Sampling {
    fn from(values: Values) -> Self {
        Self {
            temperature: Some(values.temperature),
            top_p: Some(values.top_p),
            top_k: Some(values.top_k),
            min_p: None,
            repeat_penalty: Some(values.repeat_penalty),
            frequency_penalty: Some(values.frequency_penalty),
            presence_penalty: Some(values.presence_penalty),
            seed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qwen3_is_never_greedy() {
        let asked = chat::Sampling {
            temperature: Some(0.0),
            top_k: Some(1),
            ..chat::Sampling::default()
        };
        let values = defaults("Qwen3", true).with(&asked, "Qwen3");
        assert!(values.top_k >= 2 && values.temperature > 0.0, "{values:?}");
        let other = defaults("Phi-3", false).with(&asked, "Phi-3");
        assert_eq!((other.top_k, other.temperature), (1, 0.0));
    }

    #[test]
    fn the_family_decides_what_is_left_open() {
        assert_eq!(defaults("qwen3-vl", false).top_p, 0.8);
        assert_eq!(defaults("qwen3", true).top_p, 0.95);
        assert_eq!(defaults("MiniCPM4", false).repeat_penalty, 1.02);
        assert_eq!(defaults("whatever", false), GENERAL);
    }
}
