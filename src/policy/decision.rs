//! What the policy engine decides.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use super::{Class, Trace};
pub use crate::chat::answer::{JsonShape, JsonValue, Repetition, Think};
use crate::chat::{self, answer::AnswerOptions};

/// A decision, the request to send and the reasons.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was decided.
    pub decision: Decision,
    /// The rewritten request; `None` where nothing changed, so that it leaves byte for byte as it came.
    pub request: Option<chat::Request>,
    /// Why.
    pub trace: Trace,
}

/// What was decided about a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// What the request is for.
    pub class: Class,
    /// The rule that said so; `default` where none did.
    pub by: Arc<str>,
    /// What else is known of it: `rag`, `vision`, `tools`, `voice`...
    pub labels: Vec<Arc<str>>,
    /// The model that answers.
    pub model: Arc<str>,
    /// The sampling profile's name.
    pub profile: Option<Arc<str>>,
    /// Whether the model thinks first; `None` leaves it to the model.
    pub thinking: Option<bool>,
    /// Sampling values after profile, client and limits.
    pub sampling: chat::Sampling,
    /// Limit of generated tokens.
    pub max_tokens: Option<u32>,
    /// How urgent it is.
    pub queue: Queue,
    /// What happens to the answer.
    pub answer: AnswerRules,
    /// Whether the answer is shared with requests that ask the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Set where an explicit rule refuses the request.
    pub deny: Option<Denial>,
}

impl Decision {
    /// What an answer's reader must know of it, beside what it knows of the model; `stop` are the client's own strings.
    #[must_use]
    pub fn answer_options(&self, stop: &[String]) -> AnswerOptions {
        AnswerOptions {
            stop: stop.iter().chain(&self.answer.stop).cloned().collect(),
            think: self.answer.think.unwrap_or_default(),
            json: self.answer.json.clone(),
            fallback: self.queue.fallback.clone(),
            repetition: self.answer.repetition,
            ..AnswerOptions::default()
        }
    }
}

/// How urgent a request is and what happens when its time is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queue {
    /// The queue class's name.
    pub name: Arc<str>,
    /// 0 is the most urgent.
    pub urgency: u8,
    /// Longest time until the answer has to be there.
    #[serde(rename = "deadline_ms", serialize_with = "as_millis")]
    pub deadline: Option<Duration>,
    /// The answer where the model gives none that can be used.
    pub fallback: Option<Arc<str>>,
    /// Whether that is the answer, and the model is not asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub instead: bool,
}

impl Queue {
    /// The answer that is given at once, without asking the model.
    #[must_use]
    pub fn instead(&self) -> Option<&Arc<str>> {
        self.fallback.as_ref().filter(|_| self.instead)
    }
}

/// An answer that is shared with requests that ask the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// The rule.
    pub by: Arc<str>,
    /// How long it is given again; zero: only while it is being made.
    #[serde(rename = "ttl_ms", serialize_with = "millis")]
    pub ttl: Duration,
}

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    time.as_millis().serialize(serializer)
}

fn as_millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_millis()).serialize(serializer)
}

/// What happens to the answer on its way out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerRules {
    /// Where thinking goes; without a rule, that of the engine to `reasoning_content`, and an upstream's stays where it
    /// is.
    pub think: Option<Think>,
    /// The JSON that the client parses from the answer; mended where the model got it wrong.
    pub json: Option<JsonShape>,
    /// Ends an answer that goes round in circles.
    pub repetition: Option<Repetition>,
    /// Strings that end the answer, beside the client's own.
    pub stop: Vec<String>,
}

/// A refusal by an explicit rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The rule.
    pub by: Arc<str>,
    /// What the client is told.
    pub message: String,
}
