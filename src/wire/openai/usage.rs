//! Token counts and times.

use std::time::Duration;

use serde::Serialize;

use crate::chat;

/// The `usage` object.
#[derive(Debug, Serialize)]
pub(super) struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u32,
}

#[derive(Debug, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u32,
}

impl From<chat::Usage> for Usage {
    fn from(usage: chat::Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.prompt.saturating_add(usage.completion),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cached,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning,
            },
        }
    }
}

/// The `timings` object, in the form of llama.cpp's server, with the wait for the NPU.
#[derive(Debug, Serialize)]
pub(super) struct Timings {
    queue_ms: f64,
    cache_n: u32,
    prompt_n: u32,
    prompt_ms: f64,
    prompt_per_second: f64,
    predicted_n: u32,
    predicted_ms: f64,
    predicted_per_second: f64,
}

impl Timings {
    pub(super) fn new(usage: chat::Usage, timings: chat::Timings) -> Self {
        let prompt_n = usage.prompt.saturating_sub(usage.cached);
        Self {
            queue_ms: millis(timings.queued),
            cache_n: usage.cached,
            prompt_n,
            prompt_ms: millis(timings.prefill),
            prompt_per_second: per_second(prompt_n, timings.prefill),
            predicted_n: usage.completion,
            predicted_ms: millis(timings.decode),
            predicted_per_second: per_second(usage.completion, timings.decode),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// 0 for no time at all: JSON knows no infinity.
fn per_second(tokens: u32, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        f64::from(tokens) / time.as_secs_f64()
    }
}
