//! The models below `models_dir`: what each is, what it is called and what to expect of it.

mod advice;
pub mod expectation;
mod fact;
mod kind;
mod kv_cache;
pub mod manifest;
pub mod name;
mod scan;
pub(crate) use scan::chat_template;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

pub use expectation::Expectation;
pub use fact::upstream_model;
pub use kind::ModelKind;

use crate::{
    chat,
    engine::sampling::{self, Values},
};
use manifest::Manifest;

/// Context limit that is assumed where neither the name nor `model.toml` tells one: the converter's default.
pub const ASSUMED_CONTEXT: u32 = 4096;

/// One model of the catalogue.
#[derive(Debug, Clone)]
pub struct ModelCard {
    /// The id that clients use, e.g. `qwen3-1.7b`.
    pub id: String,
    /// Other names that lead to it: the file's stem, its directory's name where the model is alone there.
    pub aliases: Vec<String>,
    /// A name for people.
    pub name: String,
    /// The model file.
    pub path: PathBuf,
    /// Directory of the tokenizer and the chat template.
    pub tokenizer_dir: PathBuf,
    /// Family in the file's spelling, e.g. `Qwen3`.
    pub family: String,
    /// Parameters, e.g. `1.7B`.
    pub size: Option<String>,
    /// Quantisation, e.g. `w8a8`.
    pub quantisation: Option<String>,
    /// Chip that the model was converted for.
    pub chip: Option<String>,
    /// Context limit in tokens, if known.
    pub context: Option<u32>,
    /// Whether `tokenizer.json` is there.
    pub has_tokenizer: bool,
    /// Whether a chat template is there.
    pub has_template: bool,
    /// What the model makes of its input.
    pub kind: ModelKind,
    /// Whether the model reads images.
    pub vision: bool,
    /// Whether the model can think before it answers.
    pub thinking: bool,
    /// Bytes of the model file.
    pub file_size: u64,
    /// When the model file was written, in Unix seconds; 0 if the file system does not say.
    pub written: u64,
    /// Speed and memory to expect, where anything is known of a like model.
    pub expectation: Option<Expectation>,
    /// What will not work as it should, each with its cure.
    pub warnings: Vec<String>,
    /// What `model.toml` sets for loading and running.
    pub manifest: Manifest,
}

impl ModelCard {
    /// Bytes of memory that the model is expected to take when it is loaded with its whole context.
    #[must_use]
    pub fn expected_memory(&self) -> u64 {
        match &self.expectation {
            Some(expectation) => {
                let context = u64::from(self.context_or_default()) * expectation.memory_per_token;
                expectation.memory.max(self.file_size) + context
            }
            None => self.file_size + self.file_size / 10,
        }
    }

    /// Context with which the model is loaded unless the runtime knows better.
    #[must_use]
    pub fn context_or_default(&self) -> u32 {
        self.context.unwrap_or(ASSUMED_CONTEXT)
    }

    /// Sampling values for a request that sets none.
    #[must_use]
    pub fn sampling(&self, thinking: bool) -> Values {
        self.manifest
            .sampling
            .over(sampling::defaults(&self.family, thinking), &self.family)
    }

    /// Sampling values that the model is loaded with; they hold until it is unloaded where the runtime takes none per
    /// run. `profile` is what the policy says of most of its requests.
    #[must_use]
    pub fn sampling_at_load(&self, profile: &chat::Sampling) -> Values {
        self.sampling(self.thinking).with(profile, &self.family)
    }
}

/// All models, in the order of their ids.
#[derive(Debug, Default)]
pub struct Catalog {
    models: Vec<ModelCard>,
}

impl Catalog {
    /// Reads everything below `dir`. What cannot be read becomes a warning of its model and never hides another;
    /// a directory that does not exist is an empty catalogue.
    #[must_use]
    pub fn scan(dir: &Path) -> Self {
        let mut models: Vec<ModelCard> = scan::model_files(dir)
            .iter()
            .map(|path| scan::card(path))
            .collect();
        give_ids(&mut models);
        models.sort_by(|a, b| a.id.cmp(&b.id));
        Self { models }
    }

    /// The models in the order of their ids.
    #[must_use]
    pub fn models(&self) -> &[ModelCard] {
        &self.models
    }

    /// The model that is known by `name`, whatever its case; ids go before aliases.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ModelCard> {
        let name = name.trim();
        let same = |other: &str| other.to_lowercase() == name.to_lowercase();
        self.models.iter().find(|card| same(&card.id)).or_else(|| {
            self.models
                .iter()
                .find(|card| card.aliases.iter().any(|alias| same(alias)))
        })
    }
}

/// Makes the ids unique: those that several models share get the quantisation, then the context, then a number.
fn give_ids(models: &mut [ModelCard]) {
    let extra: [fn(&ModelCard) -> Option<String>; 2] = [
        |card| card.quantisation.clone(),
        |card| card.context.map(|tokens| format!("{}k", tokens / 1024)),
    ];
    for suffix in extra {
        for index in shared_ids(models) {
            if let Some(card) = models.get_mut(index)
                && let Some(suffix) = suffix(card)
            {
                card.id = format!("{}-{}", card.id, suffix.to_lowercase());
                card.name = format!("{} ({suffix})", card.name);
            }
        }
    }
    let mut taken = HashSet::new();
    for card in models {
        let mut id = card.id.clone();
        let mut number = 2;
        while !taken.insert(id.clone()) {
            id = format!("{}-{number}", card.id);
            number += 1;
        }
        card.id = id;
    }
}

/// Indices of the models whose id another model has too, unless the user chose it.
fn shared_ids(models: &[ModelCard]) -> Vec<usize> {
    let shared = |card: &ModelCard| models.iter().filter(|other| other.id == card.id).count() > 1;
    models
        .iter()
        .enumerate()
        .filter(|(_, card)| card.manifest.id.is_none() && shared(card))
        .map(|(index, _)| index)
        .collect()
}

#[cfg(test)]
mod tests;
