//! `model.toml`: what the user says about a model where its files do not say it or say it wrongly.

use std::{
    num::NonZeroU8,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::ModelKind;
use crate::{chat, config::Period, engine::sampling::Values};

/// The contents of `model.toml`. Every key is optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The id that clients use.
    pub id: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// Family, e.g. `Qwen3`.
    pub family: Option<String>,
    /// Parameters, e.g. `1.7B`.
    pub size: Option<String>,
    /// Quantisation, e.g. `w8a8`.
    pub quantisation: Option<String>,
    /// Chip that the model was converted for.
    pub chip: Option<String>,
    /// Context limit in tokens, as given at conversion (`max_context`).
    pub context: Option<u32>,
    /// What the model makes of its input.
    pub kind: Option<ModelKind>,
    /// Whether the model reads images.
    pub vision: Option<bool>,
    /// Whether the model can think before it answers.
    pub thinking: Option<bool>,
    /// Tokens that end an answer, in addition to those that the tokenizer's files name.
    #[serde(default)]
    pub eos: Vec<String>,
    /// Sampling values for requests that set none.
    #[serde(default)]
    pub sampling: ManifestSampling,
    /// First IOMMU domain of the model's weights; otherwise the engine chooses one with room.
    pub domain: Option<i32>,
    /// Load the model at start and keep it: idleness does not unload it, and it goes last when room is needed.
    #[serde(default)]
    pub pin: bool,
    /// How often the model may be in memory, where there is room; each instance has a KV cache of its own. Once unless
    /// set.
    pub instances: Option<NonZeroU8>,
    /// In place of `engine.idle_unload` for this model; `0s` keeps it.
    pub idle_unload: Option<Period>,
    /// Leave the embedding table on disk: less memory, a small cost per token. On unless set.
    pub embed_flash: Option<bool>,
    /// Processors that the runtime may use, bit i for CPU i; otherwise the big cores.
    pub cpu_mask: Option<u32>,
    /// Directory of `tokenizer.json` and the chat template, relative to this file.
    pub tokenizer: Option<PathBuf>,
}

/// The `[sampling]` table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSampling {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i32>,
    repeat_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
}

impl ManifestSampling {
    /// `values` with what this table sets in place of them.
    #[must_use]
    pub fn over(&self, values: Values, family: &str) -> Values {
        let asked = chat::Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            repeat_penalty: self.repeat_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            ..chat::Sampling::default()
        };
        values.with(&asked, family)
    }
}

/// Reads the manifest of the model file: `<stem>.toml` if there is one, else `model.toml`; neither is no error.
///
/// # Errors
/// Text that names the file and what is wrong with it.
pub fn read(model: &Path) -> Result<Manifest, String> {
    for path in [
        model.with_extension("toml"),
        model.with_file_name("model.toml"),
    ] {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                return toml::from_str(&text).map_err(|error| {
                    format!("{}: {}", path.display(), error.to_string().trim_end())
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Ok(Manifest::default())
}
