//! Looking at a request: phrases in its texts, its shape, and conditions on both.

mod condition;
mod folded;
mod framing;
mod glob;
mod outer;
mod phrases;
mod signals;
mod why;

pub(crate) use condition::{Condition, Span as TurnSpan, Words};
pub(crate) use folded::Folded;
pub(crate) use glob::Glob;
pub(crate) use phrases::{PhraseId, Phrases, PhrasesBuilder};
pub(crate) use signals::Signals;

#[cfg(test)]
mod tests;
