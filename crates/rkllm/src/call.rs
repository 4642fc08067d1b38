//! `rkllm_run` for each generation: the C forms of an input and of a run's settings.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt,
    ptr,
};

use crate::{
    abi::{
        LLMHandle, RKLLMEmbedInput, RKLLMInferMode, RKLLMInputType, RKLLMLoraParam,
        RKLLMPromptCacheParam, RKLLMTokenInput, SymbolTable, v1_2_0, v1_2_1, v1_3_0,
    },
    init::Kept,
    input::{Images, Input, InputError, MultiModal, Role, Turn, Videos},
    run::{Mode, RunOptions},
};

/// A struct followed by zeros, so that a library that believes it larger reads zeros and not foreign memory.
#[repr(C, align(16))]
struct Padded<T> {
    value: T,
    tail: [u8; 256],
}

/// # Safety
/// All zeros must be a value of the type.
unsafe trait Zero {}
// SAFETY: NULL pointers, false and zeros, in the union too.
unsafe impl Zero for v1_2_0::RKLLMInput {}
// SAFETY: as above.
unsafe impl Zero for v1_2_1::RKLLMInput {}
// SAFETY: as above.
unsafe impl Zero for v1_3_0::RKLLMInput {}
// SAFETY: NULL pointers and zeros.
unsafe impl Zero for v1_2_1::RKLLMInferParam {}
// SAFETY: as above.
unsafe impl Zero for v1_3_0::RKLLMInferParam {}

impl<T: Zero> Padded<T> {
    fn zeroed() -> Self {
        // SAFETY: `T` is `Zero`, and so is an array of bytes.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }
}

/// Copies of what one run reads. C takes most of it by mutable pointer, so it must not be the caller's memory.
pub(crate) struct Prepared<'a> {
    input_type: RKLLMInputType,
    turn: Option<Turn>,
    prompt: Vec<u8>,
    ids: Vec<i32>,
    embed: Vec<f32>,
    n_tokens: usize,
    images: Option<Images<'a>>,
    videos: Option<Videos<'a>>,
    video_embed: Vec<f32>,
    mode: RKLLMInferMode,
    keep_history: c_int,
    max_new_tokens: i32,
    sampling: Option<v1_3_0::RKLLMSamplingParam>,
    lora: Option<CString>,
    prompt_cache: Option<CString>,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(input: Input<'a>, options: &RunOptions<'_>) -> Result<Self, InputError> {
        let c_string = |bytes: &[u8], what| CString::new(bytes).map_err(|_| InputError::Nul(what));
        let mut prepared = Self {
            input_type: RKLLMInputType::TOKEN,
            turn: None,
            prompt: Vec::new(),
            ids: Vec::new(),
            embed: Vec::new(),
            n_tokens: 0,
            images: None,
            videos: None,
            video_embed: Vec::new(),
            mode: match options.mode {
                Mode::Generate => RKLLMInferMode::GENERATE,
                Mode::LastHiddenLayer => RKLLMInferMode::GET_LAST_HIDDEN_LAYER,
                Mode::Logits => RKLLMInferMode::GET_LOGITS,
            },
            keep_history: options.keep_history.into(),
            max_new_tokens: options
                .max_new_tokens
                .map_or(0, |limit| i32::try_from(limit.get()).unwrap_or(i32::MAX)),
            sampling: options.sampling.map(Into::into),
            lora: options
                .lora
                .map(|name| c_string(name.as_bytes(), "the name of a LoRA adapter"))
                .transpose()?,
            prompt_cache: options
                .save_prompt_cache
                .map(|path| c_string(path.as_os_str().as_bytes(), "the path of a prompt cache"))
                .transpose()?,
        };
        let text =
            |text: &str| c_string(text.as_bytes(), "a prompt").map(CString::into_bytes_with_nul);
        match input {
            Input::Prompt { text: prompt, turn } => {
                prepared.input_type = RKLLMInputType::PROMPT;
                prepared.turn = Some(turn);
                prepared.prompt = text(prompt)?;
            }
            Input::Tokens(ids) => prepared.ids = ids.to_vec(),
            Input::Embed { values, n_tokens } => {
                prepared.input_type = RKLLMInputType::EMBED;
                prepared.embed = values.to_vec();
                prepared.n_tokens = n_tokens;
            }
            Input::MultiModal(MultiModal {
                prompt,
                turn,
                images,
                videos,
            }) => {
                prepared.input_type = RKLLMInputType::MULTIMODAL;
                prepared.turn = Some(turn);
                prepared.prompt = text(prompt)?;
                prepared.embed = images.map_or(Vec::new(), |images| images.embed.to_vec());
                prepared.video_embed = videos.map_or(Vec::new(), |videos| videos.embed.to_vec());
                prepared.images = images;
                prepared.videos = videos;
            }
        }
        Ok(prepared)
    }

