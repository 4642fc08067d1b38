//! Why a decision came out as it did, as data: the same for the terminal, JSON, the log and tests.

use std::{borrow::Cow, ops::Range, sync::Arc};

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
    #[serde(flatten)]
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
    /// What else is known of it.
    Label,
    /// Which model answers.
    Route,
    /// Which model policy holds.
    Policy,
    /// Whether it is refused.
    Deny,
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
        /// How many of its conditions held.
        held: usize,
        /// How many conditions it has; the classes that it is for are none.
        of: usize,
        /// Whether it would have held but for this one condition of several.
        near: bool,
    },
    /// It held, and there was nothing for it to do.
    Left {
        /// Why, where that says more.
        why: Option<String>,
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
    /// The sampling values came out like this.
    Sampled {
        /// Each with its origin.
        values: Vec<Sampled<f32>>,
        /// The limit of generated tokens.
        max_tokens: Sampled<u32>,
    },
}

/// A value of the sample stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampled<T> {
    /// Its key in policy files: `temperature`, `top_k`, `max_tokens`...
    pub name: Cow<'static, str>,
    /// What it is; `None` where nobody determined it.
    pub value: Option<T>,
    /// What the client asked for.
    pub asked: Option<T>,
    /// Who determined it.
    pub origin: ValueOrigin,
}

/// Who determined a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueOrigin {
    /// The profile, or, for `max_tokens`, the model's policy.
    Profile,
    /// The client.
    Client,
    /// The client, within the policy's limits.
    Clamped,
    /// Nobody; the engine or the server has values of its own.
    Default,
}

impl ValueOrigin {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Client => "client",
            Self::Clamped => "clamped",
            Self::Default => "default",
        }
    }
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
    /// Which message it is about, and how it moved the others.
    #[serde(skip)]
    pub shift: Shift,
}

/// How a change moves messages, so that one can be followed from the request as it came to the one that goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shift {
    /// It is about no message.
    #[default]
    None,
    /// Not at all; it changed the one at this index.
    Edited(usize),
    /// A new one stands at this index.
    Inserted(usize),
    /// The one at this index and the one behind it are one.
    Merged(usize),
    /// Those of this range are gone.
    Removed(Range<usize>),
}
