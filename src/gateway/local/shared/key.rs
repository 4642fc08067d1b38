//! What two requests must have in common to share an answer.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    chat::{self, Message, Tool, ToolChoice},
    engine::Origin,
    policy::Decision,
};

/// All that makes two requests the same, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gateway::local) struct Key([u8; 32]);

/// What a request must have in common with another one. Whether it is streamed and how it spells the model's name is not
/// part of it.
#[derive(Debug, Serialize)]
pub(in crate::gateway::local) struct Same<'a> {
    /// The rules in force.
    generation: u64,
    /// The model that answers.
    model: &'a str,
    /// The API key's name.
    key: Option<&'a str>,
    user: Option<&'a str>,
    conversation: Option<&'a str>,
    /// Sampling, limits, what becomes of the answer.
    decision: &'a Decision,
    /// The conversation as the model sees it.
    messages: &'a [Message],
    tools: &'a [Tool],
    tool_choice: &'a ToolChoice,
    /// The client's own, beside those of the decision.
    stop: &'a [String],
    extra: &'a Map<String, Value>,
}

impl<'a> Same<'a> {
    /// Of a request that was decided by the rules of this generation, and is sent to this model. `key` names the API key
    /// that it came with.
    pub(in crate::gateway::local) fn new(
        generation: u64,
        model: &'a str,
        (key, origin): (Option<&'a str>, &'a Origin),
        decision: &'a Decision,
        sent: &'a chat::Request,
    ) -> Self {
        Self {
            generation,
            model,
            key,
            user: origin.user.as_deref(),
            conversation: origin.conversation.as_deref(),
            decision,
            messages: &sent.messages,
            tools: &sent.tools,
            tool_choice: &sent.tool_choice,
            stop: &sent.stop,
            extra: &sent.extra,
        }
    }

    /// `None` where it cannot be written down, which nothing in it leads to.
    pub(in crate::gateway::local) fn key(&self) -> Option<Key> {
        let text = serde_json::to_vec(self).ok()?;
        Some(Key(Sha256::digest(text).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Facts, Headers, Input, Platform, Set, shipped},
        wire::openai,
    };

    fn key(generation: u64, name: Option<&str>, user: Option<&str>, body: &str) -> Option<Key> {
        let set = Set::compile(&shipped::files(), Platform::Rk3588).ok()?.set;
        let request = openai::decode_chat(body.as_bytes()).ok()?;
        let decision = set.decide(&Input {
            request: &request,
            headers: Headers::new(&|name| {
                (name == "x-openwebui-task").then_some("query_generation")
            }),
            facts: &Facts::example(),
        });
        let origin = Origin {
            user: user.map(Into::into),
            conversation: None,
        };
        Same::new(
            generation,
            "m",
            (name, &origin),
            &decision.decision,
            &request,
        )
        .key()
    }

    #[test]
    fn what_changes_the_answer_or_who_may_see_it_changes_the_key() {
        let body = |more: &str| {
            format!(r#"{{"model": "m", "messages": [{{"role": "user", "content": "Hi"}}]{more}}}"#)
        };
        let this = key(1, None, None, &body(""));
        assert!(this.is_some());
        assert_eq!(this, key(1, None, None, &body(r#", "stream": true"#)));
        for other in [
            key(2, None, None, &body("")),
            key(1, Some("laptop"), None, &body("")),
            key(1, None, Some("ann"), &body("")),
            key(1, None, None, &body(r#", "stop": ["x"]"#)),
            key(1, None, None, &body(r#", "max_tokens": 3"#)),
            key(
                1,
                None,
                None,
                &body(r#", "tools": [{"type": "function", "function": {"name": "f"}}]"#),
            ),
        ] {
            assert!(other.is_some() && other != this);
        }
    }
}
