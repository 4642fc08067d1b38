//! The keys of `policies/*.toml`: which model gets what.

use super::{
    condition::CONDITION,
    keys::{Key, Kind},
    rules::CHANGE,
    test::TEST,
};

/// The keys of a whole policy file.
pub const POLICIES: &[Key] = &[
    Key::required(
        "schema",
        Kind::Integer(1, 1),
        "The version of this spelling: 1.",
    ),
    Key::optional(
        "platform",
        Kind::Choice(&["rk3588", "rk3576"]),
        "The board that the file is for; default every board.",
    ),
    Key::optional(
        "route",
        Kind::Tables(ROUTE),
        "Which model answers; the first route that holds decides.",
    ),
    Key::optional(
        "model",
        Kind::Tables(MODEL),
        "Settings of models; the glob with most literal characters wins.",
    ),
    Key::optional(
        "profile",
        Kind::Map(&Kind::Table(PROFILE)),
        "Sampling values by name.",
    ),
    Key::optional(
        "client_sampling",
        Kind::Table(CLIENT),
        "What becomes of values that the client sent.",
    ),
    Key::optional(
        "queue",
        Kind::Tables(QUEUE),
        "How urgent classes are; the most particular `on` wins.",
    ),
    Key::optional(
        "fallback",
        Kind::Tables(FALLBACK),
        "Answers of last resort; the most particular `on` wins.",
    ),
    Key::optional(
        "cache",
        Kind::Tables(CACHE),
        "Tasks that share an answer where they ask the same; the most particular `on` wins.",
    ),
    Key::optional(
        "change",
        Kind::Tables(CHANGE),
        "Changes a table of an earlier file.",
    ),
    Key::optional(
        "test",
        Kind::Tables(TEST),
        "A request and what must come of it; run before a set is used.",
    ),
];

const MODE: Key = Key::optional(
    "mode",
    Kind::Choice(&["on", "shadow", "off"]),
    "`on` (default), `shadow`: only traced, or `off`.",
);
const REPLACE: Key = Key::optional(
    "replace",
    Kind::Bool,
    "Takes the place of the table with the same id in an earlier file.",
);

const SWITCH: Key = Key::optional(
    "mode",
    Kind::Choice(&["on", "off"]),
    "`on` (default) or `off`.",
);

pub(crate) const ROUTE: &[Key] = &[
    Key::required("id", Kind::Text, "The route's name."),
    Key::optional("when", Kind::Table(CONDITION), "What must hold; all of it."),
    Key::optional(
        "unless",
        Kind::Table(CONDITION),
        "What must not hold, all of it together.",
    ),
    Key::required(
        "to",
        Kind::Texts,
        "Globs of models; the first one in the catalogue that can answer is taken.",
    ),
    Key::optional(
        "else",
        Kind::Text,
        "The model where none of them is there: `requested` (default) or a model.",
    ),
    MODE,
    REPLACE,
];

pub(crate) const MODEL: &[Key] = &[
    Key::required(
        "match",
        Kind::Text,
        "A glob of the model's id, or, where no glob fits an id, of its family.",
    ),
    Key::optional(
        "id",
        Kind::Text,
        "A name for [[change]] and `like`; default the glob.",
    ),
    Key::optional(
        "like",
        Kind::Text,
        "The id of another one that gives the values that are left out here.",
    ),
    Key::optional(
        "context",
        Kind::Integer(256, 10_000_000),
        "Tokens of context to use; never above what the model can do.",
    ),
    Key::optional(
        "reserve",
        Kind::Integer(16, 1_000_000),
        "Tokens kept free for the answer.",
    ),
    Key::optional(
        "history",
        Kind::Table(&[
            Key::optional(
                "window_chars",
                Kind::Integer(1, 100_000_000),
                "Nothing is cut below so many characters.",
            ),
            Key::optional(
                "keep_chars",
                Kind::Integer(1, 100_000_000),
                "What a cut leaves, in characters.",
            ),
            Key::optional(
                "keep_turns",
                Kind::Integer(0, 100_000),
                "Latest turns that a cut leaves whatever their length.",
            ),
            Key::optional(
                "assistant_cap_chars",
                Kind::Integer(1, 100_000_000),
                "Longest answer that goes back to the model.",
            ),
        ]),
        "How much of a conversation the model sees.",
    ),
    Key::optional(
        "system",
        Kind::Table(&[Key::required(
            "max_tokens",
            Kind::Integer(1, 1_000_000),
            "Longest system prompt.",
        )]),
        "Limits of system prompts.",
    ),
    Key::optional(
        "tools",
        Kind::Table(&[
            Key::required(
                "max_tokens",
                Kind::Integer(0, 1_000_000),
                "Tokens that all tool definitions may take together.",
            ),
            Key::required(
                "on_excess",
                Kind::Choice(&["prune", "drop", "keep"]),
                "`prune` keeps what the conversation needs, `drop` all or nothing, `keep` everything.",
            ),
            Key::optional(
                "builtin",
                Kind::Texts,
                "Globs of tools that clients offer in every chat: they stay only where something asks for them. Others \
were chosen for the chat, and stay as far as there is room.",
            ),
        ]),
        "Limits of tool definitions.",
    ),
    Key::optional(
        "profile",
        Kind::Map(&Kind::Text),
        "The sampling profile by class, e.g. `chat`, `\"task/*\"`, `\"*\"`.",
    ),
    Key::optional(
        "max_tokens",
        Kind::Map(&Kind::Integer(1, 10_000_000)),
        "Longest answer in tokens by class.",
    ),
    SWITCH,
    REPLACE,
];

