//! What was in force for an answer, as the log and clients that ask are told.

use std::sync::Arc;

use serde::Serialize;

use crate::{chat::Sampling, policy::Decision};

/// What the policy has decided, less the sampling values: which of them hold is for the engine to say.
#[derive(Debug)]
pub(super) struct Settled {
    /// The rule that told what the request is for.
    pub(super) rule: Arc<str>,
    /// The sampling profile.
    pub(super) profile: Option<Arc<str>>,
    /// Whether the model was told to think.
    pub(super) thinking: Option<bool>,
    /// The limit of generated tokens.
    pub(super) max_tokens: Option<u32>,
    /// The rule that lets the answer be shared.
    pub(super) cache: Option<Arc<str>>,
}

impl From<&Decision> for Settled {
    fn from(decision: &Decision) -> Self {
        Self {
            rule: decision.by.clone(),
            profile: decision.profile.clone(),
            thinking: decision.thinking,
            max_tokens: decision.max_tokens,
            cache: decision.cache.as_ref().map(|cache| cache.by.clone()),
        }
    }
}

/// What is left out was left to whoever ran the model.
#[derive(Serialize)]
struct InForce<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
}

/// The values of one answer as a JSON object.
pub(super) fn json(settled: &Settled, sampling: &Sampling) -> String {
    let in_force = InForce {
        profile: settled.profile.as_deref(),
        thinking: settled.thinking,
        max_tokens: settled.max_tokens,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        min_p: sampling.min_p,
        repeat_penalty: sampling.repeat_penalty,
        frequency_penalty: sampling.frequency_penalty,
        presence_penalty: sampling.presence_penalty,
        seed: sampling.seed,
    };
    // Numbers, words and truth values have nothing that JSON could not say.
    serde_json::to_string(&in_force).unwrap_or_default()
}
