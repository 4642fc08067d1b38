//! Functions with one signature in all generations.

use std::{
    ffi::{c_char, c_int},
    sync::atomic::Ordering,
};

use rkllm::abi::{Abi, LLMHandle, RKLLMLoraAdapter, v1_2_1::RKLLMCrossAttnParam};

use super::{Handle, adapter, open, status, text, tools, value};

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn load_lora(handle: LLMHandle, lora: *mut RKLLMLoraAdapter) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    // SAFETY: as the caller vouches.
    let Some(lora) = (unsafe { value(lora) }) else {
        return -1;
    };
    // SAFETY: as the caller vouches.
    let Some((path, name)) = (unsafe { adapter(lora) }) else {
        return -1;
    };
    status(handle.session.load_lora(&path, &name))
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn load_prompt_cache(handle: LLMHandle, path: *const c_char) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    // SAFETY: as the caller vouches.
    let Some(path) = (unsafe { text(path) }) else {
        return -1;
    };
    status(handle.session.load_prompt_cache(path.as_ref()))
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn release_prompt_cache(handle: LLMHandle) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    handle.session.release_prompt_cache();
    0
}

/// # Safety
/// As the C header says: no run is going on, and the handle is not used again.
pub unsafe extern "C" fn destroy(handle: LLMHandle) -> c_int {
    if handle.is_null() {
        return -1;
    }
    // SAFETY: `init` made the pointer from a box, and the caller vouches that this is its only destruction.
    drop(unsafe { Box::from_raw(handle.cast::<Handle>()) });
    0
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn abort(handle: LLMHandle) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    handle.session.abort();
    0
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn is_running(handle: LLMHandle) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    let running = handle.session.running.load(Ordering::SeqCst);
    // The headers up to 1.2.3 say 0 for a run that is going on, that of 1.3.0 says 1.
    c_int::from(running == (handle.session.abi == Abi::V1_3_0))
}

/// # Safety
/// As the C header says: `sizes` has room for one number per row of a batch.
pub unsafe extern "C" fn get_kv_cache_size(handle: LLMHandle, sizes: *mut c_int) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    if sizes.is_null() {
        return -1;
    }
    for (row, cached) in handle.session.cached.iter().enumerate() {
        // SAFETY: within the room that the caller vouches for.
        let place = unsafe { sizes.add(row) };
        // SAFETY: as above.
        unsafe { place.write(cached.load(Ordering::SeqCst)) };
    }
    0
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn set_chat_template(
    handle: LLMHandle,
    system: *const c_char,
    prefix: *const c_char,
    postfix: *const c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    let [system, prefix, postfix] = [system, prefix, postfix].map(|part| {
        // SAFETY: as the caller vouches.
        unsafe { text(part) }.unwrap_or_default()
    });
    handle.session.set_chat_template(system, prefix, postfix);
    0
}

/// # Safety
/// As the C header says.
pub unsafe extern "C" fn set_function_tools(
    handle: LLMHandle,
    system: *const c_char,
    definitions: *const c_char,
    response_tag: *const c_char,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    let [system, definitions, response_tag] = [system, definitions, response_tag].map(|part| {
        // SAFETY: as the caller vouches.
        unsafe { text(part) }
    });
    let Some(tools) = tools(system, definitions, response_tag) else {
        return -1;
    };
    handle.session.set_function_tools(tools);
    0
}

/// No simulated model has an encoder, so the parameters are refused.
///
/// # Safety
/// As the C header says.
pub unsafe extern "C" fn set_cross_attn_params(
    handle: LLMHandle,
    _params: *mut RKLLMCrossAttnParam,
) -> c_int {
    // SAFETY: as the caller vouches.
    let Some(handle) = (unsafe { open(handle) }) else {
        return -1;
    };
    handle
        .session
        .console
        .error("the model has no cross attention");
    -1
}
