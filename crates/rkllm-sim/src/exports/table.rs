//! The functions as a table, for use in the same process.

use rkllm::abi::{self, Abi, SymbolTable};

use super::{shared, v1_2_0, v1_2_1, v1_3_0};

/// The functions of a generation under their C names.
pub fn symbols(abi: Abi) -> SymbolTable {
    match abi {
        Abi::V1_2_0 => SymbolTable::V1_2_0(abi::v1_2_0::Symbols {
            rkllm_createDefaultParam: v1_2_0::create_default_param,
            rkllm_init: v1_2_0::init,
            rkllm_load_lora: shared::load_lora,
            rkllm_load_prompt_cache: shared::load_prompt_cache,
            rkllm_release_prompt_cache: shared::release_prompt_cache,
            rkllm_destroy: shared::destroy,
            rkllm_run: v1_2_0::run,
            rkllm_run_async: v1_2_0::run_async,
            rkllm_abort: shared::abort,
            rkllm_is_running: shared::is_running,
            rkllm_clear_kv_cache: v1_2_0::clear_kv_cache,
            rkllm_set_chat_template: shared::set_chat_template,
        }),
        Abi::V1_2_1 => SymbolTable::V1_2_1(abi::v1_2_1::Symbols {
            rkllm_createDefaultParam: v1_2_1::create_default_param,
            rkllm_init: v1_2_1::init,
            rkllm_load_lora: shared::load_lora,
            rkllm_load_prompt_cache: shared::load_prompt_cache,
            rkllm_release_prompt_cache: shared::release_prompt_cache,
            rkllm_destroy: shared::destroy,
            rkllm_run: v1_2_1::run,
            rkllm_run_async: v1_2_1::run_async,
            rkllm_abort: shared::abort,
            rkllm_is_running: shared::is_running,
            rkllm_clear_kv_cache: v1_2_1::clear_kv_cache,
            rkllm_get_kv_cache_size: shared::get_kv_cache_size,
            rkllm_set_chat_template: shared::set_chat_template,
            rkllm_set_function_tools: shared::set_function_tools,
            rkllm_set_cross_attn_params: shared::set_cross_attn_params,
        }),
        Abi::V1_3_0 => SymbolTable::V1_3_0(abi::v1_3_0::Symbols {
            rkllm_createDefaultParam: v1_3_0::create_default_param,
            rkllm_init: v1_3_0::init,
            rkllm_load_lora: shared::load_lora,
            rkllm_load_prompt_cache: shared::load_prompt_cache,
            rkllm_release_prompt_cache: shared::release_prompt_cache,
            rkllm_destroy: shared::destroy,
            rkllm_run: v1_3_0::run,
            rkllm_run_async: v1_3_0::run_async,
            rkllm_abort: shared::abort,
            rkllm_is_running: shared::is_running,
            rkllm_clear_kv_cache: v1_2_1::clear_kv_cache,
            rkllm_get_kv_cache_size: shared::get_kv_cache_size,
            rkllm_set_chat_template: shared::set_chat_template,
            rkllm_set_function_tools: shared::set_function_tools,
            rkllm_set_cross_attn_params: shared::set_cross_attn_params,
        }),
    }
}
