//! `merge_turns`: two user messages in a row become one.

use super::{Description, Example, Operation};
use crate::{
    chat::{Content, Message, Part, Role},
    policy::{Rewriter, context::Context, file::table::Table},
    problem::Problem,
};

pub(super) const DESCRIPTION: Description = Description {
    name: "merge_turns",
    summary: "Makes one of two user messages in a row.",
    details: "They follow each other where an answer failed or had no visible text; most chat templates expect turns to \
alternate. A blank line stands between the two texts, images stay with them. Tool results are never merged, nor are \
messages of different names. A message to which another one is added was never answered, so nothing that the model has \
in its cache is lost.",
    keys: &[],
    examples: &[Example {
        title: "a failed turn",
        rule: r#"op = "merge_turns""#,
        class: "chat",
        before: r#"{"messages": [
  {"role": "user", "content": "Are you there?"},
  {"role": "user", "content": "Hello?"},
  {"role": "assistant", "content": "Yes."},
  {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
  {"role": "user", "content": "Well?"}]}"#,
        after: r#"{"messages": [
  {"role": "user", "content": "Are you there?\n\nHello?"},
  {"role": "assistant", "content": "Yes."},
  {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, {"type": "text", "text": "Well?"}]}]}"#,
    }],
    sets: None,
    compile,
};

#[derive(Debug)]
struct MergeTurns;

fn compile(_: &Table<'_>, _: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    Some(Box::new(MergeTurns))
}

impl Operation for MergeTurns {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let mut index = 1;
        while let Some(second) = request.message(index) {
            let first = request.message(index - 1);
            match first.and_then(|first| merged(first, second)) {
                Some(message) => request.merge(index - 1, message, "two user messages made one"),
                None => index += 1,
            }
        }
    }
}

/// `None` where they are not to be merged.
fn merged(first: &Message, second: &Message) -> Option<Message> {
    if first.role != Role::User || second.role != Role::User || first.extra != second.extra {
        return None;
    }
    let content = match (&first.content, &second.content) {
        (Content::Text(first), Content::Text(second)) => Content::Text(joined(first, second)),
        (first, second) => Content::Parts(parts(first).chain(parts(second)).collect()),
    };
    Some(Message {
        content,
        ..second.clone()
    })
}

/// The first text ends with a line break already where a client put it there.
fn joined(first: &str, second: &str) -> String {
    match (first.trim().is_empty(), second.trim().is_empty()) {
        (true, _) => second.to_owned(),
        (_, true) => first.to_owned(),
        _ => format!("{}\n\n{second}", first.trim_end()),
    }
}

fn parts(content: &Content) -> impl Iterator<Item = Part> + '_ {
    let (text, parts) = match content {
        Content::Text(text) => (Some(Part::Text(text.clone())), [].as_slice()),
        Content::Parts(parts) => (None, parts.as_slice()),
    };
    text.into_iter().chain(parts.iter().cloned())
}
