//! The policy engine: what a request is, which model answers it, how it is rewritten, and why.
//!
//! [`Set::decide`] is a pure function from a compiled set of rule and policy files, a request and facts about the
//! models to a decision, a rewritten request and a trace. It does no I/O and knows no HTTP, no engine, no clock, so
//! that `explain`, `test` and the live path run the very same code.

mod admit;
mod answer;
mod cases;
mod class;
mod classify;
mod compile;
mod context;
mod decide;
mod decision;
mod facts;
mod fallback;
pub mod file;
pub mod live;
mod load;
mod matching;
mod model;
mod ops;
mod pattern;
mod prose;
mod record;
mod redaction;
mod reference;
mod rewrite;
mod rewriter;
mod route;
mod sample;
mod set;
mod settings;
pub mod shipped;
mod tools;
mod trace;
mod trim;

pub use class::{Class, ClassGlob};
pub use compile::{Compiled, Platform, Source};
pub use decision::{
    AnswerRules, Cache, Decision, Denial, JsonShape, JsonValue, Outcome, Queue, Repetition, Think,
};
pub use facts::{Facts, Headers, Input, ModelFact};
pub use redaction::Redaction;
pub use reference::reference;
pub(crate) use rewriter::Rewriter;
pub use set::Set;
pub use settings::{ByClass, Excess, History, ModelSettings, ToolLimits};
pub use trace::{Change, Origin, Sampled, Shift, Stage, Step, StepOutcome, Trace, ValueOrigin};

pub use trim::Estimate;

#[cfg(test)]
mod tests;
