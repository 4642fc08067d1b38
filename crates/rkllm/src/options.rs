//! How a model is loaded.

use std::{ffi::c_int, path::PathBuf};

use crate::{abi::v1_3_0::RKLLMSamplingParam, capabilities::Unsupported};

/// How a model is loaded. What a field leaves open is left to the runtime's own defaults.
#[derive(Debug, Clone)]
pub struct ModelOptions {
    /// The `.rkllm` file.
    pub path: PathBuf,
    /// Tokens in the context, prompt and answer together. Above the limit that the model was converted for, loading
    /// fails. 1 and above.
    pub max_context_len: i32,
    /// Tokens a run may generate, where the run does not say; -1 is no limit.
    pub max_new_tokens: i32,
    /// Sampling, where the run does not say; `None` is the runtime's own.
    pub sampling: Option<Sampling>,
    /// Tokens kept when the context overflows, -1 for the system prompt; `None` is the runtime's own.
    pub n_keep: Option<i32>,
    /// Whether special tokens are left out of the pieces. Without, the end token comes as a piece and tells why a
    /// run ended.
    pub skip_special_token: bool,
    /// Whether generation goes on after an end token. Needs [`crate::Capabilities::ignore_eos_token`].
    pub ignore_eos_token: bool,
    /// First IOMMU domain of the weights, from 0. A domain holds about 4 GB; two big models need different ones.
    pub base_domain_id: i32,
    /// Whether the embedding table stays on disk: less memory for a little time per token.
    pub embed_flash: bool,
    /// CPUs to work on beside the NPU, bit i for CPU i of 8; `None` is the runtime's own.
    pub enabled_cpus_mask: Option<u32>,
    /// Texts around images, for vision models.
    pub image_tags: ImageTags,
}

impl ModelOptions {
    /// Options for the model in `path`; everything but the two lengths has a default.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, max_context_len: i32, max_new_tokens: i32) -> Self {
        Self {
            path: path.into(),
            max_context_len,
            max_new_tokens,
            sampling: None,
            n_keep: None,
            skip_special_token: false,
            ignore_eos_token: false,
            base_domain_id: 0,
            embed_flash: false,
            enabled_cpus_mask: None,
            image_tags: ImageTags::default(),
        }
    }

    /// Refuses what the library would refuse without a reason, or crash on.
    pub(crate) fn check(&self) -> Result<(), OptionError> {
        if self.max_context_len < 1 {
            return Err(OptionError::ContextLength(self.max_context_len));
        }
        if self.max_new_tokens < 1 && self.max_new_tokens != -1 {
            return Err(OptionError::NewTokens(self.max_new_tokens));
        }
        if self.base_domain_id < 0 {
            return Err(OptionError::BaseDomain(self.base_domain_id));
        }
        if let Some(n_keep) = self.n_keep
            && (n_keep < -1 || n_keep >= self.max_context_len)
        {
            return Err(OptionError::NKeep {
                n_keep,
                max_context_len: self.max_context_len,
            });
        }
        if let Some(mask) = self.enabled_cpus_mask
            && (mask == 0 || mask > 0xff)
        {
            return Err(OptionError::CpuMask(mask));
        }
        self.sampling.as_ref().map_or(Ok(()), Sampling::check)
    }
}

/// Texts that the runtime writes around the tokens of an image or a video, such as `<|vision_start|>`,
/// `<|vision_end|>` and `<|image_pad|>`. Empty for models without vision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageTags {
    /// Before an image.
    pub start: String,
    /// After an image.
    pub end: String,
    /// In place of each token of an image.
    pub content: String,
}

/// How the next token is chosen. There is no seed in any version of the runtime.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Among this many of the likeliest tokens.
    pub top_k: i32,
    /// Among the likeliest tokens that together have this probability.
    pub top_p: f32,
    /// 0 is greedy.
    pub temperature: f32,
    /// For tokens that have occurred; 1 is none.
    pub repeat_penalty: f32,
    /// By how often a token has occurred; 0 is none.
    pub frequency_penalty: f32,
    /// By whether a token has occurred; 0 is none.
    pub presence_penalty: f32,
    /// 0 off, 1 Mirostat, 2 Mirostat 2.0.
    pub mirostat: i32,
    /// Mirostat's target entropy.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate.
    pub mirostat_eta: f32,
}

impl Sampling {
    pub(crate) fn check(&self) -> Result<(), OptionError> {
        for (name, value) in [
            ("top_p", self.top_p),
            ("temperature", self.temperature),
            ("repeat_penalty", self.repeat_penalty),
            ("frequency_penalty", self.frequency_penalty),
            ("presence_penalty", self.presence_penalty),
            ("mirostat_tau", self.mirostat_tau),
            ("mirostat_eta", self.mirostat_eta),
        ] {
            if !value.is_finite() {
                return Err(OptionError::NotFinite { name, value });
            }
        }
        Ok(())
    }
}

impl From<Sampling> for RKLLMSamplingParam {
    fn from(sampling: Sampling) -> Self {
        Self {
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            temperature: sampling.temperature,
            repeat_penalty: sampling.repeat_penalty,
            frequency_penalty: sampling.frequency_penalty,
            presence_penalty: sampling.presence_penalty,
            mirostat: sampling.mirostat,
            mirostat_tau: sampling.mirostat_tau,
            mirostat_eta: sampling.mirostat_eta,
        }
    }
}

/// An option that no runtime accepts.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// The context has no room.
    #[error("max_context_len must be 1 or more, not {0}")]
    ContextLength(i32),
    /// Nothing may be generated.
    #[error("max_new_tokens must be 1 or more, or -1 for no limit, not {0}")]
    NewTokens(i32),
    /// A domain below the first.
    #[error("base_domain_id must be 0 or more, not {0}")]
    BaseDomain(i32),
    /// More is to be kept than there is room.
    #[error(
        "n_keep must be -1 or more and less than max_context_len ({max_context_len}), not {n_keep}"
    )]
    NKeep {
        /// What was asked.
        n_keep: i32,
        /// Tokens in the context.
        max_context_len: i32,
    },
    /// No CPU, or one beyond the eighth.
    #[error("enabled_cpus_mask must name at least one of CPU 0 to 7, not {0:#x}")]
    CpuMask(u32),
    /// A number that is none.
    #[error("{name} must be a finite number, not {value}")]
    NotFinite {
        /// Name of the option.
        name: &'static str,
        /// What was asked.
        value: f32,
    },
}

/// Why a model is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An option that no runtime accepts.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// An option that this runtime does not have.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A path or text with a NUL byte, which C cannot hold.
    #[error("{0} must not contain a NUL byte")]
    Nul(&'static str),
    /// `rkllm_init` failed; its reason is in what it printed.
    #[error("the runtime could not load {} (rkllm_init returned {code})", path.display())]
    Failed {
        /// File of the model.
        path: PathBuf,
        /// What `rkllm_init` returned.
        code: c_int,
    },
    /// `rkllm_init` reported success and gave no model.
    #[error("the runtime gave no handle for {}", path.display())]
    NoHandle {
        /// File of the model.
        path: PathBuf,
    },
}
