//! Requests as a person reads them, and what differs between two.

use similar::{ChangeTag, TextDiff};

use crate::chat::{Content, Message, Part, Request};

/// Lines around a change.
const CONTEXT: usize = 3;

/// A line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// In both.
    Same(String),
    /// Before only.
    Removed(String),
    /// After only.
    Added(String),
    /// Lines that are the same were left out here.
    Gap,
}

/// A request as a person reads it: tools by name, then who says what.
#[must_use]
pub fn transcript(request: &Request) -> String {
    let mut text = String::new();
    if !request.tools.is_empty() {
        let names: Vec<&str> = request
            .tools
            .iter()
            .map(|tool| tool.name.as_str())
            .collect();
        text += &format!("[tools]\n{}\n", names.join("\n"));
    }
    for message in &request.messages {
        text += &format!("[{}]\n{}\n", message.role.as_str(), said(message));
    }
    text
}

/// What differs between two requests, with some lines around.
#[must_use]
pub fn difference(before: &Request, after: &Request) -> Vec<Line> {
    let (before, after) = (transcript(before), transcript(after));
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(CONTEXT) {
        if !lines.is_empty() {
            lines.push(Line::Gap);
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n').to_owned();
            lines.push(match change.tag() {
                ChangeTag::Equal => Line::Same(line),
                ChangeTag::Delete => Line::Removed(line),
                ChangeTag::Insert => Line::Added(line),
            });
        }
    }
    lines
}

fn said(message: &Message) -> String {
    let mut lines = Vec::new();
    if let Some(reasoning) = &message.reasoning {
        lines.push(format!("(thinking) {reasoning}"));
    }
    match &message.content {
        Content::Text(text) => lines.push(text.clone()),
        Content::Parts(parts) => lines.extend(parts.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Image(url) => format!("(image of {} characters)", url.len()),
            Part::Other(value) => value.to_string(),
        })),
    }
    let calls = message.tool_calls.iter();
    lines.extend(calls.map(|call| format!("calls {}({})", call.name, call.arguments)));
    lines.join("\n")
}
