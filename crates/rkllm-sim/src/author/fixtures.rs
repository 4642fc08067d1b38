//! Prompts for tests.

use super::{Faults, Prompt, compose};
use crate::{Family, Sampling};

/// A Qwen prompt of a conversation; the answer is not to be thought about.
pub(crate) fn prompt(turns: &[(&str, &str)]) -> String {
    let turns: Vec<String> = turns
        .iter()
        .map(|(role, text)| format!("<|im_start|>{role}\n{text}<|im_end|>\n"))
        .collect();
    format!(
        "{}<|im_start|>assistant\n<think>\n\n</think>\n\n",
        turns.concat()
    )
}

/// What a model of `family` says to a whole prompt.
pub(crate) fn say(family: Family, text: &str, faults: Faults) -> String {
    compose(&Prompt {
        family,
        text,
        sampling: Sampling::default(),
        faults,
    })
}

/// The answer of a Qwen3 model to a conversation, thinking switched off.
pub(crate) fn chat(turns: &[(&str, &str)]) -> String {
    say(Family::Qwen3, &prompt(turns), Faults::default())
}

/// The answer to one question.
pub(crate) fn ask(question: &str) -> String {
    chat(&[("user", question)])
}
