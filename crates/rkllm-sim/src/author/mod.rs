//! What the simulated model says.

use crate::{Family, Sampling};

/// Faults of small models, shown on demand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) broken_json: bool,
    pub(crate) think_anyway: bool,
    pub(crate) repetition: bool,
}

/// What the model reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prompt<'a> {
    pub(crate) text: &'a str,
    pub(crate) family: Family,
    pub(crate) sampling: Sampling,
    pub(crate) faults: Faults,
}

/// The whole answer, without the token that ends it.
pub(crate) fn compose(prompt: &Prompt<'_>) -> String {
    let Prompt {
        text,
        family,
        sampling,
        faults,
    } = prompt;
    let Faults {
        broken_json,
        think_anyway,
        repetition,
    } = faults;
    let faults = [broken_json, think_anyway, repetition]
        .iter()
        .filter(|fault| ***fault)
        .count();
    format!(
        "I read {} characters as {family:?} with top_k = {} and {faults} faults.",
        text.chars().count(),
        sampling.top_k
    )
}
