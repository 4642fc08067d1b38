//! The keys of `rules/*.toml`: how a request is recognised and rewritten.

use super::{
    condition::CONDITION,
    keys::{Key, Kind},
    test::TEST,
};

/// The keys of a whole rule file.
pub const RULES: &[Key] = &[
    Key::required(
        "schema",
        Kind::Integer(1, 1),
        "The version of this spelling: 1.",
    ),
    Key::optional("pack", Kind::Text, "The pack's name."),
    Key::optional(
        "tested",
        Kind::Texts,
        "Versions of the client that the pack was tested with.",
    ),
    Key::optional(
        "classify",
        Kind::Tables(CLASSIFY),
        "What a request is for; the first rule that holds decides.",
    ),
    Key::optional(
        "label",
        Kind::Tables(LABEL),
        "What else is known of a request; every rule that holds adds its label.",
    ),
    Key::optional(
        "rewrite",
        Kind::Rewrites,
        "How a request changes; every rule that holds is applied, in order.",
    ),
    Key::optional(
        "answer",
        Kind::Tables(ANSWER),
        "What happens to the answer; the most particular `on` wins, key by key.",
    ),
    Key::optional("deny", Kind::Tables(DENY), "Refuses a request."),
    Key::optional(
        "redact",
        Kind::Tables(REDACT),
        "What the prompt log leaves out where it keeps redacted texts; every rule is applied, in order.",
    ),
    Key::optional(
        "change",
        Kind::Tables(CHANGE),
        "Changes a rule of an earlier file.",
    ),
    Key::optional(
        "test",
        Kind::Tables(TEST),
        "A request and what must come of it; run before a set is used.",
    ),
];

const ID: Key = Key::required(
    "id",
    Kind::Text,
    "The rule's name, unique among all files; traces and tests show it.",
);
/// Shadow rules are evaluated and traced, but decide and change nothing.
const MODE: Key = Key::optional(
    "mode",
    Kind::Choice(MODES),
    "`on` (default), `shadow`: only traced, or `off`.",
);
const MODES: &[&str] = &["on", "shadow", "off"];
const REPLACE: Key = Key::optional(
    "replace",
    Kind::Bool,
    "Takes the place of the rule with the same id in an earlier file.",
);
const WHEN: Key = Key::optional("when", Kind::Table(CONDITION), "What must hold; all of it.");
const UNLESS: Key = Key::optional(
    "unless",
    Kind::Table(CONDITION),
    "What must not hold, all of it together.",
);
const ON: Key = Key::optional("on", Kind::Classes, "The classes it is for; default all.");

pub(crate) const CLASSIFY: &[Key] = &[
    ID,
    Key::optional(
        "class",
        Kind::Class,
        "The class that the rule decides for; needs `when`.",
    ),
    WHEN,
    UNLESS,
    Key::optional(
        "headers",
        Kind::Texts,
        "Names of headers whose value is the class: one of Open WebUI's task names, or empty for a chat. \
         The first of them that is there counts. Instead of `class` and `when`.",
    ),
    Key::optional(
        "values",
        Kind::Map(&Kind::Class),
        "Further header values and their classes.",
    ),
    Key::optional(
        "keys",
        Kind::Map(&Kind::Class),
        "JSON keys and the classes that ask for them: `{ title = \"task/title_generation\" }`. The key must stand in the \
last user message, in quotes or back quotes, outside of quoted blocks, and none of another class beside it. Instead of \
`class`; needs `when`.",
    ),
    Key::optional(
        "quoted",
        Kind::Bool,
        "`false` takes the `keys` without quotes too.",
    ),
    MODE,
    REPLACE,
];

pub(crate) const LABEL: &[Key] = &[
    ID,
    Key::required("label", Kind::Text, "The label, e.g. `rag`."),
    ON,
    WHEN,
    UNLESS,
    MODE,
    REPLACE,
];

/// The keys that every `[[rewrite]]` has beside those of its operation.
pub const REWRITE: &[Key] = &[
    ID,
    Key::required("on", Kind::Classes, "The classes it is for."),
    Key::required("op", Kind::Text, "The operation."),
    WHEN,
    UNLESS,
    Key::optional(
        "after",
        Kind::Texts,
        "Ids of rules that must have been applied before.",
    ),
    MODE,
    REPLACE,
];

pub(crate) const ANSWER: &[Key] = &[
    ID,
    ON,
    WHEN,
    UNLESS,
    Key::optional(
        "think",
        Kind::Choice(&["reasoning", "drop", "inline"]),
        "Where thinking goes: `reasoning` to `reasoning_content`, `drop` nowhere, `inline` into the text. Without it, thinking of the engine goes to `reasoning_content`, and what an upstream says is left as it is.",
    ),
    Key::optional(
        "json",
        Kind::Table(&[
            Key::required("key", Kind::Text, "The one key that the client looks for."),
            Key::optional(
                "value",
                Kind::Choice(&[
                    "text",
                    "list",
                    "tool_calls",
                    "tool_call",
                    "memory_operations",
                ]),
                "What stands under it: a string (default), a list of strings, tool calls with `name` and `parameters`, or \
changes to memories. `tool_call` is one call without the key around it.",
            ),
        ]),
        "The JSON object that the client parses from the answer; a broken one is mended.",
    ),
    Key::optional(
        "repetition",
        Kind::Table(&[
            Key::required(
                "min_chars",
                Kind::Integer(1, 100_000),
                "The shortest passage that counts.",
            ),
            Key::required(
                "times",
                Kind::Integer(2, 1000),
                "How often it has to stand in a row.",
            ),
        ]),
        "Ends an answer that goes round in circles.",
    ),
    Key::optional(
        "stop",
        Kind::Texts,
        "Strings that end the answer, beside the client's own.",
    ),
    MODE,
    REPLACE,
];

pub(crate) const DENY: &[Key] = &[
    ID,
    ON,
    WHEN,
    UNLESS,
    Key::required("message", Kind::Text, "What the client is told."),
    MODE,
    REPLACE,
];

pub(crate) const REDACT: &[Key] = &[
    ID,
    Key::required(
        "patterns",
        Kind::Texts,
        "Regular expressions, one after the other; the syntax is that of `replace`.",
    ),
    Key::required(
        "mark",
        Kind::Text,
        "What stands in the place of what they match.",
    ),
    Key::optional(
        "check",
        Kind::Choice(&["luhn"]),
        "What else must hold: `luhn` is the check digit of card numbers.",
    ),
    Key::optional(
        "test",
        Kind::Tables(REDACT_TEST),
        "As `[[redact.test]]` below the rule: a `text`, and what all rules together leave of it, `kept`. Run before a set \
is used.",
    ),
    Key::optional(
        "mode",
        Kind::Choice(&["on", "off"]),
        "`off` switches it off.",
    ),
    REPLACE,
];

const REDACT_TEST: &[Key] = &[
    Key::required("text", Kind::Text, "A text."),
    Key::required("kept", Kind::Text, "What is kept of it, to the letter."),
];

/// The keys of `[[change]]`, in rule and policy files.
pub const CHANGE: &[Key] = &[
    Key::required(
        "id",
        Kind::Text,
        "The rule to change; a profile's is `profile.NAME`.",
    ),
    Key::optional(
        "mode",
        Kind::Choice(MODES),
        "`off` switches it off, `shadow` lets it be traced only, `on` switches it on.",
    ),
    Key::optional(
        "set",
        Kind::Any,
        "Keys that get another value, at any depth.",
    ),
    Key::optional(
        "add",
        Kind::Any,
        "Lists that get further items, at any depth.",
    ),
];
