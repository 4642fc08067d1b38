//! Why a prompt had to be read that the KV cache might have held.
//!
//! Each worker reads one conversation after the other, and its KV cache holds the last one. What is known of the last
//! prompts tells whether a conversation has changed, or another one has come in between.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use super::{Job, Prompt, QueueClass, schedule::ModelIndex};
use crate::chat::{Message, Request, Role};

/// Conversations that are remembered.
const REMEMBERED: usize = 256;

/// Tokens that may be read again although nothing was missed: how a template opens an answer differs from how it
/// writes one later.
const SLACK: u32 = 16;

/// Why most of a prompt, or of what was the prompt before, was not found in the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// The conversation was not known.
    NewChat,
    /// A task stands for itself.
    Task,
    /// The system message or the tools differ from the last turn's.
    SystemChanged,
    /// The oldest messages were left out.
    Trimmed,
    /// Earlier messages differ: edited, generated anew, context that has moved, thinking that is left out.
    Rewritten,
    /// The model has run something else in between.
    Intruded,
    /// The model was unloaded in between, or another instance of it reads the conversation now.
    Evicted,
}

impl Miss {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::NewChat,
        Self::Task,
        Self::SystemChanged,
        Self::Trimmed,
        Self::Rewritten,
        Self::Intruded,
        Self::Evicted,
    ];

    /// The name in metrics, log lines and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewChat => "new_chat",
            Self::Task => "task",
            Self::SystemChanged => "system_changed",
            Self::Trimmed => "trimmed",
            Self::Rewritten => "rewritten",
            Self::Intruded => "intruded",
            Self::Evicted => "evicted",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|miss| miss.as_str() == name)
    }

    /// Why the rest of the prompt was read, for people.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::NewChat => "the conversation was not known",
            Self::Task => "a task stands for itself",
            Self::SystemChanged => "the system message or the tools have changed",
            Self::Trimmed => "the oldest messages were left out",
            Self::Rewritten => "earlier messages have changed",
            Self::Intruded => "the model had run something else in between",
            Self::Evicted => "the model had been unloaded in between",
        }
    }
}

/// A prompt by its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    task: bool,
    conversation: Option<Arc<str>>,
    system: u64,
    messages: Arc<[u64]>,
    /// The messages without what stood before a question.
    said: Arc<[u64]>,
}

impl Fingerprint {
    /// What a person and the model have said, as numbers; nothing of a task. Passages that were found for a question, or
    /// memories, stand before it in that turn only, and do not count.
    pub(super) fn said(&self) -> Arc<[u64]> {
        if self.task {
            [].into()
        } else {
            Arc::clone(&self.said)
        }
    }

    /// Whether it is a task or another job that stands for itself.
    pub(super) fn is_task(&self) -> bool {
        self.task
    }

    /// Whether it is a later turn of the conversation that `old` is a turn of.
    pub(super) fn goes_on_with(&self, old: &Self) -> bool {
        let same = match (&old.conversation, &self.conversation) {
            (Some(old), Some(new)) => old == new,
            _ => {
                self.messages.len() > old.messages.len() && self.messages.starts_with(&old.messages)
            }
        };
        same && !old.task && !self.task
    }

    /// Whether it says to belong to the same conversation.
    pub(super) fn is_about(&self, other: &Self) -> bool {
        self.conversation.is_some() && self.conversation == other.conversation
    }

    pub(super) fn of(job: &Job) -> Self {
        let Parts {
            system,
            messages,
            said,
        } = match &job.prompt {
            Prompt::Chat(request) => Parts::of(request),
            Prompt::Text(text) => Parts {
                system: 0,
                messages: vec![hash(text)],
                said: vec![hash(text)],
            },
            // Stands for itself, as a task does.
            Prompt::Embed(_) => Parts::default(),
        };
        Self {
            task: job.queue.fallback
                || job.queue.urgency > QueueClass::PERSON_WAITS
                || matches!(job.prompt, Prompt::Embed(_)),
            conversation: job.origin.conversation.clone(),
            system,
            messages: messages.into(),
            said: said.into(),
        }
    }

