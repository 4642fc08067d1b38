/// Sampling values, named as in the C header.
///
/// The simulated model reads them only to decide what it says: equal prompts and equal values give equal answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Candidates kept; 1 is greedy.
    pub top_k: i32,
    /// Probability mass kept, 0..=1.
    pub top_p: f32,
    /// 0 is greedy.
    pub temperature: f32,
    /// Penalty on tokens that occurred before; 1 is none.
    pub repeat_penalty: f32,
    /// Penalty by number of occurrences.
    pub frequency_penalty: f32,
    /// Penalty on any occurrence.
    pub presence_penalty: f32,
    /// 0 off, else the Mirostat version.
    pub mirostat: i32,
    /// Mirostat target entropy.
    pub mirostat_tau: f32,
    /// Mirostat learning rate.
    pub mirostat_eta: f32,
}

impl Default for Sampling {
    /// The values of `rkllm_createDefaultParam`.
    fn default() -> Self {
        Self {
            top_k: 40,
            top_p: 0.9,
            temperature: 0.8,
            repeat_penalty: 1.1,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
        }
    }
}

impl Sampling {
    /// Whether the most likely token is always taken.
    pub fn is_greedy(&self) -> bool {
        self.top_k == 1 || self.temperature == 0.0
    }
}
