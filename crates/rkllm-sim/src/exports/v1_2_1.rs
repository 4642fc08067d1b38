//! Runtimes 1.2.1 to 1.2.3.

use std::ffi::{c_int, c_void};

use rkllm::abi::{
    Abi,
    v1_2_1::{
        CBool, LLMHandle, LLMResultCallback, RKLLMExtendParam, RKLLMInferParam, RKLLMInput,
        RKLLMInputType, RKLLMParam,
    },
};

use super::{
    Callback, Handle, clear, fields, inputs, open, text, v1_2_0::infer_1_2, value, values,
};
use crate::{
    crash,
    input::{Frames, Input, Media},
    template::Role,
};

/// The defaults of the real library.
pub extern "C" fn create_default_param() -> RKLLMParam {
    let none = c"".as_ptr();
    fields::default_param!(
        { img_start: none, img_end: none, img_content: none },
        { n_batch: 1, use_cross_attn: 0, reserved: [0; 104] }
    )
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn init(
    handle: *mut LLMHandle,
    param: *mut RKLLMParam,
    callback: LLMResultCallback,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(param) = (unsafe { value(param) }) else {
        return -1;
    };
    let Some(callback) = callback.filter(|_| !handle.is_null()) else {
        return -1;
    };
    let callback = Callback::V1_2_1(callback, std::ptr::null_mut());
    // The real library makes C++ strings of these without a look.
    if [param.img_start, param.img_end, param.img_content]
        .iter()
        .any(|text| text.is_null())
    {
        crash::segfault();
    }
    let [start, end] = [param.img_start, param.img_end].map(|mark| {
        // SAFETY: as the caller vouches.
        unsafe { text(mark) }.unwrap_or_default()
    });
    // SAFETY: as the caller vouches.
    let Some(path) = (unsafe { text(param.model_path) }) else {
        return -1;
    };
    let n_batch = param.extend_param.n_batch;
    let settings = fields::settings!(param, path, ignore_eos_token: false, n_batch: n_batch);
    // SAFETY: `handle` is not NULL and, as the caller vouches, a place for a handle.
    unsafe { super::init(Abi::V1_2_1, handle, settings, callback, (start, end)) }
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
    let infer = unsafe { value(infer) }.map(infer_1_2);
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
    let infer = unsafe { value(infer) }.map(infer_1_2);
    // SAFETY: as the caller vouches.
    unsafe { super::run(handle, input, infer, userdata, true, read) }
}

/// # Safety
/// The member of the union that `input_type` names is set and valid.
unsafe fn read(handle: &Handle, input: &RKLLMInput) -> Option<Input> {
    // SAFETY: as the caller vouches.
    let role = match unsafe { text(input.role) }.as_deref() {
        Some("tool") => Role::Tool,
        _ => Role::User,
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
            let rows = multimodal.n_image.saturating_mul(multimodal.n_image_tokens);
            // SAFETY: as the caller vouches.
            let embedding = unsafe { inputs::rows(handle, multimodal.image_embed, rows) };
            let images = Frames {
                width: multimodal.image_width,
                height: multimodal.image_height,
                ..inputs::marked(
                    handle,
                    embedding,
                    multimodal.n_image_tokens,
                    multimodal.n_image,
                )
            };
            let media = Media {
                images,
                ..Media::default()
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

/// # Safety
/// As the C header says: the positions are NULL or have one entry per row of a batch.
pub unsafe extern "C" fn clear_kv_cache(
    handle: LLMHandle,
    keep_system_prompt: c_int,
    start: *mut c_int,
    end: *mut c_int,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    let rows = handle.session.settings.n_batch.into();
    // SAFETY: as the caller vouches.
    let starts = unsafe { values(start, rows) };
    // SAFETY: as the caller vouches.
    let ends = unsafe { values(end, rows) };
    let position = |at: c_int| usize::try_from(at).unwrap_or(0);
    let ranges: Vec<_> = starts
        .into_iter()
        .zip(ends)
        .map(|(start, end)| (position(start), position(end)))
        .collect();
    clear(
        &handle.session,
        keep_system_prompt,
        (!ranges.is_empty()).then_some(&ranges),
    )
}