    #[cfg(test)]
    pub(super) fn for_test(task: bool, conversation: Option<&str>, messages: &[u64]) -> Self {
        Self {
            task,
            conversation: conversation.map(Into::into),
            system: 0,
            messages: messages.into(),
            said: messages.into(),
        }
    }
}

/// A conversation as numbers.
#[derive(Default)]
struct Parts {
    system: u64,
    messages: Vec<u64>,
    said: Vec<u64>,
}

impl Parts {
    fn of(request: &Request) -> Self {
        let mut system = DefaultHasher::new();
        for tool in &request.tools {
            tool.definition.to_string().hash(&mut system);
        }
        let mut parts = Self::default();
        for message in &request.messages {
            match message.role {
                Role::System => message.content.text().hash(&mut system),
                Role::User | Role::Assistant | Role::Tool => {
                    let whole = part(message);
                    parts.messages.push(whole);
                    parts.said.push(match message.role {
                        // The question stands last, whatever was put before it.
                        Role::User => hash(message.content.text().trim().rsplit("\n\n").next()),
                        _ => whole,
                    });
                }
            }
        }
        parts.system = system.finish();
        parts
    }
}

fn part(message: &Message) -> u64 {
    let calls = message.tool_calls.iter();
    let calls: Vec<_> = calls.map(|call| (&call.name, &call.arguments)).collect();
    hash((message.role, message.content.text().trim(), calls))
}

fn hash(value: impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A run that has read its prompt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// The model's first instance, whichever ran it.
    pub(super) model: ModelIndex,
    /// Process that ran it; another one is another KV cache.
    pub(super) worker: Option<u32>,
    /// Tokens of the prompt.
    pub(super) prompt: u32,
    /// Of these, tokens that the KV cache held.
    pub(super) cached: u32,
}

/// What was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Why.
    pub why: Miss,
    /// Tokens that had been read for the conversation's last turn, and had to be read again.
    pub lost: u32,
}

/// The last prompts.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    /// Oldest first.
    known: VecDeque<Known>,
}

#[derive(Debug)]
struct Known {
    print: Fingerprint,
    reading: Reading,
}

impl Conversations {
    /// A prompt was read. What of it was missed, if that is worth a word.
    pub(super) fn read(&mut self, print: Fingerprint, reading: Reading) -> Option<Missed> {
        let last = self.last(&print, reading.model);
        let missed = match last {
            None => Some(Missed {
                why: if print.task {
                    Miss::Task
                } else {
                    Miss::NewChat
                },
                lost: 0,
            }),
            Some(at) => self.missed(at, &print, reading),
        };
        if let Some(at) = last {
            self.known.remove(at);
        } else if self.known.len() >= REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(Known { print, reading });
        missed
    }

    /// The last turn of the conversation.
    fn last(&self, print: &Fingerprint, model: ModelIndex) -> Option<usize> {
        let follows =
            |known: &Known| print.goes_on_with(&known.print) && known.reading.model == model;
        self.known.iter().rposition(follows)
    }

