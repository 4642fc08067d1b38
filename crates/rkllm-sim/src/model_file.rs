//! The simulated model: a small text file with the name of a real one.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    Family,
    faults::{FaultError, Faults},
    prompt_cache::Owner,
    timing::{self, Rates},
};

/// First line of every model file.
const MAGIC: &str = "# rkllm-sim model\n";
/// Last line of every model file; one that lacks it was cut short.
const END: &str = "# end";

/// What a model file says. README.md describes the keys.
#[derive(Debug, Clone)]
pub(crate) struct ModelFile {
    pub(crate) header: Header,
    /// The tokenizer file, resolved against the model file.
    pub(crate) tokenizer: PathBuf,
    pub(crate) rates: Rates,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) family: Family,
    /// Chip, as in `RK3588`.
    pub(crate) platform: String,
    pub(crate) dtype: String,
    /// Version of the toolkit that converted the model.
    pub(crate) toolkit: String,
    /// Most tokens of context.
    pub(crate) max_context: i32,
    pub(crate) npu_core_num: i32,
    /// Width of the hidden layer.
    pub(crate) embd_size: usize,
    tokenizer: PathBuf,
    /// Spellings of the tokens that end an answer; the model says the first.
    pub(crate) eos: Vec<String>,
    pub(crate) size_bytes: u64,
    /// Peak memory of a process that runs the model, in megabytes.
    pub(crate) memory_mb: f32,
    /// Bytes of keys and values per token, for the size of prompt cache files.
    #[serde(default)]
    pub(crate) kv_bytes: u64,
    benchmark: Benchmark,
    #[serde(default)]
    fault: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Benchmark {
    model: String,
    params: String,
    dtype: String,
}

/// Why a model file does not load; the texts are those of the real library where it has one.
#[derive(Debug, Error)]
pub(crate) enum ModelFileError {
    #[error("failed to open '{path}': '{reason}'")]
    Open { path: String, reason: String },
    #[error("invalid magic number, got {0:08x}")]
    Magic(u32),
    #[error("failed to read header")]
    Header,
    #[error("failed to read tensor data")]
    Truncated,
    /// The simulation cannot be set up from what the file says.
    #[error("failed to initialize context: {0}")]
    Context(String),
}

impl ModelFile {
    /// Whose prompt cache files it reads and writes.
    pub(crate) fn owner(&self) -> Owner<'_> {
        Owner {
            name: &self.header.name,
            kv_bytes: self.header.kv_bytes,
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, ModelFileError> {
        let bytes = fs::read(path).map_err(|error| ModelFileError::Open {
            path: path.display().to_string(),
            reason: os_text(&error),
        })?;
        let header = parse(&bytes)?;
        let Benchmark {
            model,
            params,
            dtype,
        } = &header.benchmark;
        let rates = timing::rates(&header.platform, model, params, dtype).ok_or_else(|| {
            ModelFileError::Context(format!(
                "no benchmark of {model} {params} {dtype} on {}",
                header.platform
            ))
        })?;
        let tokenizer = path
            .parent()
            .unwrap_or(Path::new("."))
            .join(&header.tokenizer);
        Ok(Self {
            header,
            tokenizer,
            rates,
        })
    }

    /// The faults of the file over those of the environment.
    pub(crate) fn faults(&self, mut faults: Faults) -> Result<Faults, FaultError> {
        for (name, value) in &self.header.fault {
            let text = match value {
                toml::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            faults.set(name, Some(&text))?;
        }
        Ok(faults)
    }
}

fn parse(bytes: &[u8]) -> Result<Header, ModelFileError> {
    if !bytes.starts_with(MAGIC.as_bytes()) {
        let mut word = [0; 4];
        word.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        return Err(ModelFileError::Magic(u32::from_le_bytes(word)));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ModelFileError::Header)?;
    if text.trim_end().lines().next_back() != Some(END) {
        return Err(ModelFileError::Truncated);
    }
    toml::from_str(text).map_err(|error| {
        // The real library does not say where; whoever writes a simulated model needs to know.
        let message = error.message().trim();
        if message.is_empty() {
            ModelFileError::Header
        } else {
            ModelFileError::Context(message.to_owned())
        }
    })
}

/// The text of `strerror`, without the number that Rust adds.
fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A model file for tests, beside the tokenizer that `vocabulary::tests` writes.
    pub(crate) const SAMPLE: &str = r#"# rkllm-sim model
name = "Qwen3-0.6B"
family = "qwen3"
platform = "RK3588"
dtype = "w8a8"
toolkit = "1.2.0"
max_context = 4096
npu_core_num = 3
embd_size = 64
tokenizer = "tokenizer.json"
eos = ["<|im_end|>"]
size_bytes = 750000000
memory_mb = 791.1
benchmark = { model = "Qwen3", params = "0.6B", dtype = "w8a8" }
[fault]
broken_json = true
slow_ddr = 1.5
# end
"#;

    fn read(text: &[u8]) -> Result<ModelFile, ModelFileError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.rkllm");
        fs::write(&path, text).unwrap();
        ModelFile::read(&path)
    }

    #[test]
    fn a_whole_file_is_read() {
        let model = read(SAMPLE.as_bytes()).unwrap();
        assert_eq!(model.header.family, Family::Qwen3);
        assert!(model.tokenizer.ends_with("tokenizer.json") && model.tokenizer.is_absolute());
        let faults = model.faults(Faults::default()).unwrap();
        assert_eq!(
            faults,
            Faults {
                broken_json: true,
                slow_ddr: Some(1.5),
                ..Faults::default()
            }
        );
    }

    #[test]
    fn broken_files_give_the_lines_of_the_library() {
        let cut = &SAMPLE[..SAMPLE.len() - 20];
        let unknown_row = SAMPLE.replace("0.6B\"", "0.7B\"");
        let typo = SAMPLE.replace("family", "famliy");
        for (text, expected) in [
            ("GGUF....", "invalid magic number, got 46554747"),
            ("", "invalid magic number, got 00000000"),
            (cut, "failed to read tensor data"),
            (
                unknown_row.as_str(),
                "failed to initialize context: no benchmark of Qwen3 0.7B w8a8 on RK3588",
            ),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), expected);
        }
        assert!(
            read(typo.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("famliy")
        );
        let missing = ModelFile::read(Path::new("/nowhere/x.rkllm")).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "failed to open '/nowhere/x.rkllm': 'No such file or directory'"
        );
    }
}
