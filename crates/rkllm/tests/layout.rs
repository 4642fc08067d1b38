//! Every struct, field and function of the three ABIs against the layouts that C compilers gave the official headers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    any::type_name,
    collections::{BTreeMap, BTreeSet},
    ffi::c_char,
};

use serde_json::Value;

/// What Rust makes of a field.
struct Field {
    name: &'static str,
    offset: usize,
    size: usize,
    type_name: &'static str,
}

fn field<T>(name: &'static str, offset: usize, _: *const T) -> Field {
    Field {
        name,
        offset,
        size: size_of::<T>(),
        type_name: type_name::<T>(),
    }
}

/// The Rust type that stands for a C type. Comparing types also catches wrong ones of the right
/// size: an `f32` where C has an `int32_t`.
fn rust_type(c: &str, typedefs: &Value) -> String {
    if let Some(target) = c.strip_suffix('*') {
        return match target.strip_prefix("const ") {
            Some(target) => format!("*const {}", rust_type(target, typedefs)),
            None => format!("*mut {}", rust_type(target, typedefs)),
        };
    }
    if let Some((element, length)) = c.strip_suffix(']').and_then(|array| array.split_once('[')) {
        return format!("[{}; {length}]", rust_type(element, typedefs));
    }
    if let Some((returns, args)) = c
        .strip_suffix(')')
        .and_then(|function| function.split_once(" (*)("))
    {
        return format!(
            "Option<{}>",
            function_type(returns, args.split(", "), typedefs)
        );
    }
    match (c, typedefs.get(c)) {
        (_, Some(typedef)) => rust_type(typedef.as_str().unwrap(), typedefs),
        ("void", _) => "c_void".to_owned(),
        ("bool", _) => "CBool".to_owned(),
        ("char", _) => type_name::<c_char>().to_owned(),
        ("int8_t", _) => "i8".to_owned(),
        ("uint8_t", _) => "u8".to_owned(),
        ("int" | "int32_t", _) => "i32".to_owned(),
        ("uint32_t", _) => "u32".to_owned(),
        ("uint64_t", _) => "u64".to_owned(),
        ("size_t", _) => "usize".to_owned(),
        ("float", _) => "f32".to_owned(),
        (name, _) => name.to_owned(),
    }
}

fn function_type<'a>(
    returns: &str,
    args: impl Iterator<Item = &'a str>,
    typedefs: &Value,
) -> String {
    let args: Vec<String> = args.map(|arg| rust_type(arg, typedefs)).collect();
    let returns = if returns == "void" {
        String::new()
    } else {
        format!(" -> {}", rust_type(returns, typedefs))
    };
    format!("unsafe extern \"C\" fn({}){returns}", args.join(", "))
}

/// The name of a Rust type without paths.
fn bare(type_name: &str) -> String {
    regex::Regex::new(r"\w+::")
        .unwrap()
        .replace_all(type_name, "")
        .into_owned()
}

/// The leaves of a struct: members of anonymous structs and unions count, the anonymous member itself does not.
fn leaves<'a>(fields: &'a Value, found: &mut BTreeMap<String, &'a Value>) {
    for field in fields.as_array().unwrap() {
        match field.get("fields") {
            Some(inner) => leaves(inner, found),
            None => {
                found.insert(field["name"].as_str().unwrap().to_owned(), field);
            }
        }
    }
}

fn check_struct(abi: &Value, name: &str, size: usize, align: usize, fields: &[Field]) {
    let layout = &abi["structs"][name];
    assert_eq!(layout["size"], size, "size of {name}");
    assert_eq!(layout["align"], align, "alignment of {name}");
    let mut expected = BTreeMap::new();
    leaves(&layout["fields"], &mut expected);
    for field in fields {
        let leaf = field.name.rsplit('.').next().unwrap();
        let c = expected
            .remove(leaf)
            .unwrap_or_else(|| panic!("C has no {name}.{leaf}"));
        assert_eq!(c["offset"], field.offset, "offset of {name}.{leaf}");
        assert_eq!(c["size"], field.size, "size of {name}.{leaf}");
        let wanted = rust_type(c["type"].as_str().unwrap(), &abi["typedefs"]);
        assert_eq!(bare(field.type_name), wanted, "type of {name}.{leaf}");
    }
    assert!(
        expected.is_empty(),
        "unchecked fields of {name}: {:?}",
        expected.keys()
    );
}