    /// Calls `rkllm_run`, which returns at the end of the run.
    ///
    /// # Safety
    /// `handle` must be of `symbols`, alive and without a run; `userdata` must be what the callback given to
    /// `rkllm_init` expects, and live until the return.
    pub(crate) unsafe fn run(
        &mut self,
        symbols: &SymbolTable,
        handle: LLMHandle,
        kept: &Kept,
        userdata: *mut c_void,
    ) -> c_int {
        let mut lora = RKLLMLoraParam {
            lora_adapter_name: pointer(self.lora.as_ref()),
        };
        let mut cache = RKLLMPromptCacheParam {
            save_prompt_cache: 1,
            prompt_cache_path: pointer(self.prompt_cache.as_ref()),
        };
        let lora = if self.lora.is_some() {
            &raw mut lora
        } else {
            ptr::null_mut()
        };
        let cache = if self.prompt_cache.is_some() {
            &raw mut cache
        } else {
            ptr::null_mut()
        };
        match symbols {
            SymbolTable::V1_2_0(symbols) => {
                let mut input = self.input_1_2_0();
                let mut infer = self.infer_1_2(lora, cache);
                // SAFETY: the caller vouches for handle and userdata; all else outlives the call.
                unsafe {
                    (symbols.rkllm_run)(
                        handle,
                        (&raw mut input).cast(),
                        (&raw mut infer).cast(),
                        userdata,
                    )
                }
            }
            SymbolTable::V1_2_1(symbols) => {
                let mut input = self.input_1_2_1();
                let mut infer = self.infer_1_2(lora, cache);
                // SAFETY: as above.
                unsafe {
                    (symbols.rkllm_run)(
                        handle,
                        (&raw mut input).cast(),
                        (&raw mut infer).cast(),
                        userdata,
                    )
                }
            }
            SymbolTable::V1_3_0(symbols) => {
                let mut input = self.input_1_3_0(kept);
                let mut infer = self.infer_1_3(lora, cache);
                // SAFETY: as above.
                unsafe {
                    (symbols.rkllm_run)(
                        handle,
                        (&raw mut input).cast(),
                        (&raw mut infer).cast(),
                        userdata,
                    )
                }
            }
        }
    }

    /// The library may refer to a role after the run, so it must be static. Ids and embeddings have none.
    fn role(&self) -> *const c_char {
        match self.turn.map(|turn| turn.role) {
            Some(Role::User) => c"user".as_ptr(),
            Some(Role::Tool) => c"tool".as_ptr(),
            None => ptr::null(),
        }
    }

    fn enable_thinking(&self) -> bool {
        self.turn
            .and_then(|turn| turn.enable_thinking)
            .unwrap_or(false)
    }

    fn token_input(&mut self) -> RKLLMTokenInput {
        RKLLMTokenInput {
            input_ids: self.ids.as_mut_ptr(),
            n_tokens: self.ids.len(),
        }
    }

    fn embed_input(&mut self) -> RKLLMEmbedInput {
        RKLLMEmbedInput {
            embed: self.embed.as_mut_ptr(),
            n_tokens: self.n_tokens,
        }
    }

    fn input_1_2_0(&mut self) -> Padded<v1_2_0::RKLLMInput> {
        let mut input = Padded::<v1_2_0::RKLLMInput>::zeroed();
        input.value.input_type = self.input_type;
        match self.input_type {
            RKLLMInputType::PROMPT => input.value.data.prompt_input = self.prompt.as_ptr().cast(),
            RKLLMInputType::EMBED => input.value.data.embed_input = self.embed_input(),
            RKLLMInputType::MULTIMODAL => {
                input.value.data.multimodal_input = v1_2_0::RKLLMMultiModelInput {
                    prompt: self.prompt.as_mut_ptr().cast(),
                    image_embed: self.embed.as_mut_ptr(),
                    n_image_tokens: self.images.map_or(0, |images| images.n_image_tokens),
                }
            }
            _ => input.value.data.token_input = self.token_input(),
        }
        input
    }

