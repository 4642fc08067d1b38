//! `move`: a block changes its place.

use super::{Description, Example, ORIGIN, Operation, TARGET, Target, Unstable, target};
use crate::{
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

pub(super) const DESCRIPTION: Description = Description {
    name: "move",
    summary: "Moves blocks between tags from the system prompt to the last user message, or the other way.",
    details: "The tags move along. In the last user message the block stands before the question, in the system prompt \
behind the rest. A system prompt that would be empty goes.",
    keys: &[
        ORIGIN,
        TARGET,
        Key::required("tags", Kind::Texts, "Tag names, e.g. [\"memory_context\"]."),
    ],
    examples: &[Example {
        title: "memories that change with the question no longer change the beginning of the prompt",
        rule: r#"op = "move"
from = "system"
to = "last_user"
tags = ["memory_context"]"#,
        class: "chat",
        before: r#"{"messages": [
  {"role": "system", "content": "You are Bob.\n<memory_context>\n- Likes otters.\n</memory_context>"},
  {"role": "user", "content": "What do I like?"}]}"#,
        after: r#"{"messages": [
  {"role": "system", "content": "You are Bob."},
  {"role": "user", "content": "<memory_context>\n- Likes otters.\n</memory_context>\n\nWhat do I like?"}]}"#,
    }],
    sets: None,
    compile,
};

#[derive(Debug)]
struct Move {
    from: Target,
    to: Target,
    tags: Vec<String>,
}

fn compile(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    let (from, to) = (target(table, "from")?, target(table, "to")?);
    if from == to {
        problems.push(
            Problem::error("P003", "`from` and `to` are the same place")
                .at(Some(table.place("from")), "")
                .at(Some(table.place("to")), "")
                .help("the places are \"system\" and \"last_user\""),
        );
    }
    let tags = table.texts("tags");
    Some(Box::new(Move {
        from,
        to,
        tags: tags.into_iter().map(|(tag, _)| tag.to_owned()).collect(),
    }))
}

impl Operation for Move {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let Some(index) = self.from.message(request) else {
            return;
        };
        if self.to == Target::LastUser && self.to.message(request).is_none() {
            request.leave("there is no user message");
            return;
        }
        let Some((rest, moved)) = self.take(&request.text(index)) else {
            return;
        };
        request.set_text(index, rest, "block moved away");
        let to = self.to;
        to.join(
            request,
            "block moved here",
            |old| {
                Some(match to {
                    Target::System => format!("{old}\n\n{moved}"),
                    Target::LastUser => format!("{moved}\n\n{old}"),
                })
            },
            &moved,
        );
        super::drop_empty_system(request);
    }

    fn unstable(&self) -> Option<Unstable> {
        Some(match self.to {
            Target::LastUser => Unstable {
                why: "the block stands in the last user message, which in the next turn is no longer the last",
                cost: "each turn reads the previous question and answer again",
            },
            Target::System => Unstable {
                why: "a block that changes from turn to turn stands at the beginning of the prompt",
                cost: "a turn with another block reads the whole conversation again",
            },
        })
    }
}

impl Move {
    /// The text without the blocks, and the blocks.
    fn take(&self, text: &str) -> Option<(String, String)> {
        let mut found: Vec<_> = self
            .tags
            .iter()
            .flat_map(|tag| prose::blocks(text, tag))
            .collect();
        found.sort_by_key(|block| (block.whole.start, std::cmp::Reverse(block.whole.end)));
        let mut rest = String::with_capacity(text.len());
        let mut moved: Vec<&str> = Vec::new();
        let mut at = 0;
        for block in found {
            // One within another moves with it.
            if block.whole.start < at {
                continue;
            }
            rest.push_str(text.get(at..block.whole.start)?.trim_end());
            moved.push(text.get(block.whole.clone())?);
            at = block.whole.end;
            let behind = text.get(at..)?;
            if !rest.is_empty() && !behind.trim().is_empty() {
                rest.push('\n');
                at += behind.len() - behind.trim_start().len();
            }
        }
        rest.push_str(text.get(at..)?.trim_end());
        let start = rest.len() - rest.trim_start().len();
        (!moved.is_empty()).then(|| (rest.split_off(start), moved.join("\n")))
    }
}
