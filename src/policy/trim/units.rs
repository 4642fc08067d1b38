//! What stays or goes as a whole.

use std::ops::Range;

use crate::chat::{Message, Role};

/// A question; or an answer with the results of its tool calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Its messages, without system messages.
    pub(super) messages: Range<usize>,
    /// Whether it is a question.
    pub(super) asks: bool,
    /// Whether a turn begins with it.
    pub(super) starts_turn: bool,
    /// Whether a client may have asked for an answer here.
    pub(super) ends_request: bool,
}

/// The units of a conversation, in order. A user message behind another one belongs to the same turn.
pub(super) fn split<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut before = None;
    for (index, message) in messages.enumerate() {
        if message.role == Role::System {
            continue;
        }
        let asks = message.role == Role::User;
        match units.last_mut() {
            // Nothing stands between a call and its result but other results.
            Some(unit) if message.role == Role::Tool && unit.messages.end == index => {
                unit.messages.end += 1;
                unit.ends_request = true;
            }
            _ => units.push(Unit {
                messages: index..index + 1,
                asks,
                starts_turn: asks && before != Some(Role::User),
                ends_request: asks || message.role == Role::Tool,
            }),
        }
        before = Some(message.role);
    }
    if let Some(first) = units.first_mut() {
        first.starts_turn = true;
    }
    units
}