pub(crate) const PROFILE: &[Key] = &[
    Key::optional(
        "thinking",
        Kind::Bool,
        "Whether the model thinks first; default its own habit.",
    ),
    Key::optional(
        "twin",
        Kind::Text,
        "The profile that holds when thinking is switched the other way.",
    ),
    Key::optional("temperature", Kind::Number(0.0, 5.0), "0 is greedy."),
    Key::optional("top_p", Kind::Number(0.0, 1.0), "Nucleus size."),
    Key::optional(
        "top_k",
        Kind::Integer(0, 1_000_000),
        "Number of candidates; 1 is greedy.",
    ),
    Key::optional(
        "min_p",
        Kind::Number(0.0, 1.0),
        "Smallest probability relative to the best candidate.",
    ),
    Key::optional("repeat_penalty", Kind::Number(0.0, 10.0), "1 is none."),
    Key::optional("frequency_penalty", Kind::Number(-2.0, 2.0), "0 is none."),
    Key::optional("presence_penalty", Kind::Number(-2.0, 2.0), "0 is none."),
];

macro_rules! client_keys {
    ($($more:expr),*) => {
        &[
            Key::optional("temperature", LIMITS, LIMITS_DOC),
            Key::optional("top_p", LIMITS, LIMITS_DOC),
            Key::optional("top_k", LIMITS, LIMITS_DOC),
            Key::optional("min_p", LIMITS, LIMITS_DOC),
            Key::optional("repeat_penalty", LIMITS, LIMITS_DOC),
            Key::optional("frequency_penalty", LIMITS, LIMITS_DOC),
            Key::optional("presence_penalty", LIMITS, LIMITS_DOC),
            Key::optional("seed", LIMITS, "`obey` or `ignore`."),
            Key::optional("max_tokens", LIMITS, LIMITS_DOC),
            Key::optional("thinking", LIMITS, "`obey` or `ignore`: what the client's thinking switches do."),
            $($more),*
        ]
    };
}

const LIMITS: Kind = Kind::TextOr(&Kind::Texts);
const LIMITS_DOC: &str = "`obey` (default), `ignore`, `clamp A..B`, `floor A` or `ceiling B`, each with ` for GLOB` of families if need be; a list applies all.";

pub(crate) const CLIENT: &[Key] = client_keys![Key::optional(
    "on",
    Kind::Map(&Kind::Table(CLIENT_ON)),
    "The same keys by class, e.g. `\"task/*\"`; the most particular class wins, key by key."
)];
const CLIENT_ON: &[Key] = client_keys![];

pub(crate) const QUEUE: &[Key] = &[
    Key::required("id", Kind::Text, "The queue class's name."),
    Key::required("on", Kind::Classes, "The classes it is for."),
    Key::required("urgency", Kind::Integer(0, 9), "0 is the most urgent."),
    Key::optional(
        "deadline",
        Kind::Duration,
        "Longest time until the answer is there; then its fallback is given.",
    ),
    SWITCH,
    REPLACE,
];

pub(crate) const FALLBACK: &[Key] = &[
    Key::optional("id", Kind::Text, "A name for [[change]]."),
    Key::required("on", Kind::Classes, "The classes it is for."),
    Key::required(
        "answer",
        Kind::Text,
        "The answer where the model gives none that can be used. `{first_message}`, `{last_message}` and \
`{last_question}` (with the one before it where it is short) stand for what the person said in the chat that the task is about.",
    ),
    Key::optional(
        "instead",
        Kind::Bool,
        "Whether the answer is given at once, without asking the model; default false.",
    ),
    SWITCH,
    REPLACE,
];

pub(crate) const CACHE: &[Key] = &[
    Key::required("id", Kind::Text, "A name for traces and [[change]]."),
    Key::required("on", Kind::Classes, "The tasks it is for; never a chat."),
    Key::required(
        "ttl",
        Kind::Duration,
        "How long an answer is given again to whoever asks the same. `0s`: only while it is being made.",
    ),
    SWITCH,
    REPLACE,
];
