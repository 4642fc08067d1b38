//! Answers as the model said them.
//!
//! A client sends an answer back as text: stripped at both ends, without its thinking, the arguments of its tool calls
//! spelt anew. Read from that text, the next prompt would part from what the KV cache holds where the answer begins. So
//! the ids of an answer are kept, found again by the conversation up to it, and put where its text would stand.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use serde_json::Value;

use crate::chat::{Message, Role};

/// Ids that are kept at most, of all answers together: 4 bytes each.
const LIMIT: usize = 1 << 18;

/// The answers of all conversations.
#[derive(Debug, Default)]
pub(super) struct Memory {
    answers: HashMap<u64, Kept>,
    /// Ids of all of them.
    size: usize,
    /// Counts what is kept and recalled.
    clock: u64,
}

#[derive(Debug)]
struct Kept {
    answer: Said,
    used: u64,
}

/// An answer as the model said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// What stood at its beginning in the prompt already, and what the model added, without the end token.
    pub(super) ids: Arc<[u32]>,
    /// Whether some of it is thinking. That stays until a person asks the next question, as the models' makers want it.
    pub(super) thought: bool,
}

impl Memory {
    /// Keeps the answer with which a conversation ends, the least recently used ones given up for it.
    pub(super) fn keep(&mut self, conversation: &Chain, answer: Said) {
        self.clock += 1;
        self.size += answer.ids.len();
        let used = self.clock;
        let before = self
            .answers
            .insert(conversation.key(), Kept { answer, used });
        self.size -= before.map_or(0, |before| before.answer.ids.len());
        while self.size > LIMIT {
            let oldest = self.answers.iter().min_by_key(|(_, kept)| kept.used);
            let Some(kept) = oldest
                .map(|(key, _)| *key)
                .and_then(|key| self.answers.remove(&key))
            else {
                return;
            };
            self.size -= kept.answer.ids.len();
        }
    }

    /// The answer with which a conversation ends.
    pub(super) fn recall(&mut self, conversation: &Chain) -> Option<Said> {
        let kept = self.answers.get_mut(&conversation.key())?;
        self.clock += 1;
        kept.used = self.clock;
        Some(kept.answer.clone())
    }
}

/// A conversation up to some message, as far as it tells which one that is: without what clients change in the model's
/// messages.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain(DefaultHasher);

impl Chain {
    /// The conversation goes on with this message.
    pub(super) fn add(&mut self, message: &Message) {
        let content = message.content.text();
        message.role.as_str().hash(&mut self.0);
        if message.role != Role::Assistant {
            content.hash(&mut self.0);
            return;
        }
        content.trim().hash(&mut self.0);
        for call in &message.tool_calls {
            call.name.hash(&mut self.0);
            match serde_json::from_str::<Value>(&call.arguments) {
                Ok(arguments) => arguments.to_string().hash(&mut self.0),
                Err(_) => call.arguments.hash(&mut self.0),
            }
        }
    }

    fn key(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn chain(messages: &[Value]) -> Chain {
        let mut chain = Chain::default();
        let body = json!({"model": "m", "messages": messages}).to_string();
        let request = crate::wire::openai::decode_chat(body.as_bytes()).unwrap();
        request
            .messages
            .iter()
            .for_each(|message| chain.add(message));
        chain
    }

    fn said(ids: &[u32]) -> Said {
        Said {
            ids: ids.into(),
            thought: false,
        }
    }

    #[test]
    fn an_answer_is_known_again_as_clients_send_it() {
        let question = json!({"role": "user", "content": " Sum? "});
        let call = |content: &str, arguments: &str| {
            json!({"role": "assistant", "content": content, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "add", "arguments": arguments}}]})
        };
        let mut memory = Memory::default();
        let told = call(" One moment.\n", r#"{"a": 2,  "b": 3}"#);
        memory.keep(&chain(&[question.clone(), told]), said(&[1, 2]));
        let mut recall = |messages: &[Value]| memory.recall(&chain(messages));
        let back = call("One moment.", r#"{"a":2,"b":3}"#);
        assert_eq!(
            recall(&[question.clone(), back.clone()]),
            Some(said(&[1, 2]))
        );
        let other = call("One moment.", r#"{"a":2,"b":4}"#);
        assert_eq!(recall(&[question.clone(), other]), None);
        let other = json!({"role": "user", "content": "Sum?"});
        assert_eq!(recall(&[other, back]), None);
        assert_eq!(recall(&[question]), None);
    }

    #[test]
    fn what_was_not_used_for_longest_is_given_up() {
        let nth = |n: usize| chain(&[json!({"role": "assistant", "content": n.to_string()})]);
        let mut memory = Memory::default();
        let half = vec![7; LIMIT / 2];
        memory.keep(&nth(0), said(&half));
        memory.keep(&nth(1), said(&half));
        memory.keep(&nth(1), said(&half));
        assert!(memory.recall(&nth(0)).is_some());
        memory.keep(&nth(2), said(&half));
        let left = [0, 1, 2].map(|n| memory.recall(&nth(n)).is_some());
        assert_eq!((left, memory.size), ([true, false, true], LIMIT));
    }
}
