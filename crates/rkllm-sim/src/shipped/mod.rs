//! The simulated models that ship with the library: written to a directory like downloaded ones.
//!
//! Each model has a folder named as its file, with
//! - `NAME.rkllm`: what the simulation needs to know of it (README.md describes the keys);
//! - `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`: as on a model's Hugging Face page;
//! - `model.toml`: what a gateway cannot read from the file name, such as the context limit.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

mod models;
mod tokenizer;

pub use models::{MODELS, Shipped};
use tokenizer::{Base, Vocabulary};

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
    let base = Base::new();
    MODELS
        .iter()
        .try_for_each(|model| install_one(model, &base, dir))
}

fn install_one(model: &Shipped, base: &Base, dir: &Path) -> Result<(), InstallError> {
    let folder = dir.join(model.file_stem);
    let failed = |path: &Path, source| InstallError {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let vocabulary = model.vocabulary;
    let tokenizer = folder.join("tokenizer.json");
    write_tokenizer(vocabulary, base, &tokenizer).map_err(|error| failed(&tokenizer, error))?;
    let manifest = model.manifest();
    // The model file comes last: whoever watches the directory finds a model whose other files are there.
    let files = [
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

fn write_tokenizer(vocabulary: Vocabulary, base: &Base, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    vocabulary.write_tokenizer_json(base, &mut file)?;
    file.flush()
}

#[cfg(test)]
mod tests;
