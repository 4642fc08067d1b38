//! The simulated models that ship with the library: written to a directory like downloaded ones.
//!
//! Each model has a folder named as its file, with
//! - `NAME.rkllm`: what the simulation needs to know of it (README.md describes the keys);
//! - `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`: as on a model's Hugging Face page;
//! - `model.toml`: what a gateway cannot read from the file name, such as the context limit.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

mod models;
mod tokenizer;

pub use models::{MODELS, Shipped};

/// A model could not be written.
#[derive(Debug, Error)]
#[error("cannot write {path}: {source}")]
pub struct InstallError {
    path: PathBuf,
    source: io::Error,
}

/// Writes all shipped models below `dir`, which is made if it does not exist. Files that are there are replaced.
///
/// # Errors
/// The first file or directory that cannot be written.
pub fn install(dir: &Path) -> Result<(), InstallError> {
    MODELS.iter().try_for_each(|model| install_one(model, dir))
}

fn install_one(model: &Shipped, dir: &Path) -> Result<(), InstallError> {
    let folder = dir.join(model.file_stem);
    let failed = |path: &Path, source| InstallError {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let vocabulary = model.vocabulary;
    let manifest = model.manifest();
    // The model file comes last: whoever watches the directory finds a model whose other files are there.
    let files = [
        ("tokenizer.json".to_owned(), vocabulary.tokenizer_json()),
        (
            "tokenizer_config.json".to_owned(),
            vocabulary.config_json(model.context),
        ),
        (
            "chat_template.jinja".to_owned(),
            model.chat_template.to_owned(),
        ),
        ("model.toml".to_owned(), manifest),
        (format!("{}.rkllm", model.file_stem), model.file()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
