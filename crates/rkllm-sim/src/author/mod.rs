//! What a simulated model says: text made from the prompt by rules, so that equal prompts give equal answers.
//!
//! [`compose`] reads the prompt as a model of its family would (`conversation`), asks the behaviours in turn who has
//! an answer (`answer`), puts thinking before it (`thinking`) and the faults of small models into it (`faults`).

use crate::{Family, Sampling};

mod answer;
mod arithmetic;
mod chance;
mod code;
mod context;
mod conversation;
mod counting;
mod echo;
mod faults;
mod images;
mod interpreter;
mod json;
mod knowledge;
mod language;
mod prose;
mod tasks;
mod thinking;
mod tools;
mod words;

#[cfg(test)]
pub(crate) mod fixtures;

/// What the model has read when it begins to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prompt<'a> {
    /// The model's family: decides the markup of turns and whether it thinks or sees.
    pub(crate) family: Family,
    /// The whole prompt, control tokens spelled out.
    pub(crate) text: &'a str,
    /// Sampling values; they only vary the wording.
    pub(crate) sampling: Sampling,
    /// Faults that are switched on.
    pub(crate) faults: Faults,
}

/// Faults of small models, shown on demand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// JSON comes fenced and with chat around it, with a trailing comma, in single quotes or cut short.
    pub(crate) broken_json: bool,
    /// The model thinks although it was told not to.
    pub(crate) think_anyway: bool,
    /// The answer ends in a loop. Qwen3 does so whenever `top_k` is 1.
    pub(crate) repetition: bool,
}

/// The model's whole answer, end token excluded; the caller cuts it at its limit of tokens.
pub(crate) fn compose(prompt: &Prompt<'_>) -> String {
    let conversation = conversation::Conversation::read(prompt);
    let chance = chance::Chance::of(&conversation, &prompt.sampling);
    let answer = answer::answer(&conversation, &chance);
    let answer = faults::spoil(answer, prompt, &chance);
    let continued = conversation.continued(&answer);
    thinking::before(&conversation, prompt.faults.think_anyway, &chance) + continued
}

#[cfg(test)]
mod tests;
