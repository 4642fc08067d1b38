//! Prompt cache files: what a run left in the cache, for a later process.
//!
//! The real files hold keys and values; these hold the token ids, and have the real ones' length with nothing in it,
//! which takes no room where the file system knows holes.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
};

use thiserror::Error;

use crate::kv::Kv;

const MAGIC: &str = "rkllm-sim prompt cache";
/// Where a cache is saved when the caller names no file.
pub(crate) const DEFAULT_PATH: &str = "./prompt_cache.bin";
/// Bytes beside the tokens, and beside the keys and values of each token: measured on files of Qwen3-4B.
const FIXED: u64 = 615_371;
const PER_TOKEN: u64 = 16;

/// Why a prompt cache does not load.
#[derive(Debug, Error)]
pub(crate) enum PromptCacheError {
    #[error("the prompt cache file '{0}' does not exist")]
    Missing(String),
    #[error("the prompt cache file '{0}' is empty")]
    Empty(String),
    #[error("the prompt dose not match the current model[{0}]")]
    OtherModel(String),
}

/// The model that a file is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) name: &'a str,
    /// Bytes of keys and values per token; 0 makes files no longer than what is in them.
    pub(crate) kv_bytes: u64,
}

impl Owner<'_> {
    /// Bytes of a file of so many tokens.
    pub(crate) fn size(self, tokens: usize) -> u64 {
        if self.kv_bytes == 0 {
            return 0;
        }
        FIXED + tokens as u64 * (self.kv_bytes + PER_TOKEN)
    }
}

/// Writes the file. Its bytes.
pub(crate) fn save(path: &Path, owner: Owner<'_>, kv: &Kv) -> io::Result<u64> {
    let ids: Vec<String> = kv.tokens.iter().map(i32::to_string).collect();
    let mut file = File::create(path)?;
    let text = format!(
        "{MAGIC}\n{}\n{}\n{}\n",
        owner.name,
        kv.system,
        ids.join(" ")
    );
    file.write_all(text.as_bytes())?;
    let size = owner.size(kv.tokens.len()).max(text.len() as u64);
    file.set_len(size)?;
    Ok(size)
}

/// Reads a file, and its bytes.
pub(crate) fn load(path: &Path, owner: Owner<'_>) -> Result<(Kv, u64), PromptCacheError> {
    let name = || path.display().to_string();
    let missing = |_| PromptCacheError::Missing(name());
    let size = fs::metadata(path).map_err(missing)?.len();
    if size == 0 {
        return Err(PromptCacheError::Empty(name()));
    }
    let kv = read(File::open(path).map_err(missing)?, owner.name);
    // Which words the real library has for a file that was cut short is not known.
    kv.filter(|kv| size >= owner.size(kv.tokens.len()))
        .map(|kv| (kv, size))
        .ok_or_else(|| PromptCacheError::OtherModel(owner.name.to_owned()))
}

fn read(file: File, model: &str) -> Option<Kv> {
    let mut lines = BufReader::new(file).lines().map_while(Result::ok);
    if lines.next()? != MAGIC || lines.next()? != model {
        return None;
    }
    let system = lines.next()?.parse().ok()?;
    let tokens = lines
        .next()?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    Some(Kv { tokens, system })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Owner<'_> = Owner {
        name: "m",
        kv_bytes: 147_456,
    };

    fn kv() -> Kv {
        Kv {
            tokens: vec![5, -3, 7],
            system: 1,
        }
    }

    #[test]
    fn a_cache_comes_back_for_its_own_model_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.bin");
        save(&path, OURS, &kv()).unwrap();
        let (kv, size) = load(&path, OURS).unwrap();
        assert_eq!(
            (kv.tokens.as_slice(), kv.system),
            ([5, -3, 7].as_slice(), 1)
        );
        assert_eq!(size, 615_371 + 3 * 147_472);
        let other = Owner {
            name: "other",
            ..OURS
        };
        assert!(matches!(
            load(&path, other),
            Err(PromptCacheError::OtherModel(_))
        ));
        fs::write(&path, "").unwrap();
        assert!(matches!(load(&path, OURS), Err(PromptCacheError::Empty(_))));
        fs::write(&path, b"\xFF garbage").unwrap();
        assert!(matches!(
            load(&path, OURS),
            Err(PromptCacheError::OtherModel(_))
        ));
        assert!(matches!(
            load(&dir.path().join("none"), OURS),
            Err(PromptCacheError::Missing(_))
        ));
    }

    #[test]
    fn a_file_that_was_cut_short_does_not_load() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.bin");
        let size = save(&path, OURS, &kv()).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(size - 1).unwrap();
        assert!(load(&path, OURS).is_err());
    }
}
