//! `strip_block`: thinking and its like leave the history.

use aho_corasick::{AhoCorasick, MatchKind};

use super::{Description, Example, Operation, ROLE, role};
use crate::{
    chat::Role,
    policy::{
        Rewriter,
        context::Context,
        file::{
            keys::{Key, Kind},
            table::{self, Table},
        },
        prose,
    },
    problem::Problem,
};

/// Every pair of tags that Open WebUI takes for thinking, and the spellings of models that it does not know.
const THINK: [(&str, &str); 9] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reason>", "</reason>"),
    ("<reasoning>", "</reasoning>"),
    ("<thought>", "</thought>"),
    ("<Thought>", "</Thought>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
];

pub(super) const DESCRIPTION: Description = Description {
    name: "strip_block",
    summary: "Removes blocks between tags from the messages of a role.",
    details: "A block that is never closed reaches to the message's end. White space around a removed block goes \
with it. With `tags = \"think\"` a message's `reasoning_content` goes as well. Code fences are left alone: a tag in \
a program is part of the program.",
    keys: &[
        ROLE,
        Key::required(
            "tags",
            Kind::TextOr(&Kind::Texts),
            "`think`: every spelling of thinking; or a list of tag names, e.g. [\"details\"].",
        ),
    ],
    examples: &[
        Example {
            title: "thinking does not go back to the model",
            rule: r#"op = "strip_block"
role = "assistant"
tags = "think""#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "user", "content": "2 + 2?"},
  {"role": "assistant", "content": "<think>\nTwo and two...\n</think>\n\nIt is 4.", "reasoning_content": "Two"},
  {"role": "user", "content": "And 3 + 3?"}]}"#,
            after: r#"{"messages": [
  {"role": "user", "content": "2 + 2?"},
  {"role": "assistant", "content": "It is 4."},
  {"role": "user", "content": "And 3 + 3?"}]}"#,
        },
        Example {
            title: "a tag in a program stays",
            rule: r#"op = "strip_block"
role = "assistant"
tags = ["think"]"#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "user", "content": "How do I write it?"},
  {"role": "assistant", "content": "Like this:\n```\n<think>...</think>\n```"},
  {"role": "user", "content": "Thanks"}]}"#,
            after: r#"{"messages": [
  {"role": "user", "content": "How do I write it?"},
  {"role": "assistant", "content": "Like this:\n```\n<think>...</think>\n```"},
  {"role": "user", "content": "Thanks"}]}"#,
        },
    ],
    sets: None,
    compile,
};

#[derive(Debug)]
struct StripBlock {
    role: Role,
    tags: Vec<(String, String)>,
    /// The opening tags: most texts hold none of them, which one look tells.
    opening: AhoCorasick,
    reasoning: bool,
}

fn compile(table: &Table<'_>, problems: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    let word = table.get("tags").and_then(table::text);
    let tags: Vec<(String, String)> = match word {
        Some("think") => THINK
            .map(|(open, close)| (open.to_owned(), close.to_owned()))
            .to_vec(),
        Some(_) => {
            problems.push(
                Problem::error("P003", "`tags` must be \"think\" or a list of tag names")
                    .at(Some(table.place("tags")), "is not")
                    .help("for example: tags = [\"details\"]"),
            );
            return None;
        }
        None => {
            let names = table.texts("tags");
            names
                .iter()
                .map(|(name, _)| (format!("<{name}>"), format!("</{name}>")))
                .collect()
        }
    };
    if tags.is_empty() {
        problems.push(
            Problem::error("P003", "there is nothing to strip without tags")
                .at(Some(table.place("tags")), "")
                .help("for example: tags = \"think\", or [\"details\"]"),
        );
    }
    let opening = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(tags.iter().map(|(open, _)| open));
    let opening = opening
        .map_err(|error| {
            let problem = Problem::error("P003", "these tags are too many");
            problems.push(problem.at(Some(table.place("tags")), error.to_string()));
        })
        .ok()?;
    Some(Box::new(StripBlock {
        role: role(table)?,
        tags,
        opening,
        reasoning: word.is_some(),
    }))
}

impl Operation for StripBlock {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        for index in 0..request.len() {
            if request
                .message(index)
                .is_none_or(|message| message.role != self.role)
            {
                continue;
            }
            request.edit(index, "blocks removed", |text| self.strip(text));
            if self.reasoning {
                request.drop_reasoning(index);
            }
        }
    }
}

impl StripBlock {
    /// `None` where there is no block.
    fn strip(&self, text: &str) -> Option<String> {
        let mut kept = String::new();
        let mut rest = text;
        let mut found = false;
        while let Some((at, (open, close))) = self.first(rest) {
            found = true;
            kept.push_str(rest.get(..at)?.trim_end());
            let inside = rest.get(at + open.len()..)?;
            rest = match inside.find(close.as_str()) {
                Some(end) => inside.get(end + close.len()..)?.trim_start(),
                None => "",
            };
            if !kept.is_empty() && !rest.is_empty() {
                kept.push('\n');
            }
        }
        found.then(|| kept + rest)
    }

    /// The first opening tag outside of code fences.
    fn first(&self, text: &str) -> Option<(usize, &(String, String))> {
        let mut hits = self.opening.find_iter(text);
        let hit = hits.find(|hit| !text.get(..hit.start()).is_some_and(prose::in_fence))?;
        Some((hit.start(), self.tags.get(hit.pattern().as_usize())?))
    }
}
