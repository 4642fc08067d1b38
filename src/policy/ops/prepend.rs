//! `prepend`: a text before the system prompt or the last user message.

use super::{Description, Example, Operation, TARGET, Target, Unstable, target};
use crate::{
    policy::{
        Rewriter,
        context::Context,
        file::{
            keys::{Key, Kind},
            table::Table,
        },
    },
    problem::Problem,
};

pub(super) const DESCRIPTION: Description = Description {
    name: "prepend",
    summary: "Puts a text before the system prompt or the last user message.",
    details: "A blank line stands between them. A text that is there already is not put there again. Where there is no \
system prompt the text becomes one.",
    keys: &[TARGET, Key::required("text", Kind::Text, "The text.")],
    examples: &[
        Example {
            title: "one more line for the system prompt",
            rule: r#"op = "prepend"
to = "system"
text = "Answer in German.""#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "system", "content": "You are Bob."},
  {"role": "user", "content": "Hello"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "Answer in German.\n\nYou are Bob."},
  {"role": "user", "content": "Hello"}]}"#,
        },
        Example {
            title: "no system prompt yet",
            rule: r#"op = "prepend"
to = "system"
text = "Answer in German.""#,
            class: "chat",
            before: r#"{"messages": [{"role": "user", "content": "Hello"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "Answer in German."},
  {"role": "user", "content": "Hello"}]}"#,
        },
        Example {
            title: "the last user message, images and all",
            rule: r#"op = "prepend"
to = "last_user"
text = "Look closely.""#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "user", "content": "Hello"},
  {"role": "assistant", "content": "Hi"},
  {"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}"#,
            after: r#"{"messages": [
  {"role": "user", "content": "Hello"},
  {"role": "assistant", "content": "Hi"},
  {"role": "user", "content": [{"type": "text", "text": "Look closely.\n\nWhat is it?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}"#,
        },
    ],
    sets: None,
    compile,
};

#[derive(Debug)]
struct Prepend {
    target: Target,
    text: String,
}

fn compile(table: &Table<'_>, _: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    Some(Box::new(Prepend {
        target: target(table, "to")?,
        text: table.text("text")?.to_owned(),
    }))
}

impl Operation for Prepend {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let text = self.text.as_str();
        let join = |old: &str| (!old.contains(text)).then(|| format!("{text}\n\n{old}"));
        self.target.join(request, "text added", join, text);
    }

    fn unstable(&self) -> Option<Unstable> {
        self.target.unstable()
    }
}