    fn missed(&self, at: usize, print: &Fingerprint, now: Reading) -> Option<Missed> {
        let known = self.known.get(at)?;
        let (old, before) = (&known.print, known.reading);
        let lost = before.prompt.min(now.prompt).saturating_sub(now.cached);
        if lost <= SLACK {
            return None;
        }
        let mut since = self.known.range(at + 1..);
        let first = print.messages.first();
        let why = if before.worker != now.worker {
            Miss::Evicted
        } else if old.system != print.system {
            Miss::SystemChanged
        } else if first != old.messages.first()
            && first.is_some_and(|first| old.messages.contains(first))
        {
            Miss::Trimmed
        } else if !print.messages.starts_with(&old.messages) {
            Miss::Rewritten
        } else if since.any(|other| other.reading.worker == now.worker) {
            Miss::Intruded
        } else if now.cached == 0 {
            // The worker has loaded its model again.
            Miss::Evicted
        } else {
            Miss::Rewritten
        };
        Some(Missed { why, lost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(conversation: Option<&str>, system: u64, messages: &[u64]) -> Fingerprint {
        Fingerprint {
            task: false,
            conversation: conversation.map(Into::into),
            system,
            messages: messages.into(),
            said: messages.into(),
        }
    }

    fn task() -> Fingerprint {
        Fingerprint {
            task: true,
            ..print(Some("a"), 0, &[9])
        }
    }

    fn reading(prompt: u32, cached: u32) -> Reading {
        Reading {
            model: ModelIndex(0),
            worker: Some(1),
            prompt,
            cached,
        }
    }

    /// A first turn of 1000 tokens, what comes between, and a second turn: why it was not found.
    fn second(between: &[Fingerprint], now: Fingerprint, reading_now: Reading) -> Option<Miss> {
        let mut conversations = Conversations::default();
        let first = print(Some("a"), 7, &[1, 2, 3]);
        let new = conversations.read(first, reading(1000, 0));
        assert_eq!(new.map(|missed| missed.why), Some(Miss::NewChat));
        for other in between {
            conversations.read(other.clone(), reading(100, 0));
        }
        conversations
            .read(now, reading_now)
            .map(|missed| missed.why)
    }

    #[test]
    fn each_miss_has_its_reason() {
        let next = || print(Some("a"), 7, &[1, 2, 3, 4, 5]);
        assert_eq!(second(&[], next(), reading(1200, 996)), None);
        assert_eq!(second(&[task()], next(), reading(1200, 1000)), None);
        assert_eq!(
            second(&[task()], next(), reading(1200, 3)),
            Some(Miss::Intruded)
        );
        assert_eq!(
            second(&[], next(), reading(1200, 700)),
            Some(Miss::Rewritten)
        );
        assert_eq!(second(&[], next(), reading(1200, 0)), Some(Miss::Evicted));
        let elsewhere = Reading {
            worker: Some(2),
            ..reading(1200, 0)
        };
        assert_eq!(second(&[task()], next(), elsewhere), Some(Miss::Evicted));
        let system = print(Some("a"), 8, &[1, 2, 3, 4, 5]);
        assert_eq!(
            second(&[], system, reading(1200, 5)),
            Some(Miss::SystemChanged)
        );
        let trimmed = print(Some("a"), 7, &[3, 4, 5]);
        assert_eq!(second(&[], trimmed, reading(900, 50)), Some(Miss::Trimmed));
        let edited = print(Some("a"), 7, &[1, 8]);
        assert_eq!(second(&[], edited, reading(900, 50)), Some(Miss::Rewritten));
        let other = print(Some("b"), 7, &[1, 2, 3, 4, 5]);
        assert_eq!(second(&[], other, reading(900, 50)), Some(Miss::NewChat));
        assert_eq!(second(&[], task(), reading(900, 50)), Some(Miss::Task));
    }

    #[test]
    fn without_a_name_a_conversation_is_known_by_its_beginning() {
        let mut conversations = Conversations::default();
        conversations.read(print(None, 0, &[1]), reading(500, 0));
        conversations.read(print(None, 0, &[8]), reading(500, 0));
        let missed = conversations.read(print(None, 0, &[1, 2, 3]), reading(600, 20));
        let expected = Missed {
            why: Miss::Intruded,
            lost: 480,
        };
        assert_eq!(missed, Some(expected));
        let again = conversations.read(print(None, 0, &[1]), reading(500, 480));
        assert_eq!(again.map(|missed| missed.why), Some(Miss::NewChat));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut conversations = Conversations::default();
        for message in 0..1000 {
            conversations.read(print(None, 0, &[message]), reading(1, 0));
        }
        assert_eq!(conversations.known.len(), REMEMBERED);
    }
}
