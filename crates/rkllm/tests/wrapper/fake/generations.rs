//! The functions of each generation around the one script player.

use std::ptr;

use rkllm::{
    SymbolTable,
    abi::{RKLLMInputType, RKLLMLoraAdapter, v1_2_0, v1_2_1, v1_3_0},
};

use super::*;

pub(super) fn symbols(abi: Abi) -> SymbolTable {
    match abi {
        Abi::V1_2_0 => SymbolTable::V1_2_0(of_1_2_0::symbols()),
        Abi::V1_2_1 => SymbolTable::V1_2_1(of_1_2_1::symbols()),
        Abi::V1_3_0 => SymbolTable::V1_3_0(of_1_3_0::symbols()),
    }
}

/// Userdata on its way to another thread.
struct Carry(*mut c_void);
// SAFETY: the wrapper's userdata may be used on any thread.
unsafe impl Send for Carry {}
// SAFETY: as above.
unsafe impl Sync for Carry {}

macro_rules! generation {
    (
        $module:ident, $abi:ident, $callback:ty, $init_callback:ty, $take:expr,
        param: { $($param:tt)* }, result: { $($result:tt)* }, returned: $returned:expr,
        strings: $strings:expr, seen: $seen:expr, more: { $($more:tt)* }, fields: { $($field:ident)* }
    ) => {
        mod $module {
            use super::*;

            type Handle = Fake<$callback>;

            fn of<'a>(handle: LLMHandle) -> &'a Handle {
                // SAFETY: handles come from `rkllm_init` below and are not used after `rkllm_destroy`.
                unsafe { &*handle.cast::<Handle>() }
            }

            #[allow(non_snake_case, reason = "the name of the C header")]
            unsafe extern "C" fn rkllm_createDefaultParam() -> $abi::RKLLMParam {
                $abi::RKLLMParam {
                    model_path: ptr::null(), max_context_len: 512, max_new_tokens: -1, top_k: 40, n_keep: -1, top_p: 0.9,
                    temperature: 0.8, repeat_penalty: 1.1, frequency_penalty: 0.0, presence_penalty: 0.0, mirostat: 0,
                    mirostat_tau: 5.0, mirostat_eta: 0.1, skip_special_token: false.into(), is_async: false.into(),
                    $($param)*
                }
            }

            unsafe extern "C" fn rkllm_init(
                handle: *mut LLMHandle, param: *mut $abi::RKLLMParam, callback: $init_callback,
            ) -> c_int {
                // SAFETY: the wrapper gives valid pointers.
                let param = unsafe { &*param };
                let take: fn($init_callback) -> $callback = $take;
                let strings: fn(&$abi::RKLLMParam) -> Vec<*const c_char> = $strings;
                let fake = Handle::new(take(callback), &strings(param));
                let extend = &param.extend_param;
                fake.called(&format!(
                    "init context {} new {} top_k {} temperature {} n_keep {} skip {} async {} domain {} flash {} cpus {}/{:#x}",
                    param.max_context_len, param.max_new_tokens, param.top_k, param.temperature, param.n_keep,
                    param.skip_special_token.0, param.is_async.0, extend.base_domain_id, extend.embed_flash,
                    extend.enabled_cpus_num, extend.enabled_cpus_mask,
                ));
                let script = fake.script();
                if script.init_code == 0 && !script.null_handle {
                    // SAFETY: as above.
                    unsafe { *handle = Box::into_raw(Box::new(fake)).cast() };
                }
                script.init_code
            }

            unsafe extern "C" fn rkllm_run(
                handle: LLMHandle, input: *mut $abi::RKLLMInput, infer: *mut $abi::RKLLMInferParam, userdata: *mut c_void,
            ) -> c_int {
                let fake = of(handle);
                let seen: fn(*mut $abi::RKLLMInput, *mut $abi::RKLLMInferParam) -> Seen = $seen;
                let seen = seen(input, infer);
                fake.called("run");
                fake.note(|journal| journal.runs.push(seen));
                let carry = Carry(userdata);
                let mut call = |reply: &Reply| {
                    let carry = &carry;
                    let make: fn(&Reply) -> $abi::RKLLMResult = |reply| {
                        let (values, width, number) = reply.rows;
                        $abi::RKLLMResult {
                            text: reply.text,
                            token_id: reply.id,
                            last_hidden_layer: rkllm::abi::RKLLMResultLastHiddenLayer {
                                hidden_states: values, embd_size: width, num_tokens: number,
                            },
                            logits: rkllm::abi::RKLLMResultLogits { logits: values, vocab_size: width, num_tokens: number },
                            $($result)*
                        }
                    };
                    let mut result = make(reply);
                    let result = if reply.null { ptr::null_mut() } else { &raw mut result };
                    // SAFETY: the callback given to init, with the userdata of this run.
                    let returned = unsafe { (fake.callback.unwrap())(result, carry.0, reply.state) };
                    let as_number: fn(_) -> c_int = $returned;
                    as_number(returned)
                };
                if fake.script().other_thread {
                    std::thread::scope(|scope| scope.spawn(|| fake.play(&mut call)).join().unwrap())
                } else {
                    fake.play(&mut call)
                }
            }

            unsafe extern "C" fn rkllm_run_async(
                _: LLMHandle, _: *mut $abi::RKLLMInput, _: *mut $abi::RKLLMInferParam, _: *mut c_void,
            ) -> c_int {
                -1
            }

            unsafe extern "C" fn rkllm_load_lora(handle: LLMHandle, adapter: *mut RKLLMLoraAdapter) -> c_int {
                // SAFETY: the wrapper gives a valid pointer.
                let adapter = unsafe { &*adapter };
                let [path, name] = [adapter.lora_adapter_path, adapter.lora_adapter_name].map(|text| read(text).unwrap());
                of(handle).called(&format!("lora {path} {name} {}", adapter.scale))
            }

            unsafe extern "C" fn rkllm_load_prompt_cache(handle: LLMHandle, path: *const c_char) -> c_int {
                of(handle).called(&format!("load cache {}", read(path).unwrap()))
            }

            unsafe extern "C" fn rkllm_release_prompt_cache(handle: LLMHandle) -> c_int {
                of(handle).called("release cache")
            }

            unsafe extern "C" fn rkllm_destroy(handle: LLMHandle) -> c_int {
                // SAFETY: made by `rkllm_init`, and the wrapper destroys once.
                let fake = unsafe { Box::from_raw(handle.cast::<Handle>()) };
                fake.destroy();
                0
            }

            unsafe extern "C" fn rkllm_abort(handle: LLMHandle) -> c_int {
                of(handle).abort()
            }

            unsafe extern "C" fn rkllm_is_running(_: LLMHandle) -> c_int {
                0
            }

            unsafe extern "C" fn rkllm_set_chat_template(
                handle: LLMHandle, system: *const c_char, prefix: *const c_char, postfix: *const c_char,
            ) -> c_int {
                let texts = [system, prefix, postfix].map(|text| read(text).unwrap());
                of(handle).called(&format!("template {}", texts.join("|")))
            }

            $($more)*

            pub(super) fn symbols() -> $abi::Symbols {
                $abi::Symbols {
                    rkllm_createDefaultParam, rkllm_init, rkllm_load_lora, rkllm_load_prompt_cache,
                    rkllm_release_prompt_cache, rkllm_destroy, rkllm_run, rkllm_run_async, rkllm_abort, rkllm_is_running,
                    rkllm_set_chat_template, $($field,)*
                }
            }
        }
    };
}

