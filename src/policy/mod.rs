//! The policy engine: what a request is, which model answers it, how it is rewritten, and why.
//!
//! [`Set::decide`] is a pure function from a compiled set of rule and policy files, a request and facts about the
//! models to a decision, a rewritten request and a trace. It does no I/O and knows no HTTP, no engine, no clock, so
//! that `explain`, `test` and the live path run the very same code.

mod class;
mod context;
mod decision;
mod facts;
pub mod file;
mod ops;
mod rewriter;
mod settings;
mod trace;

pub use class::{Class, ClassGlob};
pub use decision::{AnswerRules, Decision, Denial, JsonShape, Outcome, Queue, Repetition, Think};
pub use facts::{Facts, Headers, Input, ModelFact};
pub(crate) use rewriter::Rewriter;
pub use settings::{ByClass, Excess, History, ModelSettings, ToolLimits};
pub use trace::{Change, Origin, Stage, Step, StepOutcome, Trace};
