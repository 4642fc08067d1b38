//! Where things stand in a JSON text.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Span;

/// The character at a line and a byte column, both from 1, as the JSON parser tells them.
pub(super) fn of_line(text: &str, line: usize, column: usize) -> Span {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    character(text, start + column.saturating_sub(1))
}

/// The first character that says something.
pub(super) fn of_start(text: &str) -> Span {
    character(text, text.len() - text.trim_start().len())
}

fn character(text: &str, at: usize) -> Span {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let len = text
        .get(at..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8);
    at..at + len
}

/// The value at the end of a way of names; the last one that is there.
pub(super) fn of(text: &str, way: &[&str]) -> Span {
    let steps: Vec<Step> = way
        .iter()
        .map(|name| Step::Name((*name).to_owned()))
        .collect();
    find(text, &steps)
}

/// The value that a parameter such as `messages[2].content` names below the end of a way.
pub(super) fn of_param(text: &str, way: &[&str], param: &str) -> Span {
    let mut steps: Vec<Step> = way
        .iter()
        .map(|name| Step::Name((*name).to_owned()))
        .collect();
    for part in param.split('.') {
        let (name, indices) = part.split_once('[').unwrap_or((part, ""));
        steps.push(Step::Name(name.to_owned()));
        let indices = indices
            .split(['[', ']'])
            .filter_map(|index| index.parse().ok());
        steps.extend(indices.map(Step::Index));
    }
    find(text, &steps)
}

enum Step {
    Name(String),
    Index(usize),
}

fn find(text: &str, steps: &[Step]) -> Span {
    let trimmed = text.trim();
    let mut at = text.len() - text.trim_start().len();
    let mut value = trimmed;
    for step in steps {
        let next = match step {
            Step::Name(name) => serde_json::from_str::<BTreeMap<String, &RawValue>>(value)
                .ok()
                .and_then(|fields| fields.get(name).map(|found| found.get())),
            Step::Index(index) => serde_json::from_str::<Vec<&RawValue>>(value)
                .ok()
                .and_then(|items| items.get(*index).map(|found| found.get())),
        };
        let Some(next) = next else {
            break;
        };
        // Both are slices of `text`.
        at += next.as_ptr().addr() - value.as_ptr().addr();
        value = next;
    }
    at..at + value.len()
}