/// What the input's union holds, but for images.
macro_rules! plain {
    ($input:ident, $seen:ident) => {
        match $input.input_type {
            RKLLMInputType::PROMPT => {
                // SAFETY: the wrapper sets the member that the type names.
                let text = unsafe { $input.data.prompt_input };
                $seen.text = read(text).unwrap();
            }
            RKLLMInputType::TOKEN => {
                // SAFETY: as above.
                let tokens = unsafe { $input.data.token_input };
                $seen.ids = copy(tokens.input_ids, tokens.n_tokens);
            }
            RKLLMInputType::EMBED => {
                // SAFETY: as above. The tests give rows of two.
                let embed = unsafe { $input.data.embed_input };
                $seen.embed = copy(embed.embed, embed.n_tokens * 2);
            }
            _ => {
                // SAFETY: as above.
                let images = unsafe { $input.data.multimodal_input };
                $seen.text = read(images.prompt).unwrap();
            }
        }
    };
}

/// The part of the run's settings that all generations have.
macro_rules! settings {
    ($infer:ident, $seen:ident) => {
        $seen.mode = $infer.mode.0;
        $seen.keep_history = $infer.keep_history;
        // SAFETY: NULL or valid.
        let lora = unsafe { $infer.lora_params.as_ref() };
        $seen.lora = lora.and_then(|lora| read(lora.lora_adapter_name));
        // SAFETY: NULL or valid.
        let cache = unsafe { $infer.prompt_cache_params.as_ref() };
        $seen.save = cache.and_then(|cache| {
            assert_eq!(cache.save_prompt_cache, 1);
            read(cache.prompt_cache_path)
        });
    };
}

