//! The keys of `[[test]]`.

use super::keys::{Key, Kind};

/// A request and what must come of it.
pub const TEST: &[Key] = &[
    Key::required("name", Kind::Text, "What it shows."),
    Key::required(
        "request",
        Kind::Any,
        "An OpenAI chat request. Without `model` it asks for the first of `models`.",
    ),
    Key::optional("headers", Kind::Map(&Kind::Text), "The request's headers."),
    Key::optional(
        "models",
        Kind::Tables(MODEL),
        "The models at hand; default one qwen3-1.7b with 4096 tokens that can think.",
    ),
    Key::required(
        "expect",
        Kind::Table(EXPECT),
        "What must come of it; what is not named is not looked at.",
    ),
];

const MODEL: &[Key] = &[
    Key::required("id", Kind::Text, "The model's id."),
    Key::optional("family", Kind::Text, "Its family."),
    Key::optional(
        "context",
        Kind::Integer(1, 100_000_000),
        "Tokens that its context holds.",
    ),
    Key::optional("vision", Kind::Bool, "Whether it sees images."),
    Key::optional("thinking", Kind::Bool, "Whether it can think first."),
    Key::optional("upstream", Kind::Text, "The upstream that serves it."),
];

const EXPECT: &[Key] = &[
    Key::optional("class", Kind::Class, "The class."),
    Key::optional(
        "by",
        Kind::Text,
        "The rule that classified it; `default` where none did.",
    ),
    Key::optional("labels", Kind::Texts, "All labels, in any order."),
    Key::optional("model", Kind::Text, "The model that answers."),
    Key::optional("profile", Kind::Text, "The sampling profile."),
    Key::optional("thinking", Kind::Bool, "Whether the model thinks first."),
    Key::optional(
        "sampling",
        Kind::Map(&Kind::Number(-1e9, 1e9)),
        "Sampling values by name.",
    ),
    Key::optional(
        "max_tokens",
        Kind::Integer(1, 100_000_000),
        "The limit of generated tokens.",
    ),
    Key::optional("queue", Kind::Text, "The queue class."),
    Key::optional("fallback", Kind::Text, "The answer of last resort."),
    Key::optional(
        "cache",
        Kind::Text,
        "The rule that lets its answer be shared.",
    ),
    Key::optional(
        "think",
        Kind::Choice(&["reasoning", "drop", "inline"]),
        "Where thinking goes.",
    ),
    Key::optional("json", Kind::Text, "The key of the JSON answer."),
    Key::optional("denied", Kind::Text, "The rule that refuses it."),
    Key::optional(
        "unchanged",
        Kind::Bool,
        "Whether the request leaves as it came.",
    ),
    Key::optional(
        "applied",
        Kind::Texts,
        "Rewrite rules that changed something.",
    ),
    Key::optional(
        "not_applied",
        Kind::Texts,
        "Rewrite rules that changed nothing.",
    ),
    Key::optional(
        "messages",
        Kind::Integer(0, 100_000),
        "How many messages are left.",
    ),
    Key::optional(
        "tools",
        Kind::Texts,
        "The names of the tools that are left, in order.",
    ),
    Key::optional(
        "system",
        Kind::Text,
        "The first system message, to the letter.",
    ),
    Key::optional(
        "last_user",
        Kind::Text,
        "The last user message, to the letter.",
    ),
    Key::optional("system_has", Kind::Texts, "Texts in the system messages."),
    Key::optional(
        "system_lacks",
        Kind::Texts,
        "Texts that are in no system message.",
    ),
    Key::optional(
        "last_user_has",
        Kind::Texts,
        "Texts in the last user message.",
    ),
    Key::optional(
        "last_user_lacks",
        Kind::Texts,
        "Texts that are not in the last user message.",
    ),
    Key::optional("has", Kind::Texts, "Texts in any message."),
    Key::optional("lacks", Kind::Texts, "Texts that are in no message."),
];
