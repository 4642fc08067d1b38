//! Runtimes 1.2.1, 1.2.2 and 1.2.3: one layout; the callback returns an int, results carry performance numbers.

use std::ffi::{c_char, c_int, c_void};

pub use super::v1_2_0::{
    CBool, LLMCallState, LLMHandle, RKLLMEmbedInput, RKLLMInferMode, RKLLMInferParam,
    RKLLMInputType, RKLLMLoraAdapter, RKLLMLoraParam, RKLLMPromptCacheParam,
    RKLLMResultLastHiddenLayer, RKLLMResultLogits, RKLLMTokenInput,
};

/// Settings of the board.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMExtendParam {
    /// First IOMMU domain of the weights, from 0.
    pub base_domain_id: i32,
    /// 1 leaves the embedding table on disk.
    pub embed_flash: i8,
    /// Number of bits set in `enabled_cpus_mask`.
    pub enabled_cpus_num: i8,
    /// Bit i enables CPU i.
    pub enabled_cpus_mask: u32,
    /// Inputs of one run, 1 to 100.
    pub n_batch: u8,
    /// 1 enables cross attention.
    pub use_cross_attn: i8,
    /// Zero.
    pub reserved: [u8; 104],
}

/// Settings of a model, fixed by `rkllm_init`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMParam {
    /// File of the model.
    pub model_path: *const c_char,
    /// Tokens in the context, prompt and answer together.
    pub max_context_len: i32,
    /// Tokens a run may generate.
    pub max_new_tokens: i32,
    /// Sample among this many tokens.
    pub top_k: i32,
    /// Tokens kept when the context overflows; -1 keeps the system prompt.
    pub n_keep: i32,
    /// Sample among the tokens of this cumulated probability.
    pub top_p: f32,
    /// 0 is greedy.
    pub temperature: f32,
    /// 1 is none.
    pub repeat_penalty: f32,
    /// 0 is none.
    pub frequency_penalty: f32,
    /// 0 is none.
    pub presence_penalty: f32,
    /// 0 off, 1 Mirostat, 2 Mirostat 2.0.
    pub mirostat: i32,
    /// Mirostat's target entropy.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate.
    pub mirostat_eta: f32,
    /// Whether special tokens are left out of the output.
    pub skip_special_token: CBool,
    /// Whether `rkllm_run` returns at once.
    pub is_async: CBool,
    /// Text before an image; NULL crashes the library.
    pub img_start: *const c_char,
    /// Text after an image; NULL crashes the library.
    pub img_end: *const c_char,
    /// Text that stands for an image token; NULL crashes the library.
    pub img_content: *const c_char,
    /// Settings of the board.
    pub extend_param: RKLLMExtendParam,
}

/// Input with images. The header calls it `RKLLMMultiModalInput` from 1.2.3 on.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMMultiModelInput {
    /// Text with one `<image>` tag per image.
    pub prompt: *mut c_char,
    /// Embeddings of the images.
    pub image_embed: *mut f32,
    /// Rows of `image_embed` per image.
    pub n_image_tokens: usize,
    /// Images.
    pub n_image: usize,
    /// Width that the vision encoder worked at, in pixels.
    pub image_width: usize,
    /// Height that the vision encoder worked at, in pixels.
    pub image_height: usize,
}

/// The member of `RKLLMInput` that `input_type` selects.
#[repr(C)]
#[derive(Clone, Copy)]
pub union RKLLMInputData {
    /// For `RKLLMInputType::PROMPT`.
    pub prompt_input: *const c_char,
    /// For `RKLLMInputType::EMBED`.
    pub embed_input: RKLLMEmbedInput,
    /// For `RKLLMInputType::TOKEN`.
    pub token_input: RKLLMTokenInput,
    /// For `RKLLMInputType::MULTIMODAL`.
    pub multimodal_input: RKLLMMultiModelInput,
}

/// What a run reads.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RKLLMInput {
    /// "user", "tool" or NULL.
    pub role: *const c_char,
    /// Whether the template leaves room to think; for `RKLLMInputType::PROMPT`.
    pub enable_thinking: CBool,
    /// Which member of `data` is set.
    pub input_type: RKLLMInputType,
    /// The input itself; an anonymous union in C.
    pub data: RKLLMInputData,
}

