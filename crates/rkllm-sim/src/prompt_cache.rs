//! Prompt cache files: what a run left in the cache, for a later process.
//!
//! The real files hold keys and values, over a hundred kilobytes a token; these hold the token ids.

use std::{fs, io, path::Path};

use thiserror::Error;

use crate::kv::Kv;

const MAGIC: &str = "rkllm-sim prompt cache";
/// Where a cache is saved when the caller names no file.
pub(crate) const DEFAULT_PATH: &str = "./prompt_cache.bin";

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

pub(crate) fn save(path: &Path, model: &str, kv: &Kv) -> io::Result<()> {
    let ids: Vec<String> = kv.tokens.iter().map(i32::to_string).collect();
    fs::write(
        path,
        format!("{MAGIC}\n{model}\n{}\n{}\n", kv.system, ids.join(" ")),
    )
}

pub(crate) fn load(path: &Path, model: &str) -> Result<Kv, PromptCacheError> {
    let name = || path.display().to_string();
    let bytes = fs::read(path).map_err(|_| PromptCacheError::Missing(name()))?;
    if bytes.is_empty() {
        return Err(PromptCacheError::Empty(name()));
    }
    parse(&bytes, model).ok_or_else(|| PromptCacheError::OtherModel(model.to_owned()))
}

fn parse(bytes: &[u8], model: &str) -> Option<Kv> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
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

    #[test]
    fn a_cache_comes_back_for_its_own_model_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.bin");
        save(
            &path,
            "m",
            &Kv {
                tokens: vec![5, -3, 7],
                system: 1,
            },
        )
        .unwrap();
        let kv = load(&path, "m").unwrap();
        assert_eq!(
            (kv.tokens.as_slice(), kv.system),
            ([5, -3, 7].as_slice(), 1)
        );
        assert!(matches!(
            load(&path, "other"),
            Err(PromptCacheError::OtherModel(_))
        ));
        fs::write(&path, "").unwrap();
        assert!(matches!(load(&path, "m"), Err(PromptCacheError::Empty(_))));
        fs::write(&path, b"\xFF garbage").unwrap();
        assert!(matches!(
            load(&path, "m"),
            Err(PromptCacheError::OtherModel(_))
        ));
        assert!(matches!(
            load(&dir.path().join("none"), "m"),
            Err(PromptCacheError::Missing(_))
        ));
    }
}
