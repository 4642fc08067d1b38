//! The two places that texts are put into: the system prompt and the last user message.

use super::Unstable;
use crate::{
    chat::Role,
    policy::{
        Rewriter,
        file::{
            keys::{Key, Kind},
            table::Table,
        },
    },
};

const PLACES: Kind = Kind::Choice(&["system", "last_user"]);

/// The key `to`.
pub(super) const TARGET: Key =
    Key::required("to", PLACES, "The system prompt or the last user message.");

/// The key `from`.
pub(super) const ORIGIN: Key = Key::required(
    "from",
    PLACES,
    "The system prompt or the last user message.",
);

/// A place for texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    System,
    LastUser,
}

/// The place that a key names.
pub(super) fn target(table: &Table<'_>, key: &str) -> Option<Target> {
    match table.text(key)? {
        "system" => Some(Target::System),
        "last_user" => Some(Target::LastUser),
        _ => None,
    }
}

impl Target {
    /// The message at this place.
    pub(super) fn message(self, request: &Rewriter<'_>) -> Option<usize> {
        match self {
            Self::System => request.first(Role::System),
            Self::LastUser => request.last(Role::User),
        }
    }

    /// Gives the place's text to `edit`, whose result takes its place. Where there is no system prompt, or an empty one,
    /// `alone` becomes it.
    pub(super) fn join(
        self,
        request: &mut Rewriter<'_>,
        what: &str,
        edit: impl FnOnce(&str) -> Option<String>,
        alone: &str,
    ) {
        let Some(index) = self.message(request) else {
            match self {
                Self::System => request.insert_text(0, Role::System, alone, what),
                Self::LastUser => request.leave("there is no user message"),
            }
            return;
        };
        let text = request.text(index);
        let new = if text.trim().is_empty() {
            Some(alone.to_owned())
        } else {
            edit(&text)
        };
        if let Some(new) = new {
            request.set_text(index, new, what);
        }
    }

    /// What a text at this place does to the prefix of the next turn.
    pub(super) fn unstable(self) -> Option<Unstable> {
        (self == Self::LastUser).then_some(Unstable {
            why: "it changes the last user message, which in the next turn is no longer the last",
            cost: "each turn reads the previous question and answer again",
        })
    }
}

/// Takes system messages without text out.
pub(super) fn drop_empty_system(request: &mut Rewriter<'_>) {
    for index in (0..request.len()).rev() {
        let system = request
            .message(index)
            .is_some_and(|message| message.role == Role::System);
        if system && request.text(index).trim().is_empty() {
            request.remove(index, "nothing left");
        }
    }
}
