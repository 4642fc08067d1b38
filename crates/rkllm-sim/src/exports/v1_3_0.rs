//! Runtime 1.3.0.

use std::ffi::{c_char, c_int, c_void};

use rkllm::abi::{
    Abi,
    v1_3_0::{
        CBool, LLMHandle, RKLLMCallback, RKLLMExtendParam, RKLLMInferParam, RKLLMInput,
        RKLLMInputType, RKLLMParam,
    },
};

use super::{Callback, Handle, Infer, fields, inputs, text, value};
use crate::{
    input::{Frames, Input, Media},
    template::Role,
};

/// The defaults of the real library.
pub extern "C" fn create_default_param() -> RKLLMParam {
    fields::default_param!(
        { ignore_eos_token: CBool(0) },
        { n_batch: 1, use_cross_attn: 0, reserved: [0; 104] }
    )
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
    let Some(callback) = callbacks.result_callback.filter(|_| !handle.is_null()) else {
        return -1;
    };
    let callback = Callback::V1_2_1(callback, callbacks.result_userdata);
    // SAFETY: as the caller vouches.
    let Some(path) = (unsafe { text(param.model_path) }) else {
        return -1;
    };
    let (ignore, n_batch) = (param.ignore_eos_token.is_true(), param.extend_param.n_batch);
    let settings = fields::settings!(param, path, ignore_eos_token: ignore, n_batch: n_batch);
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
/// As the C header says.
pub unsafe extern "C" fn run(
    handle: LLMHandle,
    input: *mut RKLLMInput,
    infer: *mut RKLLMInferParam,
    userdata: *mut c_void,
) -> c_int {
    // SAFETY: as the caller vouches.
    let infer = unsafe { value(infer) }.map(|infer| {
        // SAFETY: as the caller vouches.
        unsafe { settings_of(infer) }
    });
    // SAFETY: as the caller vouches.
    unsafe { super::run(handle, input, infer, userdata, false, read) }
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
    let infer = unsafe { value(infer) }.map(|infer| {
        // SAFETY: as the caller vouches.
        unsafe { settings_of(infer) }
    });
    // SAFETY: as the caller vouches.
    unsafe { super::run(handle, input, infer, userdata, true, read) }
}

/// # Safety
/// The sampling values are NULL or valid.
unsafe fn settings_of(infer: RKLLMInferParam) -> Infer {
    // SAFETY: as the caller vouches.
    let sampling = unsafe { value(infer.sampling_params) };
    Infer {
        mode: infer.mode,
        lora: infer.lora_params,
        cache: infer.prompt_cache_params,
        keep_history: infer.keep_history,
        sampling: sampling.map(|values| fields::sampling!(values)),
        max_new_tokens: infer.max_new_tokens,
    }
}

/// # Safety
/// The member of the union that `input_type` names is set and valid.
unsafe fn read(handle: &Handle, input: &RKLLMInput) -> Option<Input> {
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
            let text = unsafe { input.data.prompt_input };
            // SAFETY: as the caller vouches.
            unsafe { inputs::prompt(text, role, enable_thinking) }
        }
        RKLLMInputType::TOKEN => {
            // SAFETY: the type says that this member is set.
            let ids = unsafe { input.data.token_input };
            // SAFETY: as the caller vouches.
            unsafe { inputs::tokens(ids) }
        }
        RKLLMInputType::EMBED => {
            // SAFETY: the type says that this member is set.
            let rows = unsafe { input.data.embed_input };
            // SAFETY: as the caller vouches.
            unsafe { inputs::embedding(handle, rows) }
        }
        RKLLMInputType::MULTIMODAL => {
            // SAFETY: the type says that this member is set.
            let multimodal = unsafe { input.data.multimodal_input };
            // SAFETY: as the caller vouches.
            let text = unsafe { text(multimodal.prompt) }?;
            let (image, video) = (multimodal.image, multimodal.video);
            let rows = image.n_image.saturating_mul(image.n_image_tokens);
            let images = Frames {
                // SAFETY: as the caller vouches.
                embedding: unsafe { inputs::rows(handle, image.image_embed, rows) },
                tokens: image.n_image_tokens,
                count: image.n_image,
                // SAFETY: as the caller vouches.
                start: unsafe { mark(image.image_start) },
                // SAFETY: as the caller vouches.
                end: unsafe { mark(image.image_end) },
                width: image.image_width,
                height: image.image_height,
            };
            let tokens = video.n_frame_tokens.saturating_mul(video.n_frame_per_video);
            let videos = Frames {
                // SAFETY: as the caller vouches.
                embedding: unsafe {
                    inputs::rows(
                        handle,
                        video.video_embed,
                        video.n_video.saturating_mul(tokens),
                    )
                },
                tokens,
                count: video.n_video,
                // SAFETY: as the caller vouches.
                start: unsafe { mark(video.video_start) },
                // SAFETY: as the caller vouches.
                end: unsafe { mark(video.video_end) },
                width: video.frame_width,
                height: video.frame_height,
            };
            let media = Media {
                images,
                videos,
                knows_video: true,
            };
            Some(Input::Multimodal {
                text,
                role,
                enable_thinking,
                media: Box::new(media),
            })
        }
        _ => None,
    }
}

/// The text beside a picture; NULL is none.
///
/// # Safety
/// The text is NULL or valid.
unsafe fn mark(mark: *const c_char) -> String {
    // SAFETY: as the caller vouches.
    unsafe { text(mark) }.unwrap_or_default()
}
