//! Structs whose fields have equal names in all generations, though not equal places.

/// The sampling values of a struct that has them.
macro_rules! sampling {
    ($from:expr) => {
        $crate::Sampling {
            top_k: $from.top_k,
            top_p: $from.top_p,
            temperature: $from.temperature,
            repeat_penalty: $from.repeat_penalty,
            frequency_penalty: $from.frequency_penalty,
            presence_penalty: $from.presence_penalty,
            mirostat: $from.mirostat,
            mirostat_tau: $from.mirostat_tau,
            mirostat_eta: $from.mirostat_eta,
        }
    };
}

/// The settings in an `RKLLMParam`, given what only some generations have.
macro_rules! settings {
    ($param:expr, $path:expr, ignore_eos_token: $ignore:expr, n_batch: $batch:expr) => {
        $crate::settings::Settings {
            model_path: $path.into(),
            max_context_len: $param.max_context_len,
            max_new_tokens: $param.max_new_tokens,
            n_keep: $param.n_keep,
            sampling: $crate::exports::fields::sampling!($param),
            skip_special_token: $param.skip_special_token.is_true(),
            ignore_eos_token: $ignore,
            is_async: $param.is_async.is_true(),
            base_domain_id: $param.extend_param.base_domain_id,
            enabled_cpus_num: $param.extend_param.enabled_cpus_num,
            enabled_cpus_mask: $param.extend_param.enabled_cpus_mask,
            n_batch: $batch,
        }
    };
}

/// An `RKLLMParam` with the defaults of the real library, given what only some generations have.
macro_rules! default_param {
    ({ $($field:ident: $value:expr),* }, { $($board_field:ident: $board_value:expr),* }) => {{
        let sampling = $crate::Sampling::default();
        RKLLMParam {
            model_path: std::ptr::null(),
            max_context_len: $crate::settings::DEFAULT_CONTEXT,
            max_new_tokens: $crate::settings::DEFAULT_ANSWER,
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
            extend_param: RKLLMExtendParam {
                base_domain_id: 0,
                embed_flash: 0,
                enabled_cpus_num: 4,
                enabled_cpus_mask: 0xF0,
                $($board_field: $board_value),*
            },
            $($field: $value),*
        }
    }};
}

pub(super) use {default_param, sampling, settings};
