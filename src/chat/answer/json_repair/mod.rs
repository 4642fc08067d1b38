//! Mending the JSON answers of tasks.
//!
//! Small models know what they were asked for and stumble over its form. Open WebUI cuts the answer from its first
//! `{` to its last `}` (search queries and image prompts: from the last `{`), parses that strictly and takes one key;
//! whatever fails on the way is an empty result. Its page turns single quotes and back quotes of titles and tags into
//! double ones before it parses. Here the answer is read as it was meant and written in a form that passes everywhere.

mod lenient;
mod objects;
mod pick;
mod prose;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::{
    rules::{JsonShape, JsonValue},
    think,
};
use pick::Found;

/// What some reader of Open WebUI's takes for the end of a string, or for the object's own bracket, inside of strings
/// too.
const MISREAD: [char; 6] = ['{', '}', '\'', '‘', '’', '`'];
/// Longest title, in characters. Open WebUI asks for five words at most.
const MAX_TITLE: usize = 100;
/// Longest string of another key, e.g. an image prompt, in characters.
const MAX_TEXT: usize = 4_000;
/// Most items of a list. Open WebUI asks for five or six at most.
const MAX_ITEMS: usize = 10;
/// Longest item of a list, in characters.
const MAX_ITEM: usize = 300;
/// Longest answer that is looked at, in bytes; what follows is left out. A task's answer has a few hundred.
const MAX_ANSWER: usize = 16 << 10;

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// The answer is what is wanted.
    AsIs,
    /// The answer was mended.
    Repaired {
        /// A compact JSON object of the shape.
        text: String,
        /// What was wrong.
        how: Fixes,
    },
    /// There is nothing in the answer that could be used.
    Hopeless,
}

/// What was wrong with an answer.
pub type Fixes = BTreeSet<Fix>;

/// One thing that was wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fix {
    /// Thinking stood in it.
    Thinking,
    /// Text stood around the object, a code fence for one.
    Surroundings,
    /// There was no object or list at all.
    NoJson,
    /// A list stood without its object.
    BareList,
    /// There were several objects.
    Several,
    /// The key was spelt otherwise, or stood elsewhere.
    Key,
    /// The value was of another kind.
    Kind,
    /// Quotes were missing, of another sort, or not escaped.
    Quotes,
    /// Commas were missing or too many, or there were comments.
    Commas,
    /// Brackets were of the wrong sort or too many.
    Brackets,
    /// Escapes were wrong or missing.
    Escapes,
    /// The answer ends in the middle.
    Truncated,
    /// It was longer than anybody wants.
    TooLong,
    /// Right, but not as Open WebUI reads it: braces or quotes within strings, or members that it does not know.
    Form,
}

/// Mends `text` into an object of the `shape`.
#[must_use]
pub fn repair(text: &str, shape: &JsonShape) -> Repair {
    if is_exact(text, shape) {
        return Repair::AsIs;
    }
    let mut fixes = Fixes::new();
    let end = (0..=text.len().min(MAX_ANSWER))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    let text = text.split_at(end.unwrap_or_default()).0;
    let spoken = think::without_thoughts(text);
    if spoken.len() < text.len() {
        fixes.insert(Fix::Thinking);
    }
    let unescaped = unescape(&spoken);
    if unescaped.is_some() {
        fixes.insert(Fix::Escapes);
    }
    let spoken = unescaped.as_deref().unwrap_or(&spoken);
    let found = match shape.value {
        JsonValue::Text | JsonValue::List => pick::from_objects(spoken, shape)
            .or_else(|| pick::from_lists(spoken, shape))
            .or_else(|| prose::read(spoken, shape)),
        JsonValue::ToolCalls | JsonValue::ToolCall | JsonValue::MemoryOperations => {
            objects::read(spoken, shape)
        }
    };
    let Some(Found {
        value,
        fixes: found,
    }) = found
    else {
        return Repair::Hopeless;
    };
    fixes.extend(found);
    let Some(value) = limited(value, shape, &mut fixes) else {
        return Repair::Hopeless;
    };
    if fixes.is_empty() {
        fixes.insert(Fix::Form);
    }
    Repair::Repaired {
        text: written(shape, &value),
        how: fixes,
    }
}

