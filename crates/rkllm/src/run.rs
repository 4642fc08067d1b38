//! One run of a model: its settings, its pieces and its end.

use std::{borrow::Cow, ffi::c_int, num::NonZeroU32, path::Path, time::Duration};

use crate::{
    abi::v1_2_1::RKLLMPerfStat,
    abort::AbortHandle,
    capabilities::Unsupported,
    input::{InputError, Refusal},
    options::{OptionError, Sampling},
};

/// What a run computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Text.
    #[default]
    Generate,
    /// The last hidden layer of each input token, for embeddings.
    LastHiddenLayer,
    /// Logits. Text is generated beside them: limit it to one token, or abort after the first piece.
    Logits,
}

/// Settings of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions<'a> {
    /// What to compute.
    pub mode: Mode,
    /// Whether the input continues the conversation in the KV cache. If not, the input stands alone, and what it
    /// shares with the cache from the first token on is not computed again.
    pub keep_history: bool,
    /// Sampling of this run; `None` is the model's. Needs [`crate::Capabilities::per_run_sampling`].
    pub sampling: Option<Sampling>,
    /// Tokens to generate at most; `None` is the model's limit. Needs [`crate::Capabilities::per_run_sampling`].
    pub max_new_tokens: Option<NonZeroU32>,
    /// Name of a loaded LoRA adapter.
    pub lora: Option<&'a str>,
    /// File to save the KV cache to after the run.
    pub save_prompt_cache: Option<&'a Path>,
    /// Stops this run. Keep a clone of it.
    pub abort: AbortHandle,
}

/// What a run gives, token by token; valid during the call only.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Text. `None` while a character is incomplete; its bytes come with a later piece. The library joins
    /// characters, but does not promise UTF-8.
    pub bytes: Option<&'a [u8]>,
    /// The token generated.
    pub token_id: Option<i32>,
    /// In [`Mode::LastHiddenLayer`]: one row per input token. The first piece may have none.
    pub hidden: Option<Rows<'a>>,
    /// In [`Mode::Logits`]: one row per token.
    pub logits: Option<Rows<'a>>,
}

impl Piece<'_> {
    /// The text, with replacement characters for bytes that are no UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.bytes.map(String::from_utf8_lossy)
    }
}

/// A matrix of results.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rows<'a> {
    /// The values, row after row; never empty.
    pub values: &'a [f32],
    /// Values in a row, 1 and above.
    pub width: usize,
}

impl<'a> Rows<'a> {
    /// The row of the last token, which is what embeddings are made of.
    #[must_use]
    pub fn last(&self) -> &'a [f32] {
        self.values.rchunks(self.width).next().unwrap_or_default()
    }
}

/// Performance of a run as the runtime measured it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Perf {
    /// Time spent on the prompt.
    pub prefill: Duration,
    /// Prompt tokens computed; those found in the KV cache are not counted.
    pub prefill_tokens: u32,
    /// Time spent on the answer.
    pub generate: Duration,
    /// Tokens generated.
    pub generate_tokens: u32,
    /// Peak resident memory of the process, in mebibytes.
    pub memory_usage_mb: f32,
}

impl From<RKLLMPerfStat> for Perf {
    fn from(perf: RKLLMPerfStat) -> Self {
        // Whatever the library writes must not panic: negative and infinite times become zero.
        let time =
            |ms: f32| Duration::try_from_secs_f64(f64::from(ms) / 1000.0).unwrap_or_default();
        Self {
            prefill: time(perf.prefill_time_ms),
            prefill_tokens: perf.prefill_tokens.try_into().unwrap_or_default(),
            generate: time(perf.generate_time_ms),
            generate_tokens: perf.generate_tokens.try_into().unwrap_or_default(),
            memory_usage_mb: perf.memory_usage_mb,
        }
    }
}

/// How a run ended. The library does not say why: the end token among `tokens` means the model stopped, and
/// `max_new_tokens` tokens mean the limit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunReport {
    /// Ids generated, those of incomplete characters and special tokens included.
    pub tokens: Vec<i32>,
    /// The runtime's own numbers, if it has told them. After an abort they may be zero.
    pub perf: Option<Perf>,
    /// Whether the library announced the end. Hidden layers may come without; a prompt above the context may end
    /// so with no token at all.
    pub finished: bool,
    /// Whether the run was asked to stop before it had returned.
    pub aborted: bool,
    /// Whether it began at all; the KV cache is as it was otherwise.
    pub began: bool,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An input that no runtime could read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Sampling that no runtime accepts.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Something that this runtime does not have.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// No LoRA adapter of that name is loaded.
    #[error("no LoRA adapter named {name} is loaded")]
    UnknownLora {
        /// The name.
        name: String,
    },
    /// The library failed; its reason is in what it printed.
    #[error("the run failed after {} tokens (rkllm_run returned {code})", tokens.len())]
    Failed {
        /// What `rkllm_run` returned; 0 if only a callback told of the failure.
        code: c_int,
        /// Ids generated before.
        tokens: Vec<i32>,
    },
    /// `rkllm_run` refused the run after an aborted one, which is how a model shows that it has become unusable; it
    /// must be dropped and loaded again. An input that it would have refused anyway cannot be told apart.
    #[error("the model has not recovered from an aborted run and must be loaded again")]
    ReloadNeeded,
    /// The caller's closure panicked; the run was aborted.
    #[error("the receiver of the pieces panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
}

impl From<Refusal> for RunError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Input(error) => error.into(),
            Refusal::Unsupported(error) => error.into(),
        }
    }
}