    fn input_1_2_1(&mut self) -> Padded<v1_2_1::RKLLMInput> {
        let mut input = Padded::<v1_2_1::RKLLMInput>::zeroed();
        input.value.role = self.role();
        input.value.enable_thinking = self.enable_thinking().into();
        input.value.input_type = self.input_type;
        match self.input_type {
            RKLLMInputType::PROMPT => input.value.data.prompt_input = self.prompt.as_ptr().cast(),
            RKLLMInputType::EMBED => input.value.data.embed_input = self.embed_input(),
            RKLLMInputType::MULTIMODAL => {
                input.value.data.multimodal_input = v1_2_1::RKLLMMultiModelInput {
                    prompt: self.prompt.as_mut_ptr().cast(),
                    image_embed: self.embed.as_mut_ptr(),
                    n_image_tokens: self.images.map_or(0, |images| images.n_image_tokens),
                    n_image: self.images.map_or(0, |images| images.n_image),
                    image_width: self.images.map_or(0, |images| images.width),
                    image_height: self.images.map_or(0, |images| images.height),
                }
            }
            _ => input.value.data.token_input = self.token_input(),
        }
        input
    }

    fn input_1_3_0(&mut self, kept: &Kept) -> Padded<v1_3_0::RKLLMInput> {
        let mut input = Padded::<v1_3_0::RKLLMInput>::zeroed();
        input.value.role = self.role();
        input.value.enable_thinking = self.enable_thinking().into();
        input.value.input_type = self.input_type;
        match self.input_type {
            RKLLMInputType::PROMPT => input.value.data.prompt_input = self.prompt.as_ptr().cast(),
            RKLLMInputType::EMBED => input.value.data.embed_input = self.embed_input(),
            RKLLMInputType::MULTIMODAL => {
                input.value.data.multimodal_input = self.multimodal_1_3_0(kept)
            }
            _ => input.value.data.token_input = self.token_input(),
        }
        input
    }

    fn multimodal_1_3_0(&mut self, kept: &Kept) -> v1_3_0::RKLLMMultiModalInput {
        let embed = |values: &mut Vec<f32>| {
            if values.is_empty() {
                ptr::null_mut()
            } else {
                values.as_mut_ptr()
            }
        };
        v1_3_0::RKLLMMultiModalInput {
            prompt: self.prompt.as_mut_ptr().cast(),
            image: v1_3_0::RKLLMMultiModalImage {
                image_embed: embed(&mut self.embed),
                n_image_tokens: self.images.map_or(0, |images| images.n_image_tokens),
                n_image: self.images.map_or(0, |images| images.n_image),
                image_start: kept.image_start.as_ptr(),
                image_end: kept.image_end.as_ptr(),
                image_content: kept.image_content.as_ptr(),
                image_width: self.images.map_or(0, |images| images.width),
                image_height: self.images.map_or(0, |images| images.height),
            },
            video: v1_3_0::RKLLMMultiModalVideo {
                video_embed: embed(&mut self.video_embed),
                n_frame_tokens: self.videos.map_or(0, |videos| videos.n_frame_tokens),
                n_frame_per_video: self.videos.map_or(0, |videos| videos.n_frame_per_video),
                n_video: self.videos.map_or(0, |videos| videos.n_video),
                video_start: kept.image_start.as_ptr(),
                video_end: kept.image_end.as_ptr(),
                video_content: kept.image_content.as_ptr(),
                frame_width: self.videos.map_or(0, |videos| videos.width),
                frame_height: self.videos.map_or(0, |videos| videos.height),
            },
        }
    }

    fn infer_1_2(
        &self,
        lora: *mut RKLLMLoraParam,
        cache: *mut RKLLMPromptCacheParam,
    ) -> Padded<v1_2_1::RKLLMInferParam> {
        let mut infer = Padded::<v1_2_1::RKLLMInferParam>::zeroed();
        infer.value.mode = self.mode;
        infer.value.lora_params = lora;
        infer.value.prompt_cache_params = cache;
        infer.value.keep_history = self.keep_history;
        infer
    }

    fn infer_1_3(
        &mut self,
        lora: *mut RKLLMLoraParam,
        cache: *mut RKLLMPromptCacheParam,
    ) -> Padded<v1_3_0::RKLLMInferParam> {
        let mut infer = Padded::<v1_3_0::RKLLMInferParam>::zeroed();
        infer.value.mode = self.mode;
        infer.value.lora_params = lora;
        infer.value.prompt_cache_params = cache;
        infer.value.sampling_params = self
            .sampling
            .as_mut()
            .map_or(ptr::null_mut(), ptr::from_mut);
        infer.value.keep_history = self.keep_history;
        infer.value.max_new_tokens = self.max_new_tokens;
        infer
    }
}

fn pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(ptr::null(), |text| text.as_ptr())
}
