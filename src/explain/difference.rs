//! What was rewritten: the request before and after, message by message and line by line.

use serde::Serialize;
use similar::{ChangeTag, InlineChangeOptions, TextDiff};

use super::follow::{self, RuleAt};
use crate::{
    chat::{Content, Message, Part, Request, Role, Tool},
    policy::Trace,
};

/// A request before and after rewriting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The messages, in order; removed ones stand where they stood.
    pub messages: Vec<MessageDifference>,
    /// The tools, in order; those that stay as they are come without lines.
    pub tools: Vec<ToolDifference>,
}

/// A message before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageDifference {
    /// Its index as the request came; `None` where it is new.
    pub before: Option<usize>,
    /// Its index as the request goes on; `None` where it is gone.
    pub after: Option<usize>,
    /// Who speaks.
    pub role: Role,
    /// Characters before.
    pub chars_before: usize,
    /// Characters after.
    pub chars_after: usize,
    /// The rules that changed it.
    pub rules: Vec<RuleAt>,
    /// Its lines; empty where nothing changed.
    pub lines: Vec<Line>,
}

/// A tool before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolDifference {
    /// Its name.
    pub name: String,
    /// Whether it is still offered.
    pub kept: bool,
    /// The lines of its definition, where it is kept and shorter now.
    pub lines: Vec<Line>,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What became of it.
    pub kind: LineKind,
    /// Its text, without the line break.
    pub words: Vec<Words>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// It stays.
    Same,
    /// It is gone.
    Removed,
    /// It is new.
    Added,
}

/// Some words of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Words {
    /// The words.
    pub text: String,
    /// Whether they are what differs between two lines that are alike.
    pub changed: bool,
}

impl Difference {
    pub(super) fn new(before: &Request, after: &Request, trace: &Trace) -> Self {
        Self {
            messages: messages(&before.messages, &after.messages, trace),
            tools: tools(&before.tools, &after.tools),
        }
    }
}

fn messages(before: &[Message], after: &[Message], trace: &Trace) -> Vec<MessageDifference> {
    let (followed, _) = follow::follow(before.len(), trace);
    let mut differences = Vec::new();
    let mut next = 0;
    for (index, message) in after.iter().enumerate() {
        let followed = followed.get(index).cloned().unwrap_or_default();
        if let Some(from) = followed.from {
            differences.extend(gone(before, next..from));
            next = from + 1;
        }
        let old = followed.from.and_then(|from| before.get(from));
        let (was, is) = (old.map(transcript).unwrap_or_default(), transcript(message));
        differences.push(MessageDifference {
            before: followed.from,
            after: Some(index),
            role: message.role,
            chars_before: was.chars().count(),
            chars_after: is.chars().count(),
            rules: followed.rules,
            lines: if was == is && old.is_some() {
                Vec::new()
            } else {
                lines(&was, &is)
            },
        });
    }
    differences.extend(gone(before, next..before.len()));
    differences
}

/// Messages that are there no longer.
fn gone(
    before: &[Message],
    range: std::ops::Range<usize>,
) -> impl Iterator<Item = MessageDifference> {
    let removed = before.iter().enumerate().take(range.end).skip(range.start);
    removed.map(|(index, message)| {
        let was = transcript(message);
        MessageDifference {
            before: Some(index),
            after: None,
            role: message.role,
            chars_before: was.chars().count(),
            chars_after: 0,
            rules: Vec::new(),
            lines: lines(&was, ""),
        }
    })
}

fn tools(before: &[Tool], after: &[Tool]) -> Vec<ToolDifference> {
    let json = |tool: &Tool| format!("{:#}", tool.definition);
    let mut differences: Vec<ToolDifference> = before
        .iter()
        .map(|tool| {
            let kept = after.iter().find(|kept| kept.name == tool.name);
            let changed = kept.filter(|kept| *kept != tool);
            ToolDifference {
                name: tool.name.clone(),
                kept: kept.is_some(),
                lines: changed.map_or_else(Vec::new, |kept| lines(&json(tool), &json(kept))),
            }
        })
        .collect();
    let new = after
        .iter()
        .filter(|tool| before.iter().all(|old| old.name != tool.name));
    differences.extend(new.map(|tool| ToolDifference {
        name: tool.name.clone(),
        kept: true,
        lines: lines("", &json(tool)),
    }));
    differences
}

/// The lines of two texts. No clock ends the search early, so that the result is the same each time.
fn lines(before: &str, after: &str) -> Vec<Line> {
    let difference = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for op in difference.ops() {
        let changes = difference.iter_inline_changes_with_options_deadline(
            op,
            InlineChangeOptions::default(),
            None,
        );
        for change in changes {
            let kind = match change.tag() {
                ChangeTag::Equal => LineKind::Same,
                ChangeTag::Delete => LineKind::Removed,
                ChangeTag::Insert => LineKind::Added,
            };
            let words = change.iter_strings_lossy().map(|(changed, text)| Words {
                text: text.trim_end_matches('\n').to_owned(),
                changed,
            });
            let words = words.filter(|words| !words.text.is_empty()).collect();
            lines.push(Line { kind, words });
        }
    }
    lines
}

/// All that a message says, as text.
pub(super) fn transcript(message: &Message) -> String {
    let mut texts: Vec<String> = Vec::new();
    texts.extend(
        message
            .reasoning
            .iter()
            .map(|text| format!("[thinking] {text}")),
    );
    match &message.content {
        Content::Text(text) if text.is_empty() && !message.tool_calls.is_empty() => {}
        Content::Text(text) => texts.push(text.clone()),
        Content::Parts(parts) => texts.extend(parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Image(url) => format!("[image, {} characters]", url.len()),
            Part::Other(value) => format!("[other part, {} characters]", value.to_string().len()),
        })),
    }
    let calls = message.tool_calls.iter();
    texts.extend(calls.map(|call| format!("[calls {}] {}", call.name, call.arguments)));
    texts.join("\n")
}