macro_rules! since_1_2_1 {
    () => {
        unsafe extern "C" fn rkllm_clear_kv_cache(
            handle: LLMHandle,
            keep: c_int,
            start: *mut c_int,
            end: *mut c_int,
        ) -> c_int {
            assert!(start.is_null() && end.is_null());
            of(handle).called(&format!("clear {keep}"))
        }

        unsafe extern "C" fn rkllm_get_kv_cache_size(
            handle: LLMHandle,
            sizes: *mut c_int,
        ) -> c_int {
            // SAFETY: the wrapper gives room for each row.
            unsafe { *sizes = 151 };
            of(handle).called("cache size")
        }

        unsafe extern "C" fn rkllm_set_function_tools(
            handle: LLMHandle,
            system: *const c_char,
            tools: *const c_char,
            response: *const c_char,
        ) -> c_int {
            let texts = [system, tools, response].map(|text| read(text).unwrap());
            of(handle).called(&format!("tools {}", texts.join("|")))
        }

        unsafe extern "C" fn rkllm_set_cross_attn_params(
            _: LLMHandle,
            _: *mut v1_2_1::RKLLMCrossAttnParam,
        ) -> c_int {
            -1
        }
    };
}

const PERF: v1_2_1::RKLLMPerfStat = v1_2_1::RKLLMPerfStat {
    prefill_time_ms: 498.5,
    prefill_tokens: 111,
    generate_time_ms: 2566.5,
    generate_tokens: 40,
    memory_usage_mb: 660.0,
};

fn board() -> v1_2_1::RKLLMExtendParam {
    v1_2_1::RKLLMExtendParam {
        base_domain_id: 0,
        embed_flash: 0,
        enabled_cpus_num: 4,
        enabled_cpus_mask: 0xf0,
        n_batch: 1,
        use_cross_attn: 0,
        reserved: [0; 104],
    }
}

generation! {
    of_1_2_0, v1_2_0, v1_2_0::LLMResultCallback, v1_2_0::LLMResultCallback, |callback| callback,
    param: {
        img_start: ptr::null(), img_end: ptr::null(), img_content: ptr::null(),
        extend_param: v1_2_0::RKLLMExtendParam {
            base_domain_id: 0, embed_flash: 0, enabled_cpus_num: 4, enabled_cpus_mask: 0xf0, reserved: [0; 106],
        },
    },
    result: {}, returned: |()| 0,
    strings: |param| vec![param.model_path, param.img_start, param.img_end, param.img_content],
    seen: |input, infer| {
        let zeros_behind = zeros_behind(input) && zeros_behind(infer);
        // SAFETY: the wrapper gives a valid pointer.
        let input = unsafe { &*input };
        // SAFETY: as above.
        let infer = unsafe { &*infer };
        let mut seen = Seen { input_type: input.input_type.0, zeros_behind, ..Seen::default() };
        plain!(input, seen);
        if input.input_type == RKLLMInputType::MULTIMODAL {
            // SAFETY: set, as the type says. The tests give rows of two.
            let images = unsafe { input.data.multimodal_input };
            seen.embed = copy(images.image_embed, images.n_image_tokens * 2);
            seen.images = (1, images.n_image_tokens, 0, 0);
        }
        settings!(infer, seen);
        seen
    },
    more: {
        unsafe extern "C" fn rkllm_clear_kv_cache(handle: LLMHandle, keep: c_int) -> c_int {
            of(handle).called(&format!("clear {keep}"))
        }
    },
    fields: { rkllm_clear_kv_cache }
}

