//! Whether a person's request is likely to follow a task.
//!
//! Open WebUI asks for the title of a new chat before it sends the chat itself, and for everything else after it. So
//! a task announces a chat if nothing that a person waits for has come of its conversation lately. If a task is held
//! back without need, the NPU was idle anyway, and nobody waits for it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::Time;
use crate::engine::Origin;

/// For how long after a chat nothing new is expected: its tasks come within a second of its end, the last of them
/// when those before are done.
const RECENT: Duration = Duration::from_secs(30);
/// Places that are remembered at least, if they are not outdated.
const REMEMBERED: usize = 256;

type Key = Option<Arc<str>>;

/// When each place was heard of last.
#[derive(Debug, Default)]
pub(super) struct Presence(HashMap<Key, (Time, Arc<[u64]>)>);

impl Presence {
    /// A person's request has come or ended.
    pub(super) fn note(&mut self, origin: &Origin, messages: &Arc<[u64]>, now: Time) {
        if self.0.len() > REMEMBERED {
            self.0
                .retain(|_, (last, _)| now.saturating_sub(*last) < RECENT);
        }
        self.0
            .insert(key(origin).clone(), (now, Arc::clone(messages)));
    }

    /// The messages of the last one from the same place.
    pub(super) fn last(&self, origin: &Origin) -> Arc<[u64]> {
        let last = self.0.get(key(origin));
        last.map_or_else(|| [].into(), |(_, messages)| Arc::clone(messages))
    }

    /// Whether a person's request of the same conversation came or ended lately. Of a client that does not name its
    /// conversations nobody knows: the task may belong to a new one.
    pub(super) fn is_recent(&self, origin: &Origin, now: Time) -> bool {
        origin.conversation.is_some()
            && self
                .0
                .get(key(origin))
                .is_some_and(|(last, _)| now.saturating_sub(*last) < RECENT)
    }
}

/// Whether two jobs come from the same place.
pub(super) fn same(one: &Origin, other: &Origin) -> bool {
    key(one) == key(other)
}

/// The conversation, else the user, else everyone who says neither.
fn key(origin: &Origin) -> &Key {
    if origin.conversation.is_some() {
        &origin.conversation
    } else {
        &origin.user
    }
}
