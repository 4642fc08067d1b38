//! The C interface of librkllmrt.so, generation by generation.
//!
//! Names are those of the C header. What all generations share is here; a generation's module holds what it
//! changed and re-exports the rest, so `abi::v1_3_0::*` is the whole header of runtime 1.3.0.
//!
//! Values that C writes are never a Rust `enum` or `bool`: an unexpected value must stay a number.
//! Sizes and offsets are those of 64-bit Linux (LP64, equal on x86-64 and AArch64); `tests/layout.rs` checks each.

use std::ffi::{c_char, c_int, c_uint, c_void};

#[macro_use]
mod symbols;

pub mod v1_2_0;
pub mod v1_2_1;
pub mod v1_3_0;

pub use symbols::MissingSymbol;

/// A loaded model, opaque to the caller.
pub type LLMHandle = *mut c_void;

/// A C `bool`: one byte. Zero is false, anything else is true.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CBool(pub u8);

impl CBool {
    /// Whether the byte means true.
    #[must_use]
    pub fn is_true(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for CBool {
    fn from(value: bool) -> Self {
        Self(u8::from(value))
    }
}

/// What a call of the result callback means.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LLMCallState(pub c_uint);

impl LLMCallState {
    /// One token's text, or hidden states, or logits.
    pub const NORMAL: Self = Self(0);
    /// A token whose bytes do not complete a UTF-8 character yet; its text comes with the next `NORMAL`.
    pub const WAITING: Self = Self(1);
    /// The run has ended.
    pub const FINISH: Self = Self(2);
    /// The run has failed.
    pub const ERROR: Self = Self(3);
}

/// Which member of the union in `RKLLMInput` is set.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RKLLMInputType(pub c_uint);

impl RKLLMInputType {
    /// `prompt_input`.
    pub const PROMPT: Self = Self(0);
    /// `token_input`.
    pub const TOKEN: Self = Self(1);
    /// `embed_input`.
    pub const EMBED: Self = Self(2);
    /// `multimodal_input`.
    pub const MULTIMODAL: Self = Self(3);
}

/// What a run computes.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RKLLMInferMode(pub c_uint);

impl RKLLMInferMode {
    /// Text.
    pub const GENERATE: Self = Self(0);
    /// The last hidden layer of every input token.
    pub const GET_LAST_HIDDEN_LAYER: Self = Self(1);
    /// The logits of every input token.
    pub const GET_LOGITS: Self = Self(2);
}

/// A LoRA adapter to load.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMLoraAdapter {
    /// File of the adapter.
    pub lora_adapter_path: *const c_char,
    /// Name by which runs select it.
    pub lora_adapter_name: *const c_char,
    /// Factor of the adapter's weights.
    pub scale: f32,
}

/// Input as embeddings.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMEmbedInput {
    /// `n_tokens` rows of the model's embedding size.
    pub embed: *mut f32,
    /// Rows.
    pub n_tokens: usize,
}

/// Input as token ids.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMTokenInput {
    /// `n_tokens` ids.
    pub input_ids: *mut i32,
    /// Number of ids.
    pub n_tokens: usize,
}

/// The LoRA adapter of a run.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMLoraParam {
    /// Name given when the adapter was loaded.
    pub lora_adapter_name: *const c_char,
}

/// Whether a run saves its KV cache.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMPromptCacheParam {
    /// 1 saves, 0 does not.
    pub save_prompt_cache: c_int,
    /// File to write.
    pub prompt_cache_path: *const c_char,
}

/// The last hidden layer, valid only during the callback.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMResultLastHiddenLayer {
    /// `num_tokens` rows of `embd_size` values, or NULL.
    pub hidden_states: *const f32,
    /// Values in a row.
    pub embd_size: c_int,
    /// Rows.
    pub num_tokens: c_int,
}

/// Logits, valid only during the callback.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMResultLogits {
    /// `num_tokens` rows of `vocab_size` values, or NULL.
    pub logits: *const f32,
    /// Values in a row.
    pub vocab_size: c_int,
    /// Rows.
    pub num_tokens: c_int,
}

/// A generation of the interface. Runtimes of one generation differ in no layout and no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abi {
    /// Runtime 1.2.0.
    V1_2_0,
    /// Runtimes 1.2.1, 1.2.2 and 1.2.3.
    V1_2_1,
    /// Runtime 1.3.0.
    V1_3_0,
}

impl std::fmt::Display for Abi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V1_2_0 => "1.2.0",
            Self::V1_2_1 => "1.2.1-1.2.3",
            Self::V1_3_0 => "1.3.0",
        })
    }
}

/// The functions of a runtime, of whichever generation.
#[derive(Debug, Clone, Copy)]
pub enum SymbolTable {
    /// Runtime 1.2.0.
    V1_2_0(v1_2_0::Symbols),
    /// Runtimes 1.2.1, 1.2.2 and 1.2.3.
    V1_2_1(v1_2_1::Symbols),
    /// Runtime 1.3.0.
    V1_3_0(v1_3_0::Symbols),
}

impl SymbolTable {
    /// The generation of the functions.
    #[must_use]
    pub fn abi(&self) -> Abi {
        match self {
            Self::V1_2_0(_) => Abi::V1_2_0,
            Self::V1_2_1(_) => Abi::V1_2_1,
            Self::V1_3_0(_) => Abi::V1_3_0,
        }
    }
}
