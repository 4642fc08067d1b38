//! One request as the log keeps it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    chat::{self, Sampling, Usage, answer::Answer},
    engine::Miss,
    policy::Trace,
};

/// Stands for the model and its provider where the rules gave the answer.
pub const NOBODY: &str = "rkgate";

/// One request: what is known of it whatever the content mode, and its content where that is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// When the request's header was complete, in milliseconds since 1970.
    pub time: i64,
    /// The request's id, as in `x-request-id`.
    pub request: String,
    /// The conversation that it belongs to, where the client says so.
    pub conversation: Option<String>,
    /// The instance of rkgate that wrote it, where several share a log.
    pub instance: Option<String>,
    /// Who called: the name of the API key, or the program.
    pub client: Option<String>,
    /// For whom, where the client says so.
    pub user: Option<String>,
    /// What it was for, e.g. `task/title_generation`.
    pub class: Cow<'static, str>,
    /// What else is known of it.
    pub labels: Vec<Arc<str>>,
    /// The model that was asked for.
    pub asked: String,
    /// The model that answered; empty where none was found.
    pub model: Arc<str>,
    /// `rkllm` for the embedded engine, [`NOBODY`] where no model was asked, else the upstream's name.
    pub provider: String,
    /// The sampling profile.
    pub profile: Option<Arc<str>>,
    /// The generation of rules and policies that decided; 0 where none did.
    pub policy: u64,
    /// The HTTP status; 499 where the client went away first.
    pub status: u16,
    /// Why the answer ended: `stop`, `length`, `tool_calls` or what an upstream called it.
    pub finish: Option<Cow<'static, str>>,
    /// What went wrong.
    pub error: Option<String>,
    /// Tokens, where they were counted.
    pub usage: Option<Usage>,
    /// Why much of the prompt was not found in the engine's KV cache.
    pub miss: Option<Miss>,
    /// Where the time went.
    pub timings: Timings,
    /// How much of the content is here, and why.
    pub kept: Kept,
    /// What was said.
    pub content: Option<Content>,
}

impl Record {
    /// Whether anything was sent to a model, as far as its answer tells.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        let is_answered = self.status < 400 || self.timings.first_token.is_some();
        !self.model.is_empty() && self.provider != NOBODY && is_answered
    }
}

/// Where the time of a request went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for the NPU: before the first run, and where the request gave way to others.
    pub queued: Option<Duration>,
    /// From the header's end to the first token or byte of the answer.
    pub first_token: Option<Duration>,
    /// From the header's end to the answer's end.
    pub total: Duration,
    /// Time of the NPU for writing the answer, where the engine says so.
    pub decode: Option<Duration>,
}

impl Timings {
    /// Tokens per second after the first one.
    #[must_use]
    pub fn tokens_per_second(&self, usage: Option<Usage>) -> Option<f64> {
        let further = usage?
            .completion
            .checked_sub(1)
            .filter(|count| *count > 0)?;
        let writing = self.decode.or_else(|| self.writing())?.as_secs_f64();
        (writing > 0.0).then(|| f64::from(further) / writing)
    }

    /// The time in which the answer was written, as far as that can be told from outside.
    fn writing(&self) -> Option<Duration> {
        // What has waited for longer than its first token took has given way in the middle of its answer. Without that
        // wait, its time is right but for the reading of its prompt.
        let begun = self.first_token?.max(self.queued.unwrap_or_default());
        self.total.checked_sub(begun)
    }
}

/// How much of a request's content is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    #[default]
    Full,
    /// What the redaction rules left.
    Redacted,
    /// Nothing: the configuration says so.
    Off,
    /// Nothing: the request asked for that.
    OptedOut,
    /// Nothing: the writer could not keep up.
    Dropped,
    /// Nothing: the request could not be read, or is of a kind that rkgate passes on unread.
    Unread,
    /// Nothing that could be read again: the record is damaged. Never written.
    Damaged,
}

impl Kept {
    /// Every value, in the order of its number in the database.
    pub(super) const ALL: [Self; 7] = [
        Self::Full,
        Self::Redacted,
        Self::Off,
        Self::OptedOut,
        Self::Dropped,
        Self::Unread,
        Self::Damaged,
    ];

    /// The word in exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Redacted => "redacted",
            Self::Off => "off",
            Self::OptedOut => "opted_out",
            Self::Dropped => "dropped",
            Self::Unread => "unread",
            Self::Damaged => "damaged",
        }
    }
}

/// What was said, before and after the rewrite, and what was answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// The request's headers that rules can look at; names in lower case, no secrets.
    pub headers: Vec<(String, String)>,
    /// The request as it came.
    pub before: Arc<chat::Request>,
    /// The request as it was sent, where that differs.
    pub after: Option<Arc<chat::Request>>,
    /// Why.
    pub trace: Arc<Trace>,
    /// Sampling values really used.
    pub sampling: Sampling,
    /// The limit of generated tokens really used.
    pub max_tokens: Option<u32>,
    /// Whether the model was to think, where that was decided.
    pub thinking: Option<bool>,
    /// The answer; where it is none that can be read, its text as it came.
    pub answer: Answer,
    /// Why the answer, or a part of it, could not be read.
    pub unread: Option<String>,
}

impl Content {
    /// The request that the model saw.
    #[must_use]
    pub fn sent(&self) -> &chat::Request {
        self.after.as_deref().unwrap_or(&self.before)
    }

    /// What the person, or the task's template, said last.
    #[must_use]
    pub fn last_user(&self) -> Cow<'_, str> {
        let mut messages = self.before.messages.iter().rev();
        messages
            .find(|message| message.role == chat::Role::User)
            .map_or(Cow::Borrowed(""), |message| message.content.text())
    }
}

/// A record in a list: everything but its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The record's number; newer records have higher ones.
    pub id: i64,
    /// Its metadata.
    pub record: Record,
    /// The beginning of what the person said last; empty where no content is kept.
    pub preview: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_of_what_gave_way_is_no_writing() {
        let usage = Usage {
            completion: 11,
            ..Usage::default()
        };
        let speed = |queued, decode: Option<u64>| {
            let timings = Timings {
                decode: decode.map(Duration::from_secs),
                queued: Some(Duration::from_secs(queued)),
                first_token: Some(Duration::from_secs(2)),
                total: Duration::from_secs(12),
            };
            timings.tokens_per_second(Some(usage))
        };
        assert_eq!((speed(1, None), speed(7, None)), (Some(1.0), Some(2.0)));
        // The engine knows better: it was read once more in between.
        assert_eq!(speed(7, Some(4)), Some(2.5));
        assert_eq!(speed(7, Some(0)), None);
    }
}