generation! {
    of_1_2_1, v1_2_1, v1_2_1::LLMResultCallback, v1_2_1::LLMResultCallback, |callback| callback,
    param: {
        img_start: ptr::null(), img_end: ptr::null(), img_content: ptr::null(), extend_param: board(),
    },
    result: { perf: PERF }, returned: |code| code,
    strings: |param| vec![param.model_path, param.img_start, param.img_end, param.img_content],
    seen: |input, infer| {
        let zeros_behind = zeros_behind(input) && zeros_behind(infer);
        // SAFETY: the wrapper gives a valid pointer.
        let input = unsafe { &*input };
        // SAFETY: as above.
        let infer = unsafe { &*infer };
        let mut seen = Seen { input_type: input.input_type.0, zeros_behind, ..Seen::default() };
        seen.role = read(input.role);
        seen.enable_thinking = input.enable_thinking.is_true();
        plain!(input, seen);
        if input.input_type == RKLLMInputType::MULTIMODAL {
            // SAFETY: set, as the type says. The tests give rows of two.
            let images = unsafe { input.data.multimodal_input };
            seen.embed = copy(images.image_embed, images.n_image * images.n_image_tokens * 2);
            seen.images = (images.n_image, images.n_image_tokens, images.image_width, images.image_height);
        }
        settings!(infer, seen);
        seen
    },
    more: { since_1_2_1!(); },
    fields: { rkllm_clear_kv_cache rkllm_get_kv_cache_size rkllm_set_function_tools rkllm_set_cross_attn_params }
}

generation! {
    of_1_3_0, v1_3_0, v1_3_0::LLMResultCallback, *mut v1_3_0::RKLLMCallback,
    // SAFETY: the wrapper gives a valid pointer.
    |callbacks| unsafe { &*callbacks }.result_callback,
    param: { ignore_eos_token: false.into(), extend_param: board() },
    result: { perf: PERF }, returned: |code| code,
    strings: |param| vec![param.model_path],
    seen: |input, infer| {
        let zeros_behind = zeros_behind(input) && zeros_behind(infer);
        // SAFETY: the wrapper gives a valid pointer.
        let input = unsafe { &*input };
        // SAFETY: as above.
        let infer = unsafe { &*infer };
        let mut seen = Seen { input_type: input.input_type.0, zeros_behind, ..Seen::default() };
        seen.role = read(input.role);
        seen.enable_thinking = input.enable_thinking.is_true();
        plain!(input, seen);
        if input.input_type == RKLLMInputType::MULTIMODAL {
            // SAFETY: set, as the type says. The tests give rows of two.
            let v1_3_0::RKLLMMultiModalInput { image, video, .. } = unsafe { input.data.multimodal_input };
            seen.embed = copy(image.image_embed, image.n_image * image.n_image_tokens * 2);
            seen.embed.extend(copy(video.video_embed, video.n_video * video.n_frame_per_video * video.n_frame_tokens * 2));
            seen.images = (image.n_image, image.n_image_tokens, image.image_width, image.image_height);
            seen.image_tags = [image.image_start, image.image_end, image.image_content].map(|tag| read(tag).unwrap()).into();
        }
        settings!(infer, seen);
        // SAFETY: NULL or valid.
        seen.sampling = unsafe { infer.sampling_params.as_ref() }.map(|s| {
            [
                s.top_k as f32, s.top_p, s.temperature, s.repeat_penalty, s.frequency_penalty, s.presence_penalty,
                s.mirostat as f32, s.mirostat_tau, s.mirostat_eta,
            ]
        });
        seen.max_new_tokens = infer.max_new_tokens;
        seen
    },
    more: { since_1_2_1!(); },
    fields: { rkllm_clear_kv_cache rkllm_get_kv_cache_size rkllm_set_function_tools rkllm_set_cross_attn_params }
}
