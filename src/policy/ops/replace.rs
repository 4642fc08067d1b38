//! `replace`: a pattern and what takes its place.

use regex::Regex;

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
        pattern,
    },
    problem::Problem,
};

/// How often a pattern is applied until there is nothing left to replace.
const MAX_ROUNDS: usize = 8;

pub(super) const DESCRIPTION: Description = Description {
    name: "replace",
    summary: "Replaces what a regular expression matches in the messages of a role.",
    details: "The syntax is that of Rust's regex crate: linear time, neither look-around nor back references; \
`(?i)` at the start ignores case. In `with`, `$1` and `${name}` stand for groups, `$$` for a dollar sign. The pattern is \
applied until it changes nothing more; one that never comes to an end leaves the message as it is. `\\b` is slow on text \
that is not ASCII: `(?-u:\\b)` is the fast one.",
    keys: &[
        ROLE,
        Key::required("pattern", Kind::Text, "The regular expression."),
        Key::required("with", Kind::Text, "What takes its place; may be empty."),
    ],
    examples: &[
        Example {
            title: "links to a company's tickets become short",
            rule: r#"op = "replace"
role = "user"
pattern = 'https://tickets\.example\.com/browse/([A-Z]+-[0-9]+)'
with = "$1""#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "user", "content": "What is https://tickets.example.com/browse/OPS-17 about?"}]}"#,
            after: r#"{"messages": [{"role": "user", "content": "What is OPS-17 about?"}]}"#,
        },
        Example {
            title: "a pattern that matches its own replacement changes nothing",
            rule: r#"op = "replace"
role = "user"
pattern = 'a'
with = "aa""#,
            class: "chat",
            before: r#"{"messages": [{"role": "user", "content": "abc"}]}"#,
            after: r#"{"messages": [{"role": "user", "content": "abc"}]}"#,
        },
    ],
    sets: None,
    compile,
};

#[derive(Debug)]
struct Replace {
    role: Role,
    pattern: Regex,
    with: String,
}

fn compile(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    let place = table.place("pattern");
    let pattern = pattern::compile(table.text("pattern")?, "pattern", place, problems)?;
    Some(Box::new(Replace {
        role: role(table)?,
        pattern,
        with: table.text("with")?.to_owned(),
    }))
}

impl Operation for Replace {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let mut endless = false;
        request.edit_all(self.role, "pattern replaced", |text| {
            let mut last = self.once(text)?;
            for _ in 0..MAX_ROUNDS {
                match self.once(&last) {
                    Some(next) => last = next,
                    None => return Some(last),
                }
            }
            endless = true;
            None
        });
        if endless {
            request.leave("the pattern matches its own replacement without end");
        }
    }
}

impl Replace {
    /// `None` where it changes nothing.
    fn once(&self, text: &str) -> Option<String> {
        match self.pattern.replace_all(text, self.with.as_str()) {
            std::borrow::Cow::Owned(new) if new != text => Some(new),
            _ => None,
        }
    }
}
