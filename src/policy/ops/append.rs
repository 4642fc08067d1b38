//! `append`: a text behind the system prompt or the last user message.

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
    name: "append",
    summary: "Puts a text behind the system prompt or the last user message.",
    details: "A blank line stands between them. A text that is there already is not put there again. Where there is no \
system prompt the text becomes one.",
    keys: &[TARGET, Key::required("text", Kind::Text, "The text.")],
    examples: &[
        Example {
            title: "one more line for the system prompt",
            rule: r#"op = "append"
to = "system"
text = "Answer in German.""#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "system", "content": "You are Bob."},
  {"role": "user", "content": "Hello"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "You are Bob.\n\nAnswer in German."},
  {"role": "user", "content": "Hello"}]}"#,
        },
        Example {
            title: "no system prompt yet",
            rule: r#"op = "append"
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
            rule: r#"op = "append"
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
  {"role": "user", "content": [{"type": "text", "text": "What is it?\n\nLook closely."}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}"#,
        },
    ],
    sets: None,
    compile,
};

#[derive(Debug)]
struct Append {
    target: Target,
    text: String,
}

fn compile(table: &Table<'_>, _: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    Some(Box::new(Append {
        target: target(table, "to")?,
        text: table.text("text")?.to_owned(),
    }))
}

impl Operation for Append {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let text = self.text.as_str();
        let join = |old: &str| (!old.contains(text)).then(|| format!("{old}\n\n{text}"));
        self.target.join(request, "text added", join, text);
    }

    fn unstable(&self) -> Option<Unstable> {
        self.target.unstable()
    }
}
