//! What a generation of the runtime can do.

use crate::abi::Abi;

/// What a generation of the runtime can do. The rest all of them can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Sampling and answer length may differ from run to run; else they are fixed when the model is loaded.
    pub per_run_sampling: bool,
    /// A finished run tells its times and token counts.
    pub perf: bool,
    /// The number of tokens in the KV cache can be asked.
    pub kv_cache_size: bool,
    /// Functions can be given to the model's own chat template.
    pub function_tools: bool,
    /// A prompt may come in the role of a tool.
    pub role: bool,
    /// The model's own chat template can be told to leave no room to think.
    pub enable_thinking: bool,
    /// An input may hold several images.
    pub several_images: bool,
    /// An input may hold videos.
    pub video: bool,
    /// The output of an encoder can be attended to.
    pub cross_attention: bool,
    /// End tokens can be left to the caller.
    pub ignore_eos_token: bool,
    /// Logits may be computed for a continued conversation; 1.2.3 ends the process by an assertion.
    pub logits_with_history: bool,
}

impl Abi {
    /// What runtimes of this generation can do.
    #[must_use]
    pub fn capabilities(self) -> Capabilities {
        let since_1_2_1 = self != Self::V1_2_0;
        let since_1_3_0 = self == Self::V1_3_0;
        Capabilities {
            per_run_sampling: since_1_3_0,
            perf: since_1_2_1,
            kv_cache_size: since_1_2_1,
            function_tools: since_1_2_1,
            role: since_1_2_1,
            enable_thinking: since_1_2_1,
            several_images: since_1_2_1,
            video: since_1_3_0,
            cross_attention: since_1_2_1,
            ignore_eos_token: since_1_3_0,
            logits_with_history: self != Self::V1_2_1,
        }
    }
}

/// Something was asked of a runtime that it cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a runtime {abi} cannot do this: {what}")]
pub struct Unsupported {
    /// What was asked.
    pub what: &'static str,
    /// Generation of the runtime.
    pub abi: Abi,
}

impl Abi {
    /// Refuses `what` unless the runtime is capable of it.
    pub(crate) fn require(self, capable: bool, what: &'static str) -> Result<(), Unsupported> {
        if capable {
            Ok(())
        } else {
            Err(Unsupported { what, abi: self })
        }
    }
}
