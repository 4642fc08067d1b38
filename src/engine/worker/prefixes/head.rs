//! Where a prompt's head ends: what the template makes of the system message and the tools.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use super::super::{prepare, template::Template, tokenizer::ModelTokenizer};
use crate::chat::Request;

/// Heads that are remembered, so that they are not rendered for every prompt.
const REMEMBERED: usize = 8;

/// The last heads.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// By their texts, oldest first.
    known: VecDeque<(u64, Vec<u32>)>,
}

impl Heads {
    /// Tokens at the beginning of a request's prompt that another conversation with the same system message and tools
    /// would begin with too.
    pub(crate) fn length(
        &mut self,
        tokenizer: &ModelTokenizer,
        template: &Template,
        request: &Request,
        prompt: &[u32],
    ) -> usize {
        let Some(key) = key(request) else {
            return 0;
        };
        let known = self.known.iter().find(|(other, _)| *other == key);
        if let Some((_, head)) = known.filter(|(_, head)| prompt.starts_with(head)) {
            return head.len();
        }
        let Ok(other) = prepare::beginning(tokenizer, template, request) else {
            return 0;
        };
        let common = prompt.iter().zip(&other).take_while(|(a, b)| a == b);
        let head: Vec<u32> = common.map(|(id, _)| *id).collect();
        let length = head.len();
        self.known.retain(|(other, _)| *other != key);
        if self.known.len() >= REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back((key, head));
        length
    }
}

/// What makes a head; nothing where there is none.
fn key(request: &Request) -> Option<u64> {
    let system = prepare::opening(request);
    if system.is_empty() && request.tools.is_empty() {
        return None;
    }
    let mut hash = DefaultHasher::new();
    for message in system {
        message.content.text().hash(&mut hash);
    }
    for tool in &request.tools {
        tool.definition.to_string().hash(&mut hash);
    }
    request.thinking.hash(&mut hash);
    Some(hash.finish())
}
