//! The keys of `when` and `unless`.

use super::keys::{Key, Kind};

/// Conditions on a request. All that are named must hold; within one, any of its words will do.
pub const CONDITION: &[Key] = &[
    Key::optional(
        "stream",
        Kind::Bool,
        "Whether the answer is wanted piece by piece.",
    ),
    Key::optional(
        "last_user_has",
        Kind::Groups,
        "Groups of phrases; all of one group must stand in the last user message, outside of quoted blocks \
         (`<chat_history>`, `<context>` and their like), code fences and `>` quotes. Case of ASCII letters does not matter.",
    ),
    Key::optional(
        "last_user_shows",
        Kind::Groups,
        "As `last_user_has`, but code fences and `>` quotes count too.",
    ),
    Key::optional(
        "last_user_starts",
        Kind::Texts,
        "The last user message starts with one of these. White space is one space, case of ASCII letters does not matter, \
and a `/no_think` or `/think` at either end of the message is not looked at.",
    ),
    Key::optional(
        "last_user_ends",
        Kind::Texts,
        "The last user message ends with one of these, compared as `last_user_starts`.",
    ),
    Key::optional(
        "last_user_behind",
        Kind::Groups,
        "As `last_user_shows`, in what stands behind the last quoted block.",
    ),
    Key::optional(
        "last_user_introduces",
        Kind::Bool,
        "Whether the last user message introduces something that it quotes: its first paragraph ends with a colon or a \
question mark, and text that is no block follows.",
    ),
    Key::optional(
        "last_user_block",
        Kind::Texts,
        "The last user message holds a block in one of these tags, e.g. `chat_history`.",
    ),
    Key::optional(
        "system_has",
        Kind::Groups,
        "As `last_user_has`, in the system messages.",
    ),
    Key::optional(
        "system_shows",
        Kind::Groups,
        "As `last_user_shows`, in the system messages.",
    ),
    Key::optional(
        "system_block",
        Kind::Texts,
        "A system message holds a block in one of these tags.",
    ),
    Key::optional(
        "min_user_turns",
        Kind::Integer(0, 100_000),
        "At least so many user messages.",
    ),
    Key::optional(
        "max_user_turns",
        Kind::Integer(0, 100_000),
        "At most so many user messages.",
    ),
    Key::optional(
        "min_turns",
        Kind::Integer(0, 100_000),
        "At least so many messages that are not system messages.",
    ),
    Key::optional(
        "max_turns",
        Kind::Integer(0, 100_000),
        "At most so many messages that are not system messages.",
    ),
    Key::optional(
        "last_role",
        Kind::Choice(&["system", "user", "assistant", "tool"]),
        "Who spoke last.",
    ),
    Key::optional("tools", Kind::Bool, "Whether tools are offered."),
    Key::optional("images", Kind::Bool, "Whether a message holds an image."),
    Key::optional(
        "max_tokens_up_to",
        Kind::Integer(1, 10_000_000),
        "The client asked for at most so many tokens.",
    ),
    Key::optional(
        "model",
        Kind::Texts,
        "Globs of the model's id or the name that the client used, e.g. `qwen3-*`.",
    ),
    Key::optional(
        "family",
        Kind::Texts,
        "Globs of the model's family, e.g. `qwen3*`.",
    ),
    Key::optional(
        "upstream",
        Kind::Bool,
        "Whether an upstream answers and not the embedded engine.",
    ),
    Key::optional(
        "headers",
        Kind::Map(&Kind::Texts),
        "Header names with globs of their values; every header named must be there and match.",
    ),
    Key::optional(
        "class",
        Kind::Classes,
        "What the request is for. Not in [[classify]].",
    ),
    Key::optional(
        "labels",
        Kind::Texts,
        "All of these labels are set. Not in [[classify]] and [[label]].",
    ),
    Key::optional(
        "any_label",
        Kind::Texts,
        "At least one of these labels is set. Not in [[classify]] and [[label]].",
    ),
];