/// Compares a function pointer's type with the C declaration.
fn check_function(abi: &Value, name: &str, type_name: &str) {
    let c = &abi["functions"][name];
    let args = c["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arg| arg.as_str().unwrap());
    let wanted = function_type(c["returns"].as_str().unwrap(), args, &abi["typedefs"]);
    assert_eq!(bare(type_name), wanted, "signature of {name}");
}

macro_rules! generation {
    ($test:ident, $module:ident, $json:literal, { $($name:ident { $($($field:ident).+),* $(,)? })* }) => {
        #[test]
        fn $test() {
            use rkllm::abi::$module::*;
            let abi: Value = serde_json::from_str(include_str!(concat!("data/", $json))).unwrap();
            let mut seen = BTreeSet::new();
            $(
                let storage = std::mem::MaybeUninit::<$name>::uninit();
                let pointer = storage.as_ptr();
                let fields = [$({
                    // SAFETY: only the address is taken, of a field inside `storage`; nothing is read.
                    let address = unsafe { &raw const (*pointer).$($field).+ };
                    field(stringify!($($field).+), std::mem::offset_of!($name, $($field).+), address)
                }),*];
                let name = stringify!($name);
                check_struct(&abi, name, size_of::<$name>(), align_of::<$name>(), &fields);
                seen.insert(name.to_owned());
            )*
            let structs: BTreeSet<String> = abi["structs"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(seen, structs, "structs");

            let functions: BTreeSet<&str> = abi["functions"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(Symbols::NAMES.iter().copied().collect::<BTreeSet<_>>(), functions, "functions");
            for (name, type_name) in Symbols::NAMES.iter().zip(signatures::$module()) {
                check_function(&abi, name, type_name);
            }
            assert_eq!(size_of::<Symbols>(), Symbols::NAMES.len() * size_of::<usize>());
        }
    };
}

/// The types of the functions, in the order of `Symbols::NAMES`.
mod signatures {
    use super::*;

    macro_rules! signatures {
        ($module:ident: $($function:ident)*) => {
            pub(super) fn $module() -> Vec<&'static str> {
                fn of<T>(_: fn(&rkllm::abi::$module::Symbols) -> &T) -> &'static str {
                    type_name::<T>()
                }
                assert_eq!([$(stringify!($function)),*], rkllm::abi::$module::Symbols::NAMES);
                vec![$(of(|symbols| &symbols.$function)),*]
            }
        };
    }

    signatures!(v1_2_0: rkllm_createDefaultParam rkllm_init rkllm_load_lora rkllm_load_prompt_cache
        rkllm_release_prompt_cache rkllm_destroy rkllm_run rkllm_run_async rkllm_abort rkllm_is_running
        rkllm_clear_kv_cache rkllm_set_chat_template);
    signatures!(v1_2_1: rkllm_createDefaultParam rkllm_init rkllm_load_lora rkllm_load_prompt_cache
        rkllm_release_prompt_cache rkllm_destroy rkllm_run rkllm_run_async rkllm_abort rkllm_is_running
        rkllm_clear_kv_cache rkllm_get_kv_cache_size rkllm_set_chat_template rkllm_set_function_tools
        rkllm_set_cross_attn_params);
    signatures!(v1_3_0: rkllm_createDefaultParam rkllm_init rkllm_load_lora rkllm_load_prompt_cache
        rkllm_release_prompt_cache rkllm_destroy rkllm_run rkllm_run_async rkllm_abort rkllm_is_running
        rkllm_clear_kv_cache rkllm_get_kv_cache_size rkllm_set_chat_template rkllm_set_function_tools
        rkllm_set_cross_attn_params);
}

generation!(runtime_1_2_0, v1_2_0, "abi-1.2.0.json", {
    RKLLMExtendParam { base_domain_id, embed_flash, enabled_cpus_num, enabled_cpus_mask, reserved }
    RKLLMParam {
        model_path, max_context_len, max_new_tokens, top_k, n_keep, top_p, temperature, repeat_penalty, frequency_penalty,
        presence_penalty, mirostat, mirostat_tau, mirostat_eta, skip_special_token, is_async, img_start, img_end,
        img_content, extend_param,
    }
    RKLLMLoraAdapter { lora_adapter_path, lora_adapter_name, scale }
    RKLLMEmbedInput { embed, n_tokens }
    RKLLMTokenInput { input_ids, n_tokens }
    RKLLMMultiModelInput { prompt, image_embed, n_image_tokens }
    RKLLMInput { input_type, data.prompt_input, data.embed_input, data.token_input, data.multimodal_input }
    RKLLMLoraParam { lora_adapter_name }
    RKLLMPromptCacheParam { save_prompt_cache, prompt_cache_path }
    RKLLMInferParam { mode, lora_params, prompt_cache_params, keep_history }
    RKLLMResultLastHiddenLayer { hidden_states, embd_size, num_tokens }
    RKLLMResultLogits { logits, vocab_size, num_tokens }
    RKLLMResult { text, token_id, last_hidden_layer, logits }
});

generation!(runtime_1_2_1, v1_2_1, "abi-1.2.1.json", {
    RKLLMExtendParam {
        base_domain_id, embed_flash, enabled_cpus_num, enabled_cpus_mask, n_batch, use_cross_attn, reserved,
    }
    RKLLMParam {
        model_path, max_context_len, max_new_tokens, top_k, n_keep, top_p, temperature, repeat_penalty, frequency_penalty,
        presence_penalty, mirostat, mirostat_tau, mirostat_eta, skip_special_token, is_async, img_start, img_end,
        img_content, extend_param,
    }
    RKLLMLoraAdapter { lora_adapter_path, lora_adapter_name, scale }
    RKLLMEmbedInput { embed, n_tokens }
    RKLLMTokenInput { input_ids, n_tokens }
    RKLLMMultiModelInput { prompt, image_embed, n_image_tokens, n_image, image_width, image_height }
    RKLLMInput {
        role, enable_thinking, input_type, data.prompt_input, data.embed_input, data.token_input, data.multimodal_input,
    }
    RKLLMLoraParam { lora_adapter_name }
    RKLLMPromptCacheParam { save_prompt_cache, prompt_cache_path }
    RKLLMCrossAttnParam { encoder_k_cache, encoder_v_cache, encoder_mask, encoder_pos, num_tokens }
    RKLLMInferParam { mode, lora_params, prompt_cache_params, keep_history }
    RKLLMResultLastHiddenLayer { hidden_states, embd_size, num_tokens }
    RKLLMResultLogits { logits, vocab_size, num_tokens }
    RKLLMPerfStat { prefill_time_ms, prefill_tokens, generate_time_ms, generate_tokens, memory_usage_mb }
    RKLLMResult { text, token_id, last_hidden_layer, logits, perf }
});

generation!(runtime_1_3_0, v1_3_0, "abi-1.3.0.json", {
    RKLLMExtendParam {
        base_domain_id, embed_flash, enabled_cpus_num, enabled_cpus_mask, n_batch, use_cross_attn, reserved,
    }
    RKLLMParam {
        model_path, max_context_len, max_new_tokens, top_k, n_keep, top_p, temperature, repeat_penalty, frequency_penalty,
        presence_penalty, mirostat, mirostat_tau, mirostat_eta, skip_special_token, ignore_eos_token, is_async,
        extend_param,
    }
    RKLLMLoraAdapter { lora_adapter_path, lora_adapter_name, scale }
    RKLLMEmbedInput { embed, n_tokens }
    RKLLMTokenInput { input_ids, n_tokens }
    RKLLMMultiModalInput {
        prompt, image.image_embed, image.n_image_tokens, image.n_image, image.image_start, image.image_end,
        image.image_content, image.image_width, image.image_height, video.video_embed, video.n_frame_tokens,
        video.n_frame_per_video, video.n_video, video.video_start, video.video_end, video.video_content,
        video.frame_width, video.frame_height,
    }
    RKLLMInput {
        role, enable_thinking, input_type, data.prompt_input, data.embed_input, data.token_input, data.multimodal_input,
    }
    RKLLMLoraParam { lora_adapter_name }
    RKLLMPromptCacheParam { save_prompt_cache, prompt_cache_path }
    RKLLMCrossAttnParam { encoder_k_cache, encoder_v_cache, encoder_mask, encoder_pos, num_tokens }
    RKLLMSamplingParam {
        top_k, top_p, temperature, repeat_penalty, frequency_penalty, presence_penalty, mirostat, mirostat_tau,
        mirostat_eta,
    }
    RKLLMInferParam { mode, lora_params, prompt_cache_params, sampling_params, keep_history, max_new_tokens }
    RKLLMResultLastHiddenLayer { hidden_states, embd_size, num_tokens }
    RKLLMResultLogits { logits, vocab_size, num_tokens }
    RKLLMPerfStat { prefill_time_ms, prefill_tokens, generate_time_ms, generate_tokens, memory_usage_mb }
    RKLLMResult { text, token_id, last_hidden_layer, logits, perf }
    RKLLMCallback {
        result_callback, result_userdata, tokenizer_callback, tokenizer_userdata, embed_callback, embed_userdata,
    }
});

#[test]
fn constants_are_those_of_the_headers() {
    use rkllm::abi::{LLMCallState, RKLLMInferMode, RKLLMInputType};
    for json in [
        include_str!("data/abi-1.2.0.json"),
        include_str!("data/abi-1.2.1.json"),
        include_str!("data/abi-1.3.0.json"),
    ] {
        let enums = &serde_json::from_str::<Value>(json).unwrap()["enums"];
        let expect = |name: &str, constants: &[(&str, u32)]| {
            let values = enums[name].as_object().unwrap();
            assert_eq!(values.len(), constants.len(), "{name}");
            for (constant, value) in constants {
                assert_eq!(values[*constant], *value, "{constant}");
            }
        };
        expect(
            "LLMCallState",
            &[
                ("RKLLM_RUN_NORMAL", LLMCallState::NORMAL.0),
                ("RKLLM_RUN_WAITING", LLMCallState::WAITING.0),
                ("RKLLM_RUN_FINISH", LLMCallState::FINISH.0),
                ("RKLLM_RUN_ERROR", LLMCallState::ERROR.0),
            ],
        );
        expect(
            "RKLLMInputType",
            &[
                ("RKLLM_INPUT_PROMPT", RKLLMInputType::PROMPT.0),
                ("RKLLM_INPUT_TOKEN", RKLLMInputType::TOKEN.0),
                ("RKLLM_INPUT_EMBED", RKLLMInputType::EMBED.0),
                ("RKLLM_INPUT_MULTIMODAL", RKLLMInputType::MULTIMODAL.0),
            ],
        );
        expect(
            "RKLLMInferMode",
            &[
                ("RKLLM_INFER_GENERATE", RKLLMInferMode::GENERATE.0),
                (
                    "RKLLM_INFER_GET_LAST_HIDDEN_LAYER",
                    RKLLMInferMode::GET_LAST_HIDDEN_LAYER.0,
                ),
                ("RKLLM_INFER_GET_LOGITS", RKLLMInferMode::GET_LOGITS.0),
            ],
        );
    }
}
