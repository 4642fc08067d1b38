//! Runtimes 1.2.1 to 1.2.3.

use std::ffi::{c_int, c_void};

use rkllm::abi::{
    Abi,
    v1_2_1::{
        CBool, LLMHandle, LLMResultCallback, RKLLMExtendParam, RKLLMInferParam, RKLLMInput,
        RKLLMInputType, RKLLMParam,
    },
};

use super::{Callback, Handle, clear, open, request, start, text, value, values};
use crate::{
    Sampling, crash,
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
        is_async: CBool(0),
        img_start: c"".as_ptr(),
        img_end: c"".as_ptr(),
        img_content: c"".as_ptr(),
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
    callback: LLMResultCallback,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(param) = (unsafe { value(param) }) else {
        return -1;
    };
    let Some(callback) = callback else { return -1 };
    let callback = Callback::V1_2_1(callback, std::ptr::null_mut());
    if handle.is_null() {
        return -1;
    }
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
    let Some(settings) = (unsafe { given(&param) }) else {
        return -1;
    };
    // SAFETY: `handle` is not NULL and, as the caller vouches, a place for a handle.
    unsafe { super::init(Abi::V1_2_1, handle, settings, callback, (start, end)) }
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
        ignore_eos_token: false,
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
    let request = request
        .zip(inputs)
        .map(|(request, inputs)| Request { inputs, ..request });
    start(handle, request, userdata, detached)
}

/// # Safety
/// The member of the union that `input_type` names is set and valid.
unsafe fn read(handle: &Handle, input: &RKLLMInput) -> Option<Input> {
    let embd_size = handle.session.model.header.embd_size;
    // SAFETY: as the caller vouches.
    let role = match unsafe { text(input.role) }.as_deref() {
        Some("tool") => Role::Tool,
        _ => Role::User,
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
            let (start, end) = handle.image_marks.clone();
            let rows = multimodal.n_image * multimodal.n_image_tokens;
            let images = Frames {
                // SAFETY: as the caller vouches.
                embedding: unsafe { values(multimodal.image_embed, rows * embd_size) },
                tokens: multimodal.n_image_tokens,
                count: multimodal.n_image,
                start,
                end,
                width: multimodal.image_width,
                height: multimodal.image_height,
            };
            let media = Box::new(Media {
                images,
                ..Media::default()
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