/// Whether the whole text is an object that Open WebUI reads as it is meant.
fn is_exact(text: &str, shape: &JsonShape) -> bool {
    let text = text.trim();
    let Ok(Value::Object(object)) = serde_json::from_str(text) else {
        return false;
    };
    let plain = || text.matches(MISREAD).count() == 2;
    match (shape.value, object.get(&*shape.key)) {
        (JsonValue::Text, Some(Value::String(text))) => plain() && fits(text, longest(shape)),
        (JsonValue::List, Some(Value::Array(items))) => {
            let fits = |item: &Value| item.as_str().is_some_and(|item| fits(item, MAX_ITEM));
            plain() && items.len() <= MAX_ITEMS && items.iter().all(fits)
        }
        (JsonValue::ToolCalls | JsonValue::MemoryOperations, Some(value)) => {
            objects::read(text, shape).is_some_and(|found| found.value == *value)
        }
        (JsonValue::ToolCall, _) => {
            objects::read(text, shape).is_some_and(|found| found.value == Value::Object(object))
        }
        _ => false,
    }
}

fn is_list(shape: &JsonShape) -> bool {
    shape.value == JsonValue::List
}

/// An object that stands in the answer as if inside a string, its quotes escaped.
fn unescape(text: &str) -> Option<String> {
    let inside = text.split_once('{')?.1.trim_start();
    let inside = inside.strip_prefix("\\n").unwrap_or(inside).trim_start();
    inside
        .starts_with("\\\"")
        .then(|| text.replace("\\\"", "\"").replace("\\n", "\n"))
}

/// The value without what nobody wants; `None` if that leaves nothing of it.
fn limited(value: Value, shape: &JsonShape, fixes: &mut Fixes) -> Option<Value> {
    if !matches!(shape.value, JsonValue::Text | JsonValue::List) {
        return Some(value);
    }
    let mut cut = |text: &str, limit| {
        if fits(text, limit) {
            return text.to_owned();
        }
        fixes.insert(Fix::TooLong);
        shortened(text, limit).to_owned()
    };
    match value {
        Value::String(text) => {
            let text = cut(&text, longest(shape));
            (!text.trim().is_empty()).then_some(Value::String(text))
        }
        Value::Array(items) => {
            let was_empty = items.is_empty();
            let mut kept: Vec<String> = Vec::new();
            for item in items.iter().filter_map(Value::as_str).map(str::trim) {
                let item = cut(item, MAX_ITEM);
                if item.contains(char::is_alphanumeric) && !kept.contains(&item) {
                    kept.push(item);
                }
                if kept.len() > MAX_ITEMS {
                    fixes.insert(Fix::TooLong);
                    kept.truncate(MAX_ITEMS);
                    break;
                }
            }
            (was_empty || !kept.is_empty()).then(|| kept.into())
        }
        _ => None,
    }
}

fn longest(shape: &JsonShape) -> usize {
    match &*shape.key {
        "title" => MAX_TITLE,
        _ => MAX_TEXT,
    }
}

fn fits(text: &str, limit: usize) -> bool {
    text.len() <= limit || text.chars().nth(limit).is_none()
}

/// The first `limit` characters, less the word that they cut.
fn shortened(text: &str, limit: usize) -> &str {
    let end = text
        .char_indices()
        .nth(limit)
        .map_or(text.len(), |(at, _)| at);
    match text.split_at(end) {
        (head, tail) if tail.starts_with(char::is_whitespace) => head.trim_end(),
        (head, _) if head.ends_with(char::is_whitespace) => head.trim_end(),
        (head, _) => whole_words(head),
    }
}

/// The text without its last word, if it has several.
fn whole_words(text: &str) -> &str {
    match text.trim_end().rsplit_once(char::is_whitespace) {
        Some((before, _)) if !before.trim().is_empty() => before.trim_end(),
        _ => text,
    }
}

/// The object, compact.
fn written(shape: &JsonShape, value: &Value) -> String {
    let value = spelled(value);
    match shape.value {
        JsonValue::ToolCall => value,
        _ => format!("{{{}:{value}}}", Value::from(&*shape.key)),
    }
}

/// JSON text in which nothing inside a string can be misread: whatever a reader cuts or replaces, it gets this value.
fn spelled(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(spelled).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}:{}", escaped(key), spelled(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::String(text) => escaped(text),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = Value::from(text).to_string();
    for misread in MISREAD {
        if escaped.contains(misread) {
            escaped = escaped.replace(misread, &format!("\\u{:04x}", u32::from(misread)));
        }
    }
    escaped
}
