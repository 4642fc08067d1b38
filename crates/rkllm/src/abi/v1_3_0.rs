//! Runtime 1.3.0: sampling and answer length per run, video input, three callbacks at init.

use std::ffi::{c_char, c_int, c_void};

pub use super::v1_2_1::{
    CBool, LLMCallState, LLMHandle, LLMResultCallback, RKLLMCrossAttnParam, RKLLMEmbedInput,
    RKLLMExtendParam, RKLLMInferMode, RKLLMInputType, RKLLMLoraAdapter, RKLLMLoraParam,
    RKLLMPerfStat, RKLLMPromptCacheParam, RKLLMResult, RKLLMResultLastHiddenLayer,
    RKLLMResultLogits, RKLLMTokenInput,
};

/// Settings of a model, fixed by `rkllm_init`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMParam {
    /// File of the model.
    pub model_path: *const c_char,
    /// Tokens in the context, prompt and answer together.
    pub max_context_len: i32,
    /// Tokens a run may generate, if the run does not say.
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
    /// Whether generation goes on after an end token.
    pub ignore_eos_token: CBool,
    /// Whether `rkllm_run` returns at once.
    pub is_async: CBool,
    /// Settings of the board.
    pub extend_param: RKLLMExtendParam,
}

/// The images of an input; an anonymous struct in C.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMMultiModalImage {
    /// Embeddings of the images.
    pub image_embed: *mut f32,
    /// Rows of `image_embed` per image.
    pub n_image_tokens: usize,
    /// Images.
    pub n_image: usize,
    /// Text before an image.
    pub image_start: *const c_char,
    /// Text after an image.
    pub image_end: *const c_char,
    /// Text that stands for an image token.
    pub image_content: *const c_char,
    /// Width that the vision encoder worked at, in pixels.
    pub image_width: usize,
    /// Height that the vision encoder worked at, in pixels.
    pub image_height: usize,
}

/// The videos of an input; an anonymous struct in C.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMMultiModalVideo {
    /// Embeddings of the frames.
    pub video_embed: *mut f32,
    /// Rows of `video_embed` per frame.
    pub n_frame_tokens: usize,
    /// Frames per video.
    pub n_frame_per_video: usize,
    /// Videos.
    pub n_video: usize,
    /// Text before a video.
    pub video_start: *const c_char,
    /// Text after a video.
    pub video_end: *const c_char,
    /// Text that stands for a video token.
    pub video_content: *const c_char,
    /// Width that the vision encoder worked at, in pixels.
    pub frame_width: usize,
    /// Height that the vision encoder worked at, in pixels.
    pub frame_height: usize,
}

/// Input with images and videos.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMMultiModalInput {
    /// Text with one `<image>` or `<video>` tag per image or video.
    pub prompt: *mut c_char,
    /// The images.
    pub image: RKLLMMultiModalImage,
    /// The videos.
    pub video: RKLLMMultiModalVideo,
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
    pub multimodal_input: RKLLMMultiModalInput,
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

/// Sampling of a run; every field is taken as it is, there is no "unset".
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RKLLMSamplingParam {
    /// Sample among this many tokens.
    pub top_k: i32,
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
}

/// Settings of a run.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMInferParam {
    /// What to compute.
    pub mode: RKLLMInferMode,
    /// NULL for none.
    pub lora_params: *mut RKLLMLoraParam,
    /// NULL for none.
    pub prompt_cache_params: *mut RKLLMPromptCacheParam,
    /// NULL for the sampling given at init.
    pub sampling_params: *mut RKLLMSamplingParam,
    /// 1 continues the conversation in the KV cache.
    pub keep_history: c_int,
    /// 0 and below for the limit given at init.
    pub max_new_tokens: i32,
}

/// Tokenises for a model without a tokenizer: userdata, text, its length, ids to fill, room for ids. Returns the number of ids.
pub type LLMTokenizerCallback =
    Option<unsafe extern "C" fn(*mut c_void, *const c_char, i32, *mut i32, i32) -> c_int>;

/// Embeds for a model without an embedding table: userdata, ids, number of ids, buffer to fill, its length.
pub type LLMGetEmbedCallback =
    Option<unsafe extern "C" fn(*mut c_void, *mut i32, u64, *mut c_void, u64) -> c_int>;

/// The callbacks given to `rkllm_init`, each with its own userdata.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RKLLMCallback {
    /// Gets the results of runs. Returns 0 to go on, 1 to pause, 2 to release the output buffer.
    pub result_callback: LLMResultCallback,
    /// Userdata of runs that were started with NULL.
    pub result_userdata: *mut c_void,
    /// NULL if the model has a tokenizer.
    pub tokenizer_callback: LLMTokenizerCallback,
    /// Userdata of `tokenizer_callback`.
    pub tokenizer_userdata: *mut c_void,
    /// NULL if the model has an embedding table.
    pub embed_callback: LLMGetEmbedCallback,
    /// Userdata of `embed_callback`.
    pub embed_userdata: *mut c_void,
}

symbols! {
    /// The defaults, to be changed and given to `rkllm_init`.
    fn rkllm_createDefaultParam() -> RKLLMParam;
    /// Loads a model; 0 or -1.
    fn rkllm_init(handle: *mut LLMHandle, param: *mut RKLLMParam, callback: *mut RKLLMCallback) -> c_int;
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
    /// 1 while a run is going on, else 0: the reverse of the earlier generations.
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
