//! Runtime 1.3.0.

use std::ffi::{c_int, c_void};

use rkllm::abi::{
    Abi,
    v1_3_0::{
        CBool, LLMHandle, RKLLMCallback, RKLLMExtendParam, RKLLMInferParam, RKLLMInput,
        RKLLMInputType, RKLLMParam, RKLLMSamplingParam,
    },
};

pub use super::v1_2_1::clear_kv_cache;
use super::{Callback, Handle, open, request, start, text, value, values};
use crate::{
    Sampling,
    input::{Frames, Input, Media},
    run::Request,
    settings::{self, Settings},
    template::Role,
};

/// The defaults of the real library.
pub extern "C" fn create_default_param() -> RKLLMParam {
    let sampling = Sampling::default();
    RKLLMParam {
        model_path: std::ptr::null(),
        max_context_len: settings::DEFAULT_CONTEXT,
        max_new_tokens: settings::DEFAULT_ANSWER,
        top_k: sampling.top_k,
        n_keep: -1,
        top_p: sampling.top_p,
        temperature: sampling.temperature,
        repeat_penalty: sampling.repeat_penalty,
        frequency_penalty: sampling.frequency_penalty,
        presence_penalty: sampling.presence_penalty,
        mirostat: sampling.mirostat,
        mirostat_tau: sampling.mirostat_tau,
        mirostat_eta: sampling.mirostat_eta,
        skip_special_token: CBool(0),
        ignore_eos_token: CBool(0),
        is_async: CBool(0),
        extend_param: RKLLMExtendParam {
            base_domain_id: 0,
            embed_flash: 0,
            enabled_cpus_num: 4,
            enabled_cpus_mask: 0xF0,
            n_batch: 1,
            use_cross_attn: 0,
            reserved: [0; 104],
        },
    }
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn init(
    handle: *mut LLMHandle,
    param: *mut RKLLMParam,
    callback: *mut RKLLMCallback,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(param) = (unsafe { value(param) }) else {
        return -1;
    };
    // SAFETY: as the caller vouches.
    let Some(callbacks) = (unsafe { value(callback) }) else {
        return -1;
    };
    let Some(callback) = callbacks.result_callback else {
        return -1;
    };
    let callback = Callback::V1_2_1(callback, callbacks.result_userdata);
    if handle.is_null() {
        return -1;
    }
    // SAFETY: as the caller vouches.
    let Some(settings) = (unsafe { given(&param) }) else {
        return -1;
    };
    // SAFETY: `handle` is not NULL and, as the caller vouches, a place for a handle.
    unsafe {
        super::init(
            Abi::V1_3_0,
            handle,
            settings,
            callback,
            (String::new(), String::new()),
        )
    }
}

/// # Safety
/// The model's path is NULL or valid.
unsafe fn given(param: &RKLLMParam) -> Option<Settings> {
    // SAFETY: as the caller vouches.
    let model_path = unsafe { text(param.model_path) }?;
    Some(Settings {
        model_path: model_path.into(),
        max_context_len: param.max_context_len,
        max_new_tokens: param.max_new_tokens,
        n_keep: param.n_keep,
        sampling: Sampling {
            top_k: param.top_k,
            top_p: param.top_p,
            temperature: param.temperature,
            repeat_penalty: param.repeat_penalty,
            frequency_penalty: param.frequency_penalty,
            presence_penalty: param.presence_penalty,
            mirostat: param.mirostat,
            mirostat_tau: param.mirostat_tau,
            mirostat_eta: param.mirostat_eta,
        },
        skip_special_token: param.skip_special_token.is_true(),
        ignore_eos_token: param.ignore_eos_token.is_true(),
        is_async: param.is_async.is_true(),
        base_domain_id: param.extend_param.base_domain_id,
        enabled_cpus_num: param.extend_param.enabled_cpus_num,
        enabled_cpus_mask: param.extend_param.enabled_cpus_mask,
        n_batch: param.extend_param.n_batch,
    })
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn run(
    handle: LLMHandle,
    input: *mut RKLLMInput,
    infer: *mut RKLLMInferParam,
    userdata: *mut c_void,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    // SAFETY: as the caller vouches.
    unsafe {
        begin(
            handle,
            input,
            infer,
            userdata,
            handle.session.settings.is_async,
        )
    }
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn run_async(
    handle: LLMHandle,
    input: *mut RKLLMInput,
    infer: *mut RKLLMInferParam,
    userdata: *mut c_void,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    // SAFETY: as the caller vouches.
    unsafe { begin(handle, input, infer, userdata, true) }
}

/// # Safety
/// As for `run`.
unsafe fn begin(
    handle: &Handle,
    input: *const RKLLMInput,
    infer: *const RKLLMInferParam,
    userdata: *mut c_void,
    detached: bool,
) -> c_int {
    if input.is_null() {
        handle.session.console.debug("rkllm_input is NULL");
        return -1;
    }
    // SAFETY: as the caller vouches.
    let Some(infer) = (unsafe { value(infer) }) else {
        handle.session.console.debug("rkllm_infer_params is NULL");
        return -1;
    };
    // SAFETY: as the caller vouches; the input has one entry per row of a batch.
    let inputs = unsafe { values(input, handle.session.settings.n_batch.into()) };
    // SAFETY: as the caller vouches.
    let request = unsafe {
        request(
            infer.mode.0,
            infer.lora_params,
            infer.prompt_cache_params,
            infer.keep_history,
        )
    };
    let inputs: Option<Vec<Input>> = inputs
        .iter()
        .map(|input| {
            // SAFETY: as the caller vouches.
            unsafe { read(handle, input) }
        })
        .collect();
    // SAFETY: as the caller vouches.
    let sampling = unsafe { value(infer.sampling_params) }.map(sampling);
    let max_new_tokens = infer.max_new_tokens;
    let request = request.zip(inputs).map(|(request, inputs)| Request {
        inputs,
        sampling,
        max_new_tokens,
        ..request
    });
    start(handle, request, userdata, detached)
}

fn sampling(param: RKLLMSamplingParam) -> Sampling {
    Sampling {
        top_k: param.top_k,
        top_p: param.top_p,
        temperature: param.temperature,
        repeat_penalty: param.repeat_penalty,
        frequency_penalty: param.frequency_penalty,
        presence_penalty: param.presence_penalty,
        mirostat: param.mirostat,
        mirostat_tau: param.mirostat_tau,
        mirostat_eta: param.mirostat_eta,
    }
}

/// # Safety
/// The member of the union that `input_type` names is set and valid.
unsafe fn read(handle: &Handle, input: &RKLLMInput) -> Option<Input> {
    let embd_size = handle.session.model.header.embd_size;
    // SAFETY: as the caller vouches.
    let role = match unsafe { text(input.role) }.as_deref() {
        None => Role::Unset,
        Some("tool") => Role::Tool,
        Some("assistant") => Role::Assistant,
        Some(_) => Role::User,
    };
    let enable_thinking = input.enable_thinking.is_true();
    match input.input_type {
        RKLLMInputType::PROMPT => {
            // SAFETY: the type says that this member is set.
            let prompt = unsafe { input.data.prompt_input };
            // SAFETY: as the caller vouches.
            let text = unsafe { text(prompt) }?;
            Some(Input::Prompt {
                text,
                role,
                enable_thinking,
            })
        }
        RKLLMInputType::TOKEN => {
            // SAFETY: the type says that this member is set.
            let tokens = unsafe { input.data.token_input };
            // SAFETY: as the caller vouches.
            let ids = unsafe { values(tokens.input_ids, tokens.n_tokens) };
            (!ids.is_empty()).then_some(Input::Tokens(ids))
        }
        RKLLMInputType::EMBED => {
            // SAFETY: the type says that this member is set.
            let rows = unsafe { input.data.embed_input };
            // SAFETY: as the caller vouches.
            let numbers = unsafe { values(rows.embed, rows.n_tokens * embd_size) };
            (!numbers.is_empty()).then_some(Input::Embedding(numbers))
        }
        RKLLMInputType::MULTIMODAL => {
            // SAFETY: the type says that this member is set.
            let multimodal = unsafe { input.data.multimodal_input };
            // SAFETY: as the caller vouches.
            let text = unsafe { text(multimodal.prompt) }?;
            let (image, video) = (multimodal.image, multimodal.video);
            let [image_start, image_end, video_start, video_end] = [
                image.image_start,
                image.image_end,
                video.video_start,
                video.video_end,
            ]
            .map(|mark| {
                // SAFETY: as the caller vouches.
                unsafe { super::text(mark) }.unwrap_or_default()
            });
            let images = Frames {
                // SAFETY: as the caller vouches.
                embedding: unsafe {
                    values(
                        image.image_embed,
                        image.n_image * image.n_image_tokens * embd_size,
                    )
                },
                tokens: image.n_image_tokens,
                count: image.n_image,
                start: image_start,
                end: image_end,
                width: image.image_width,
                height: image.image_height,
            };
            let tokens = video.n_frame_tokens * video.n_frame_per_video;
            let videos = Frames {
                // SAFETY: as the caller vouches.
                embedding: unsafe { values(video.video_embed, video.n_video * tokens * embd_size) },
                tokens,
                count: video.n_video,
                start: video_start,
                end: video_end,
                width: video.frame_width,
                height: video.frame_height,
            };
            let media = Box::new(Media {
                images,
                videos,
                knows_video: true,
            });
            Some(Input::Multimodal {
                text,
                role,
                enable_thinking,
                media,
            })
        }
        _ => None,
    }
}
