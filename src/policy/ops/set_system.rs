//! `set_system`: a system prompt for requests that have none.

use super::{Description, Example, Operation};
use crate::{
    chat::Role,
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
    name: "set_system",
    summary: "Gives a request a system prompt.",
    details: "One that is there already wins, unless `force = true`. With `force` and an empty text the system prompt goes. \
The conditions of the rule choose the text by class, label and model family.",
    keys: &[
        Key::required("text", Kind::Text, "The system prompt."),
        Key::optional(
            "force",
            Kind::Bool,
            "Whether it takes the place of the one that is there; default false.",
        ),
    ],
    examples: &[
        Example {
            title: "a request without a system prompt",
            rule: r#"op = "set_system"
text = "You are a helpful assistant.""#,
            class: "chat",
            before: r#"{"messages": [{"role": "user", "content": "Hello"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "You are a helpful assistant."},
  {"role": "user", "content": "Hello"}]}"#,
        },
        Example {
            title: "the client's own wins",
            rule: r#"op = "set_system"
text = "You are a helpful assistant.""#,
            class: "chat",
            before: r#"{"messages": [{"role": "system", "content": "You are Bob."}, {"role": "user", "content": "Hello"}]}"#,
            after: r#"{"messages": [{"role": "system", "content": "You are Bob."}, {"role": "user", "content": "Hello"}]}"#,
        },
        Example {
            title: "a task needs no persona",
            rule: r#"op = "set_system"
text = ""
force = true"#,
            class: "task/title_generation",
            before: r#"{"messages": [{"role": "system", "content": "You are Bob."}, {"role": "user", "content": "Hello"}]}"#,
            after: r#"{"messages": [{"role": "user", "content": "Hello"}]}"#,
        },
    ],
    sets: Some("the system prompt"),
    compile,
};

#[derive(Debug)]
struct SetSystem {
    text: String,
    force: bool,
}

fn compile(table: &Table<'_>, _: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    Some(Box::new(SetSystem {
        text: table.text("text")?.to_owned(),
        force: table.bool("force").unwrap_or(false),
    }))
}

impl Operation for SetSystem {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let Some(first) = request.first(Role::System) else {
            if !self.text.is_empty() {
                request.insert_text(0, Role::System, self.text.as_str(), "system prompt set");
            }
            return;
        };
        if !self.force && !request.text(first).trim().is_empty() {
            request.leave("the request has a system prompt of its own");
            return;
        }
        request.set_text(first, self.text.as_str(), "system prompt set");
        if self.force {
            for index in (first + 1..request.len()).rev() {
                if request
                    .message(index)
                    .is_some_and(|message| message.role == Role::System)
                {
                    request.remove(index, "system prompt replaced");
                }
            }
            super::drop_empty_system(request);
        }
    }
}
