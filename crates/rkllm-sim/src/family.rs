use serde::Deserialize;

/// The model family: decides the chat template of prompt input and what the simulated model's faults look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Qwen2 and Qwen2.5: ChatML with an injected default system prompt.
    Qwen2,
    /// Qwen3: ChatML, thinks unless told not to.
    Qwen3,
    /// Qwen3-VL: ChatML, reads images.
    Qwen3Vl,
    /// MiniCPM3 and MiniCPM4: ChatML after a begin-of-sequence token.
    #[serde(rename = "minicpm")]
    MiniCpm,
    /// Gemma 2, 3 and 3n: turns, no system role.
    Gemma,
    /// Phi-3: `<|user|>` and `<|end|>` tags.
    Phi3,
    /// Llama 3: header tags.
    Llama3,
}
