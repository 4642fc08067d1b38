//! The last turn of every chat: all others are in it.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use crate::{
    chat::{Message, Role},
    promptlog::Record,
};

/// Finds the last turns among records that come newest first. A chat is told by its id or, where the client sends none, by
/// the messages that a later request began with.
#[derive(Debug, Default)]
pub struct LastTurns {
    hasher: RandomState,
    /// Hashes of the ids of chats, and of the beginnings of requests: eight bytes for each message.
    seen: HashSet<u64>,
}

impl LastTurns {
    /// Whether a record is the last turn of its chat, among those that were asked about.
    pub fn is_last(&mut self, record: &Record) -> bool {
        if let Some(chat) = &record.conversation {
            let chat = self.hasher.hash_one(chat);
            return self.seen.insert(chat);
        }
        let Some(content) = &record.content else {
            return false;
        };
        let mut hash = self.hasher.build_hasher();
        // System messages tell the time of day.
        let said = content.before.messages.iter();
        let said = said.filter(|message| message.role != Role::System);
        let beginnings: Vec<u64> = said
            .map(|message| {
                add(message, &mut hash);
                hash.finish()
            })
            .collect();
        let is_last = beginnings
            .last()
            .is_none_or(|whole| !self.seen.contains(whole));
        self.seen.extend(beginnings);
        is_last
    }
}

fn add(message: &Message, hash: &mut impl Hasher) {
    message.role.hash(hash);
    message.content.text().hash(hash);
    for call in &message.tool_calls {
        (&call.name, &call.arguments).hash(hash);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::promptlog::tests::{NOW, chat, message};

    #[test]
    fn of_every_chat_the_last_turn_is_found() {
        for id in [Some("c1".to_owned()), None] {
            let turn = |user: &str, count: usize| {
                let mut record = chat(NOW, user, "And?");
                record.conversation = id.clone().map(|id| id + user);
                let request = Arc::make_mut(&mut record.content.as_mut().unwrap().before);
                for turn in 0..count {
                    request.messages.push(message(Role::Assistant, "And?"));
                    request
                        .messages
                        .push(message(Role::User, &format!("turn {turn}")));
                }
                // It is later by now.
                request.messages[0] = message(Role::System, &format!("It is {count}:00."));
                record
            };
            let mut turns = LastTurns::default();
            let mut last = |user, count| turns.is_last(&turn(user, count));
            let newest_first = [
                last("a", 2),
                last("b", 1),
                last("a", 1),
                last("b", 0),
                last("a", 0),
                last("c", 0),
            ];
            assert_eq!(
                newest_first,
                [true, true, false, false, false, true],
                "{id:?}"
            );
        }
    }
}
