//! What the three shared libraries are made of: the C names, each a call of a function here.

/// Defines the exported functions that have the same signature in all generations, and the version string by which
/// loaders tell the generations apart.
#[doc(hidden)]
#[macro_export]
macro_rules! export {
    ($module:ident, $version:literal, $($c_name:ident = $path:ident::$name:ident($($arg:ident: $type:ty),*) -> $ret:ty;)*) => {
        /// Read from the file before loading, as from the real library.
        #[used]
        static SDK_VERSION: &str =
            concat!("RKLLM SDK (version: ", $version, " | target: Linux | build: simulated board, no NPU)\0");

        $(
            #[allow(non_snake_case, reason = "the names of the C header")]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $c_name($($arg: $type),*) -> $ret {
                // SAFETY: the caller keeps to the C header, which is what the function relies on.
                #[allow(unused_unsafe, reason = "one of the functions takes no pointers")]
                unsafe { $crate::exports::$path::$name($($arg),*) }
            }
        )*
    };
}

/// The exports of a shared library that stands for runtime 1.2.0.
#[macro_export]
macro_rules! export_v1_2_0 {
    () => {
        use std::ffi::{c_char, c_int, c_void};

        use $crate::abi::v1_2_0::*;

        $crate::export! {
            v1_2_0, "1.2.0",
            rkllm_createDefaultParam = v1_2_0::create_default_param() -> RKLLMParam;
            rkllm_init = v1_2_0::init(handle: *mut LLMHandle, param: *mut RKLLMParam, callback: LLMResultCallback) -> c_int;
            rkllm_run = v1_2_0::run(handle: LLMHandle, input: *mut RKLLMInput, infer: *mut RKLLMInferParam, userdata: *mut c_void) -> c_int;
            rkllm_run_async = v1_2_0::run_async(handle: LLMHandle, input: *mut RKLLMInput, infer: *mut RKLLMInferParam, userdata: *mut c_void) -> c_int;
            rkllm_clear_kv_cache = v1_2_0::clear_kv_cache(handle: LLMHandle, keep_system_prompt: c_int) -> c_int;
            rkllm_load_lora = shared::load_lora(handle: LLMHandle, adapter: *mut RKLLMLoraAdapter) -> c_int;
            rkllm_load_prompt_cache = shared::load_prompt_cache(handle: LLMHandle, path: *const c_char) -> c_int;
            rkllm_release_prompt_cache = shared::release_prompt_cache(handle: LLMHandle) -> c_int;
            rkllm_destroy = shared::destroy(handle: LLMHandle) -> c_int;
            rkllm_abort = shared::abort(handle: LLMHandle) -> c_int;
            rkllm_is_running = shared::is_running(handle: LLMHandle) -> c_int;
            rkllm_set_chat_template = shared::set_chat_template(handle: LLMHandle, system: *const c_char, prefix: *const c_char, postfix: *const c_char) -> c_int;
        }
    };
}

/// The exports of a shared library that stands for a runtime from 1.2.1 on: the same names, other layouts.
#[doc(hidden)]
#[macro_export]
macro_rules! export_later {
    ($module:ident, $version:literal, $callback:ty) => {
        use std::ffi::{c_char, c_int, c_void};

        use $crate::abi::$module::*;

        $crate::export! {
            $module, $version,
            rkllm_createDefaultParam = $module::create_default_param() -> RKLLMParam;
            rkllm_init = $module::init(handle: *mut LLMHandle, param: *mut RKLLMParam, callback: $callback) -> c_int;
            rkllm_run = $module::run(handle: LLMHandle, input: *mut RKLLMInput, infer: *mut RKLLMInferParam, userdata: *mut c_void) -> c_int;
            rkllm_run_async = $module::run_async(handle: LLMHandle, input: *mut RKLLMInput, infer: *mut RKLLMInferParam, userdata: *mut c_void) -> c_int;
            rkllm_clear_kv_cache = v1_2_1::clear_kv_cache(handle: LLMHandle, keep_system_prompt: c_int, start_pos: *mut c_int, end_pos: *mut c_int) -> c_int;
            rkllm_get_kv_cache_size = shared::get_kv_cache_size(handle: LLMHandle, cache_sizes: *mut c_int) -> c_int;
            rkllm_load_lora = shared::load_lora(handle: LLMHandle, adapter: *mut RKLLMLoraAdapter) -> c_int;
            rkllm_load_prompt_cache = shared::load_prompt_cache(handle: LLMHandle, path: *const c_char) -> c_int;
            rkllm_release_prompt_cache = shared::release_prompt_cache(handle: LLMHandle) -> c_int;
            rkllm_destroy = shared::destroy(handle: LLMHandle) -> c_int;
            rkllm_abort = shared::abort(handle: LLMHandle) -> c_int;
            rkllm_is_running = shared::is_running(handle: LLMHandle) -> c_int;
            rkllm_set_chat_template = shared::set_chat_template(handle: LLMHandle, system: *const c_char, prefix: *const c_char, postfix: *const c_char) -> c_int;
            rkllm_set_function_tools = shared::set_function_tools(handle: LLMHandle, system: *const c_char, tools: *const c_char, tool_response_str: *const c_char) -> c_int;
            rkllm_set_cross_attn_params = shared::set_cross_attn_params(handle: LLMHandle, params: *mut RKLLMCrossAttnParam) -> c_int;
        }
    };
}

/// The exports of a shared library that stands for runtime 1.2.3.
#[macro_export]
macro_rules! export_v1_2_1 {
    () => {
        $crate::export_later!(v1_2_1, "1.2.3", LLMResultCallback);
    };
}

/// The exports of a shared library that stands for runtime 1.3.0.
#[macro_export]
macro_rules! export_v1_3_0 {
    () => {
        $crate::export_later!(v1_3_0, "1.3.0", *mut RKLLMCallback);
    };
}
