//! `cap`: no message of a role is longer than this.

use super::{Description, Example, Operation, ROLE, role};
use crate::{
    chat::Role,
    policy::{
        Rewriter,
        context::Context,
        file::{
            keys::{Key, Kind},
            table::Table,
        },
        prose,
    },
    problem::Problem,
};

const MARK: &str = " [...]";

pub(super) const DESCRIPTION: Description = Description {
    name: "cap",
    summary: "Cuts messages of a role that are too long.",
    details: "What is kept is the beginning, up to the end of a sentence if one is near, then a mark; an open code fence \
is closed. Never cut are the last user message, unless `last = true`, and an answer at the very end, which the model is \
asked to continue. Without `max_chars` the limit for answers is the model's `history.assistant_cap_chars`.",
    keys: &[
        ROLE,
        Key::optional(
            "max_chars",
            Kind::Integer(16, 100_000_000),
            "Longest text in characters, the mark included.",
        ),
        Key::optional(
            "last",
            Kind::Bool,
            "Whether the last user message is cut as well; default false.",
        ),
        Key::optional(
            "mark",
            Kind::Text,
            "What stands at the cut; default \" [...]\".",
        ),
    ],
    examples: &[Example {
        title: "long answers go back to the model without their end",
        rule: r#"op = "cap"
role = "assistant"
max_chars = 40"#,
        class: "chat",
        before: r#"{"messages": [
  {"role": "user", "content": "Tell me a story that is longer than forty characters, please."},
  {"role": "assistant", "content": "Once upon a time. There was a king. He had a daughter."},
  {"role": "user", "content": "And then?"}]}"#,
        after: r#"{"messages": [
  {"role": "user", "content": "Tell me a story that is longer than forty characters, please."},
  {"role": "assistant", "content": "Once upon a time. [...]"},
  {"role": "user", "content": "And then?"}]}"#,
    }],
    sets: None,
    compile,
};

#[derive(Debug)]
struct Cap {
    role: Role,
    max_chars: Option<usize>,
    last: bool,
    mark: String,
}

fn compile(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    let role = role(table)?;
    let max_chars = table.count("max_chars");
    if max_chars.is_none() && role != Role::Assistant {
        problems.push(
            Problem::error("P004", "the key `max_chars` is missing")
                .at(Some(table.span.clone()), "")
                .help("only answers have a limit in the model's policy"),
        );
    }
    Some(Box::new(Cap {
        role,
        max_chars,
        last: table.bool("last").unwrap_or(false),
        mark: table.text("mark").unwrap_or(MARK).to_owned(),
    }))
}

impl Operation for Cap {
    fn apply(&self, request: &mut Rewriter<'_>, context: &Context<'_>) {
        let policy = context.settings.history.assistant_cap_chars;
        let Some(max) = self.max_chars.or(policy) else {
            request.leave("the model's policy has no `history.assistant_cap_chars`");
            return;
        };
        let question = request.last(Role::User).filter(|_| !self.last);
        let continued = request.len().checked_sub(1);
        for index in 0..request.len() {
            let capped = request
                .message(index)
                .is_some_and(|message| match message.role {
                    _ if message.role != self.role => false,
                    Role::User => Some(index) != question,
                    Role::Assistant => Some(index) != continued,
                    Role::System | Role::Tool => true,
                });
            if capped {
                request.edit(index, "cut", |text| {
                    // A text has at most as many characters as bytes.
                    if text.len() <= max {
                        None
                    } else {
                        prose::cut(text, max, &self.mark)
                    }
                });
            }
        }
    }
}
