//! The rewrite operations, one file each (`prepend` and `append` share theirs): code, keys, documentation and examples that run as tests.
//!
//! An operation is pure: no I/O, no clock, no randomness. It works message by message, and what it makes of a message
//! should depend on that message alone, so that a conversation that only grew rewrites to one that only grew and the
//! model's prefix cache stays good. One that must look further says so in [`Operation::unstable`]. Applied to its own
//! result it changes nothing more.

mod affix;
mod cap;
mod condense;
mod freeze_clock;
mod merge_turns;
mod move_block;
mod remove_phrases;
mod repack_context;
mod replace;
mod set_system;
mod shorten;
mod soft_switch;
mod strip_block;
mod target;

use std::fmt;

use target::{ORIGIN, TARGET, Target, drop_empty_system, target};

use super::{
    Rewriter,
    context::Context,
    file::{
        keys::{Key, Kind},
        table::Table,
    },
};
use crate::{chat::Role, problem::Problem};

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

/// Every operation, in the order of the reference.
pub(crate) const ALL: &[&Description] = &[
    &strip_block::DESCRIPTION,
    &remove_phrases::DESCRIPTION,
    &replace::DESCRIPTION,
    &shorten::DESCRIPTION,
    &condense::DESCRIPTION,
    &repack_context::DESCRIPTION,
    &cap::DESCRIPTION,
    &freeze_clock::DESCRIPTION,
    &move_block::DESCRIPTION,
    &set_system::DESCRIPTION,
    &affix::PREPEND,
    &affix::APPEND,
    &soft_switch::DESCRIPTION,
    &merge_turns::DESCRIPTION,
];

/// What is known of an operation before any rule uses it.
#[derive(Debug)]
pub(crate) struct Description {
    /// The word in `op = "..."`.
    pub(crate) name: &'static str,
    /// What it does, in a sentence.
    pub(crate) summary: &'static str,
    /// More, in Markdown: what is left alone, limits, when to use it. May be empty.
    pub(crate) details: &'static str,
    /// Its own keys; those of every rewrite rule come on top.
    pub(crate) keys: &'static [Key],
    /// Uses with their effect; they run as tests and stand in the reference.
    pub(crate) examples: &'static [Example],
    /// The one thing that it determines as a whole, e.g. `the system prompt`: two rules for the same requests that
    /// determine the same thing must say by `after` which is the last word.
    pub(crate) sets: Option<&'static str>,
    /// Reads its keys. What is wrong with them goes to the problems; `None` where no operation comes of them.
    pub(crate) compile: Compile,
}

/// From a rule's table to its operation.
pub(crate) type Compile = fn(&Table<'_>, &mut Vec<Problem>) -> Option<Box<dyn Operation>>;

/// One use of an operation.
#[derive(Debug)]
pub(crate) struct Example {
    /// What it shows.
    pub(crate) title: &'static str,
    /// The rule's keys, without `id` and `on`.
    pub(crate) rule: &'static str,
    /// What the request is for: a class's name.
    pub(crate) class: &'static str,
    /// The request as JSON in the OpenAI format; `model` may be left out.
    pub(crate) before: &'static str,
    /// What becomes of it, likewise. The same as `before` where the operation leaves it alone.
    pub(crate) after: &'static str,
}

/// An operation with its keys' values.
pub(crate) trait Operation: Send + Sync + fmt::Debug {
    /// Changes the request. Where there is nothing to do it may say why by [`Rewriter::leave`].
    fn apply(&self, request: &mut Rewriter<'_>, context: &Context<'_>);

    /// Set where the result for a message depends on more than that message.
    fn unstable(&self) -> Option<Unstable> {
        None
    }
}

/// Why earlier parts of a prompt can change from one turn to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unstable {
    /// What the result depends on, e.g. "it looks at the last user message".
    pub(crate) why: &'static str,
    /// What that costs, e.g. "the previous turn is read again in each turn".
    pub(crate) cost: &'static str,
}

/// The operation of this name.
pub(crate) fn find(name: &str) -> Option<&'static Description> {
    ALL.iter().copied().find(|op| op.name == name)
}

/// The key `role`, for operations that work on the messages of one role.
pub(crate) const ROLE: Key = Key::required(
    "role",
    Kind::Choice(&["system", "user", "assistant", "tool"]),
    "Whose messages.",
);

/// The value of [`ROLE`].
pub(crate) fn role(table: &Table<'_>) -> Option<Role> {
    role_named(table.text("role")?)
}

/// The role of this name.
pub(crate) fn role_named(name: &str) -> Option<Role> {
    match name {
        "system" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        "tool" => Some(Role::Tool),
        _ => None,
    }
}
