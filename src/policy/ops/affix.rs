//! `prepend` and `append`: a text before or behind the system prompt or the last user message.

use super::{Description, Example, Operation, TARGET, Target, Unstable, target};
use crate::policy::{
    Rewriter,
    context::Context,
    file::{
        keys::{Key, Kind},
        table::Table,
    },
};

pub(super) const PREPEND: Description = Description {
    name: "prepend",
    summary: "Puts a text before the system prompt or the last user message.",
    details: DETAILS,
    keys: KEYS,
    examples: &[
        Example {
            title: ONE_MORE_LINE,
            rule: r#"op = "prepend"
to = "system"
text = "Answer in German.""#,
            class: "chat",
            before: BOB,
            after: r#"{"messages": [
  {"role": "system", "content": "Answer in German.\n\nYou are Bob."},
  {"role": "user", "content": "Hello"}]}"#,
        },
        Example {
            title: NO_SYSTEM_PROMPT,
            rule: r#"op = "prepend"
to = "system"
text = "Answer in German.""#,
            class: "chat",
            before: HELLO,
            after: GERMAN,
        },
        Example {
            title: AN_IMAGE,
            rule: r#"op = "prepend"
to = "last_user"
text = "Look closely.""#,
            class: "chat",
            before: IMAGE,
            after: r#"{"messages": [
  {"role": "user", "content": "Hello"},
  {"role": "assistant", "content": "Hi"},
  {"role": "user", "content": [{"type": "text", "text": "Look closely.\n\nWhat is it?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}"#,
        },
    ],
    sets: None,
    compile: |table, _| Affix::compile(table, End::Front),
};

pub(super) const APPEND: Description = Description {
    name: "append",
    summary: "Puts a text behind the system prompt or the last user message.",
    details: DETAILS,
    keys: KEYS,
    examples: &[
        Example {
            title: ONE_MORE_LINE,
            rule: r#"op = "append"
to = "system"
text = "Answer in German.""#,
            class: "chat",
            before: BOB,
            after: r#"{"messages": [
  {"role": "system", "content": "You are Bob.\n\nAnswer in German."},
  {"role": "user", "content": "Hello"}]}"#,
        },
        Example {
            title: NO_SYSTEM_PROMPT,
            rule: r#"op = "append"
to = "system"
text = "Answer in German.""#,
            class: "chat",
            before: HELLO,
            after: GERMAN,
        },
        Example {
            title: AN_IMAGE,
            rule: r#"op = "append"
to = "last_user"
text = "Look closely.""#,
            class: "chat",
            before: IMAGE,
            after: r#"{"messages": [
  {"role": "user", "content": "Hello"},
  {"role": "assistant", "content": "Hi"},
  {"role": "user", "content": [{"type": "text", "text": "What is it?\n\nLook closely."}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}"#,
        },
    ],
    sets: None,
    compile: |table, _| Affix::compile(table, End::Back),
};

const DETAILS: &str = "A blank line stands between them. A text that is there already is not put there again. Where there is no \
system prompt the text becomes one.";
const KEYS: &[Key] = &[TARGET, Key::required("text", Kind::Text, "The text.")];

const ONE_MORE_LINE: &str = "one more line for the system prompt";
const BOB: &str = r#"{"messages": [
  {"role": "system", "content": "You are Bob."},
  {"role": "user", "content": "Hello"}]}"#;
const NO_SYSTEM_PROMPT: &str = "no system prompt yet";
const HELLO: &str = r#"{"messages": [{"role": "user", "content": "Hello"}]}"#;
const GERMAN: &str = r#"{"messages": [
  {"role": "system", "content": "Answer in German."},
  {"role": "user", "content": "Hello"}]}"#;
const AN_IMAGE: &str = "the last user message, images and all";
const IMAGE: &str = r#"{"messages": [
  {"role": "user", "content": "Hello"},
  {"role": "assistant", "content": "Hi"},
  {"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}"#;

/// Where the text goes.
#[derive(Debug, Clone, Copy)]
enum End {
    Front,
    Back,
}

#[derive(Debug)]
struct Affix {
    target: Target,
    end: End,
    text: String,
}

impl Affix {
    fn compile(table: &Table<'_>, end: End) -> Option<Box<dyn Operation>> {
        Some(Box::new(Self {
            target: target(table, "to")?,
            end,
            text: table.text("text")?.to_owned(),
        }))
    }
}

impl Operation for Affix {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let text = self.text.as_str();
        let join = |old: &str| {
            let joined = || match self.end {
                End::Front => format!("{text}\n\n{old}"),
                End::Back => format!("{old}\n\n{text}"),
            };
            (!old.contains(text)).then(joined)
        };
        self.target.join(request, "text added", join, text);
    }

    fn unstable(&self) -> Option<Unstable> {
        self.target.unstable()
    }
}