/// Encoder output for cross attention.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMCrossAttnParam {
    /// Key cache of the encoder.
    pub encoder_k_cache: *mut f32,
    /// Value cache of the encoder.
    pub encoder_v_cache: *mut f32,
    /// Attention mask.
    pub encoder_mask: *mut f32,
    /// Positions.
    pub encoder_pos: *mut i32,
    /// Tokens of the encoder output.
    pub num_tokens: c_int,
}

/// Performance of a run, set with `LLMCallState::FINISH`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RKLLMPerfStat {
    /// Time spent on the prompt, in milliseconds.
    pub prefill_time_ms: f32,
    /// Prompt tokens computed, those found in the KV cache not counted.
    pub prefill_tokens: c_int,
    /// Time spent on the answer, in milliseconds.
    pub generate_time_ms: f32,
    /// Tokens generated.
    pub generate_tokens: c_int,
    /// Peak resident memory of the process, in mebibytes.
    pub memory_usage_mb: f32,
}

/// What a callback gets, valid only during the callback.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMResult {
    /// Text of the token, or NULL.
    pub text: *const c_char,
    /// Id of the token.
    pub token_id: i32,
    /// Filled in `RKLLMInferMode::GET_LAST_HIDDEN_LAYER`.
    pub last_hidden_layer: RKLLMResultLastHiddenLayer,
    /// Filled in `RKLLMInferMode::GET_LOGITS`.
    pub logits: RKLLMResultLogits,
    /// Filled with `LLMCallState::FINISH`.
    pub perf: RKLLMPerfStat,
}

/// Gets the results of runs: result, the run's `userdata`, state. Returns 0 to go on, 1 to pause.
pub type LLMResultCallback =
    Option<unsafe extern "C" fn(*mut RKLLMResult, *mut c_void, LLMCallState) -> c_int>;

symbols! {
    /// The defaults, to be changed and given to `rkllm_init`.
    fn rkllm_createDefaultParam() -> RKLLMParam;
    /// Loads a model; 0 or -1.
    fn rkllm_init(handle: *mut LLMHandle, param: *mut RKLLMParam, callback: LLMResultCallback) -> c_int;
    /// Loads a LoRA adapter; 0 or -1.
    fn rkllm_load_lora(handle: LLMHandle, lora_adapter: *mut RKLLMLoraAdapter) -> c_int;
    /// Loads a saved KV cache; 0 or -1.
    fn rkllm_load_prompt_cache(handle: LLMHandle, prompt_cache_path: *const c_char) -> c_int;
    /// Forgets the loaded KV cache; 0 or -1.
    fn rkllm_release_prompt_cache(handle: LLMHandle) -> c_int;
    /// Unloads the model; 0 or -1.
    fn rkllm_destroy(handle: LLMHandle) -> c_int;
    /// Runs and returns at the end of the run; 0 or -1.
    fn rkllm_run(handle: LLMHandle, input: *mut RKLLMInput, infer: *mut RKLLMInferParam, userdata: *mut c_void) -> c_int;
    /// Starts a run and returns; 0 or -1.
    fn rkllm_run_async(handle: LLMHandle, input: *mut RKLLMInput, infer: *mut RKLLMInferParam, userdata: *mut c_void) -> c_int;
    /// Asks the current run to stop; 0 or -1.
    fn rkllm_abort(handle: LLMHandle) -> c_int;
    /// 0 while a run is going on, else not 0.
    fn rkllm_is_running(handle: LLMHandle) -> c_int;
    /// Empties the KV cache, but for the system prompt if asked, or ranges of it in a paused run; 0 or -1.
    fn rkllm_clear_kv_cache(handle: LLMHandle, keep_system_prompt: c_int, start_pos: *mut c_int, end_pos: *mut c_int) -> c_int;
    /// Writes the tokens in the KV cache of each of the `n_batch` rows; 0 or -1.
    fn rkllm_get_kv_cache_size(handle: LLMHandle, cache_sizes: *mut c_int) -> c_int;
    /// Replaces the model's chat template; 0 or -1.
    fn rkllm_set_chat_template(handle: LLMHandle, system_prompt: *const c_char, prompt_prefix: *const c_char, prompt_postfix: *const c_char) -> c_int;
    /// Names the functions that the model may call; 0 or -1.
    fn rkllm_set_function_tools(handle: LLMHandle, system_prompt: *const c_char, tools: *const c_char, tool_response_str: *const c_char) -> c_int;
    /// Gives the encoder output to attend to; 0 or -1.
    fn rkllm_set_cross_attn_params(handle: LLMHandle, cross_attn_params: *mut RKLLMCrossAttnParam) -> c_int;
}
