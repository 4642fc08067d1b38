//! A job in the schedule.

use std::{sync::Arc, time::Duration};

use super::{ModelIndex, Time};
use crate::engine::{Origin, QueueClass, protocol::JobId};

/// A job that asks for the NPU.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Arrival {
    pub(in crate::engine) job: JobId,
    pub(in crate::engine) model: ModelIndex,
    /// Its deadline counts as [`Arrival::deadline`] says, on the schedule's clock.
    pub(in crate::engine) class: QueueClass,
    pub(in crate::engine) deadline: Option<Time>,
    pub(in crate::engine) origin: Origin,
    /// Tokens at the prompt's beginning that the model's KV cache holds.
    pub(in crate::engine) reusable: u32,
    /// How long a run that says little is likely to take, where that is known.
    pub(in crate::engine) expected: Option<Duration>,
    /// The messages of a conversation as numbers, to know which one it goes on with.
    pub(in crate::engine) messages: Arc<[u64]>,
}

/// What is known of a job before its prompt is prepared.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Newcomer<'a> {
    pub(in crate::engine) class: &'a QueueClass,
    pub(in crate::engine) origin: &'a Origin,
    /// As [`Arrival::messages`].
    pub(in crate::engine) messages: &'a [u64],
}

impl Arrival {
    pub(super) fn newcomer(&self) -> Newcomer<'_> {
        Newcomer {
            class: &self.class,
            origin: &self.origin,
            messages: &self.messages,
        }
    }
}

/// A job that waits or runs.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) model: ModelIndex,
    pub(super) class: QueueClass,
    pub(super) deadline: Option<Time>,
    pub(super) origin: Origin,
    pub(super) reusable: u32,
    pub(super) expected: Option<Duration>,
    pub(super) messages: Arc<[u64]>,
    /// The last conversation that came from the same place before it.
    pub(super) behind: Arc<[u64]>,
    /// Number of its arrival.
    pub(super) number: u64,
    pub(super) arrived: Time,
    /// It does not run before this, as its chat may be on its way.
    pub(super) held_until: Option<Time>,
    /// Since when others go before it although it would be its turn.
    pub(super) passed_over: Option<Time>,
    /// Whether it has lost the NPU to a more urgent job.
    pub(super) preempted: bool,
    /// Jobs before it that it was told of last; of none at first.
    pub(super) told: usize,
}

impl Entry {
    pub(super) fn new(arrival: Arrival, number: u64, now: Time) -> Self {
        Self {
            model: arrival.model,
            class: arrival.class,
            deadline: arrival.deadline,
            origin: arrival.origin,
            reusable: arrival.reusable,
            expected: arrival.expected,
            messages: arrival.messages,
            behind: [].into(),
            number,
            arrived: now,
            held_until: None,
            passed_over: None,
            preempted: false,
            told: 0,
        }
    }

    /// Whether a person waits for the answer.
    pub(super) fn person_waits(&self) -> bool {
        self.class.urgency <= QueueClass::PERSON_WAITS
    }

    /// Whether this question makes it pointless.
    pub(super) fn is_outdated_by(&self, question: &Newcomer<'_>) -> bool {
        let goes_on = match (&self.origin.conversation, &question.origin.conversation) {
            (Some(own), Some(other)) => own == other,
            _ => {
                !self.behind.is_empty()
                    && question.messages.len() > self.behind.len()
                    && question.messages.starts_with(&self.behind)
            }
        };
        self.class.until_question && goes_on
    }

    /// The urgency that it has by now.
    ///
    /// Without a deadline it rises to what its class allows, at most to that of a chat: nothing else would ever let the
    /// job run while people keep the NPU busy. With a deadline something happens anyway, and no person has to wait for
    /// a task.
    pub(super) fn urgency(&self, now: Time) -> u8 {
        let highest = match self.deadline {
            Some(_) => QueueClass::PERSON_WAITS + 1,
            None => self.class.ages_to,
        };
        let waited = self.waited(now);
        let risen = waited.as_secs() / AGEING.as_secs();
        let risen = u8::try_from(risen).unwrap_or(u8::MAX);
        let base = self.class.urgency;
        base.saturating_sub(risen).max(highest.min(base))
    }

    /// Whether it would be more urgent by now, had its class not set a limit.
    pub(super) fn is_held_down(&self, now: Time) -> bool {
        self.class.ages_to > 0 && self.waited(now) >= AGEING
    }

    fn waited(&self, now: Time) -> Duration {
        now.saturating_sub(self.arrived)
    }
}

/// Waiting for this long makes a job more urgent by one.
pub(super) const AGEING: Duration = Duration::from_secs(30);
