//! Runtime 1.2.0.

use std::ffi::{c_int, c_void};

use rkllm::abi::{
    Abi,
    v1_2_0::{
        CBool, LLMHandle, LLMResultCallback, RKLLMExtendParam, RKLLMInferParam, RKLLMInput,
        RKLLMInputType, RKLLMParam,
    },
};

use super::{Callback, Handle, Infer, clear, fields, inputs, open, text, value};
use crate::{
    input::{Input, Media},
    template::Role,
};

/// The defaults of the real library.
pub extern "C" fn create_default_param() -> RKLLMParam {
    let none = c"".as_ptr();
    fields::default_param!({ img_start: none, img_end: none, img_content: none }, { reserved: [0; 106] })
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
    let callback = Callback::V1_2_0(callback);
    let [start, end] = [param.img_start, param.img_end].map(|mark| {
        // SAFETY: as the caller vouches.
        unsafe { text(mark) }.unwrap_or_default()
    });
    // SAFETY: as the caller vouches.
    let Some(path) = (unsafe { text(param.model_path) }) else {
        return -1;
    };
    let settings = fields::settings!(param, path, ignore_eos_token: false, n_batch: 1);
    // SAFETY: `handle` is not NULL and, as the caller vouches, a place for a handle.
    unsafe { super::init(Abi::V1_2_0, handle, settings, callback, (start, end)) }
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

/// The settings of a run as all runtimes before 1.3.0 have them.
pub(super) fn infer_1_2(infer: RKLLMInferParam) -> Infer {
    Infer {
        mode: infer.mode,
        lora: infer.lora_params,
        cache: infer.prompt_cache_params,
        keep_history: infer.keep_history,
        sampling: None,
        max_new_tokens: 0,
    }
}

/// # Safety
/// The member of the union that `input_type` names is set and valid.
unsafe fn read(handle: &Handle, input: &RKLLMInput) -> Option<Input> {
    let (role, enable_thinking) = (Role::User, true);
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
            // SAFETY: as the caller vouches.
            let embedding =
                unsafe { inputs::rows(handle, multimodal.image_embed, multimodal.n_image_tokens) };
            let images = inputs::marked(handle, embedding, multimodal.n_image_tokens, 1);
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
/// As the C header says.
pub unsafe extern "C" fn clear_kv_cache(handle: LLMHandle, keep_system_prompt: c_int) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    clear(&handle.session, keep_system_prompt, None)
}
