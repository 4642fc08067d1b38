//! Why a decision came out as it did, as data: the same for the terminal, JSON, the log and tests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The steps of a decision, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// One entry per rule that was looked at and mattered.
    pub steps: Vec<Step>,
}

/// What one rule did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The stage it belongs to.
    pub stage: Stage,
    /// The rule's id.
    pub rule: Arc<str>,
    /// Where it stands.
    pub origin: Option<Origin>,
    /// What came of it.
    pub outcome: StepOutcome,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file's path as it was given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
}

/// The stages, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// What the request is for.
    Classify,
    /// Which model answers.
    Route,
    /// Which model policy holds.
    Policy,
    /// How messages change.
    Rewrite,
    /// Which tools stay.
    Tools,
    /// Which turns stay.
    Trim,
    /// Which sampling values hold.
    Sample,
    /// How urgent it is.
    Admit,
    /// What happens to the answer.
    Answer,
}

/// What came of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum StepOutcome {
    /// It decided.
    Matched {
        /// What it decided, e.g. `task/title_generation`, and on what grounds.
        what: String,
    },
    /// It was looked at and did not hold.
    NotMatched {
        /// The first condition that failed.
        why: String,
    },
    /// It changed the request.
    Applied {
        /// What it changed.
        changes: Vec<Change>,
    },
    /// It holds, but runs in shadow mode.
    Shadow {
        /// What it would have decided or done.
        what: String,
        /// What it would have changed.
        changes: Vec<Change>,
    },
    /// It failed and was passed over.
    Failed {
        /// Why.
        why: String,
    },
}

/// One change of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where: `messages[3].content`, `tools`, `max_tokens`.
    pub place: String,
    /// What happened there, in words.
    pub what: String,
    /// Characters before.
    pub before: usize,
    /// Characters after.
    pub after: usize,
}
