//! Lists of objects: the tools to call, and the changes to what Open WebUI remembers.
//!
//! What is done with them reaches further than a title: a tool runs, a memory is deleted. So an object counts only where
//! its end was seen, and one without all that its action needs is left out. Open WebUI refuses all changes to memories
//! for a single wrong one.

use serde_json::{Map, Value};

use super::{
    Fix, Fixes, JsonShape, JsonValue, MAX_ITEMS, MAX_TEXT, fits,
    lenient::{Loose, Member, Reader},
    pick::{self, Found, likeness, plain},
    shortened,
};

/// What models call the name of a tool and its parameters, in letters only.
const NAMES: [&str; 5] = ["name", "toolname", "functionname", "tool", "function"];
const PARAMETERS: [&str; 8] = [
    "parameters",
    "arguments",
    "params",
    "args",
    "parameter",
    "argument",
    "input",
    "kwargs",
];
/// Objects around the call itself, as the OpenAI API has them.
const WRAPPERS: [&str; 3] = ["function", "toolcall", "call"];
/// Members of a call that are no parameters where nothing says which ones are.
const NO_PARAMETERS: [&str; 4] = ["id", "type", "index", "description"];
/// What models call the members of a change to a memory.
const ACTIONS: [&str; 3] = ["action", "operation", "op"];
const CONTENTS: [&str; 4] = ["content", "memory", "text", "value"];
/// Longest text that is taken for a placeholder if it ends with dots, in words.
const PLACEHOLDER_WORDS: usize = 3;

/// The objects in `text`. Of several lists the last counts: examples and drafts come first. Objects without a list
/// make up one.
pub(super) fn read(text: &str, shape: &JsonShape) -> Option<Found> {
    let (objects, surrounded) = pick::objects(text);
    let several = objects.len() > 1;
    let mut fixes = Fixes::new();
    let mut listed = None;
    let mut single = Vec::new();
    for (object, found) in &objects {
        fixes.extend(found);
        match list(object, shape, &mut fixes) {
            Some(entries) => listed = Some(entries),
            None => single.extend(entry(object, shape, &mut fixes)),
        }
    }
    let mut entries = match listed {
        Some(entries) => entries,
        None if single.is_empty() => return None,
        None => {
            fixes.insert(Fix::BareList);
            single
        }
    };
    let mut kept = Vec::new();
    entries.retain(|entry| {
        let new = !kept.contains(entry);
        kept.push(entry.clone());
        new
    });
    if entries.len() > MAX_ITEMS {
        fixes.insert(Fix::TooLong);
        entries.truncate(MAX_ITEMS);
    }
    if several {
        fixes.insert(Fix::Several);
    }
    if surrounded {
        fixes.insert(Fix::Surroundings);
    }
    let value = match shape.value {
        JsonValue::ToolCall => entries.into_iter().next()?,
        _ => Value::Array(entries),
    };
    Some(Found { value, fixes })
}

/// The entries of the list under the key, however it is spelt; else of any list that has some, or nothing in it.
fn list(value: &Loose, shape: &JsonShape, fixes: &mut Fixes) -> Option<Vec<Value>> {
    let Loose::Object { members, .. } = value else {
        return None;
    };
    let alike = |(key, _): &&Member| {
        let key = key.as_deref()?;
        likeness(key, &shape.key).filter(|likeness| *likeness < 4)
    };
    let named = members.iter().filter(|member| alike(member).is_some());
    if let Some((key, value)) = named.min_by_key(|member| alike(member)) {
        if key.as_deref() != Some(&*shape.key) {
            fixes.insert(Fix::Key);
        }
        return match value {
            Loose::List(items) => Some(all(items, shape, fixes)),
            Loose::Object { .. } => {
                fixes.insert(Fix::Kind);
                list(value, shape, fixes)
                    .or_else(|| entry(value, shape, fixes).map(|entry| vec![entry]))
            }
            Loose::Text { .. } => None,
        };
    }
    let other = members.iter().find_map(|(_, value)| match value {
        Loose::List(items) => {
            let entries = all(items, shape, &mut Fixes::new());
            (!entries.is_empty()).then_some(entries)
        }
        Loose::Object { .. } => list(value, shape, fixes),
        Loose::Text { .. } => None,
    })?;
    fixes.insert(Fix::Key);
    Some(other)
}

fn all(items: &[Loose], shape: &JsonShape, fixes: &mut Fixes) -> Vec<Value> {
    let entries = items.iter().filter_map(|item| entry(item, shape, fixes));
    entries.collect()
}

fn entry(object: &Loose, shape: &JsonShape, fixes: &mut Fixes) -> Option<Value> {
    let Loose::Object { members, whole } = object else {
        return None;
    };
    match shape.value {
        JsonValue::MemoryOperations => whole.then(|| operation(members))?,
        _ => call(members, *whole, fixes),
    }
    .map(Value::Object)
}

/// A tool call as `{"name": ..., "parameters": {...}}`.
fn call(members: &[Member], whole: bool, fixes: &mut Fixes) -> Option<Map<String, Value>> {
    let wrapped = members
        .iter()
        .find_map(|(key, value)| match (key.as_deref(), value) {
            (Some(key), Loose::Object { members, whole })
                if WRAPPERS.contains(&plain(key).as_str()) =>
            {
                Some((members, *whole))
            }
            _ => None,
        });
    if let Some((members, whole)) = wrapped {
        fixes.insert(Fix::Key);
        return call(members, whole, fixes);
    }
    let (name_key, name) = named(members, &NAMES).and_then(|(key, value)| {
        let name = value.as_text()?.trim();
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        is_name.then_some((key, name))
    })?;
    let parameters = match named(members, &PARAMETERS) {
        Some((_, value)) => parameters(value)?,
        // Those of a call that is cut may have been about to come.
        None if !whole => return None,
        None => {
            let rest = members.iter().filter(|(key, _)| {
                key.as_deref().is_some_and(|key| {
                    key != name_key && !NO_PARAMETERS.contains(&plain(key).as_str())
                })
            });
            rest.filter_map(|(key, value)| Some((key.clone()?, strict(value))))
                .collect()
        }
    };
    let known = |key: &Option<String>| matches!(key.as_deref(), Some("name" | "parameters"));
    if !members.iter().all(|(key, _)| known(key)) {
        fixes.insert(Fix::Key);
    }
    Some(Map::from_iter([
        ("name".to_owned(), name.into()),
        ("parameters".to_owned(), Value::Object(parameters)),
    ]))
}

/// The parameters of a call; `None` where their end is missing. What is no object has none.
fn parameters(value: &Loose) -> Option<Map<String, Value>> {
    match value {
        Loose::Object { members, whole } => whole.then(|| object(members)),
        Loose::List(_) => Some(Map::new()),
        // JSON in a string, as the OpenAI API has it.
        Loose::Text { text, .. } => match Reader::new(text, 0).value() {
            Some(Loose::Object {
                members,
                whole: true,
            }) => Some(object(&members)),
            _ if text.contains('{') => None,
            _ => Some(Map::new()),
        },
    }
}

/// A change to a memory with all that Open WebUI asks for, and nothing else.
fn operation(members: &[Member]) -> Option<Map<String, Value>> {
    let text = |names: &[&str]| {
        let (_, value) = named(members, names)?;
        Some(value.as_text()?.trim()).filter(|text| text.contains(char::is_alphanumeric))
    };
    let id = text(&["id", "memoryid"]);
    let content = text(&CONTENTS).filter(|text| !is_placeholder(text));
    let action = match text(&ACTIONS).map(plain).as_deref() {
        Some("add" | "create" | "new" | "insert" | "save" | "remember" | "store") => "add",
        Some("replace" | "update" | "edit" | "change" | "modify") => "replace",
        Some("move" | "rename") => "move",
        Some("remove" | "delete" | "forget") => "remove",
        None if id.is_none() => "add",
        _ => return None,
    };
    let path = text(&["path"]).filter(|path| is_path(path));
    let mut operation = Map::from_iter([("action".to_owned(), action.into())]);
    if action != "add" {
        operation.insert("id".to_owned(), id?.into());
    }
    if matches!(action, "add" | "replace") {
        let kind = text(&["type"]).map(plain);
        if let Some(kind) = kind.filter(|kind| matches!(kind.as_str(), "user" | "context")) {
            operation.insert("type".to_owned(), kind.into());
        }
    }
    if action != "remove" {
        match path {
            Some(path) => operation.insert("path".to_owned(), path.into()),
            None if action == "move" => return None,
            None => None,
        };
    }
    if matches!(action, "add" | "replace") {
        let content = content?;
        let content = if fits(content, MAX_TEXT) {
            content
        } else {
            shortened(content, MAX_TEXT)
        };
        operation.insert("content".to_owned(), content.into());
    }
    Some(operation)
}

/// "..." and "The user ...": a model that copies the example.
fn is_placeholder(text: &str) -> bool {
    text.ends_with(['.', '…'])
        && (text.ends_with("...") || text.ends_with('…'))
        && text.split_whitespace().count() <= PLACEHOLDER_WORDS
}

/// Whether Open WebUI takes this for the path of a memory.
fn is_path(path: &str) -> bool {
    !path.contains(char::is_control)
        && path
            .trim_matches('/')
            .split('/')
            .all(|part| !matches!(part, "." | ".."))
}

/// The first member that is called one of these, looked for in their order.
fn named<'m>(members: &'m [Member], names: &[&str]) -> Option<(&'m str, &'m Loose)> {
    names.iter().find_map(|name| {
        members.iter().find_map(|(key, value)| {
            let key = key.as_deref()?;
            (plain(key) == *name).then_some((key, value))
        })
    })
}

fn object(members: &[Member]) -> Map<String, Value> {
    let members = members
        .iter()
        .filter_map(|(key, value)| Some((key.clone()?, strict(value))));
    members.collect()
}

/// A value as JSON has it.
fn strict(value: &Loose) -> Value {
    match value {
        Loose::Text {
            text,
            quoted: false,
            ..
        } => match text.as_str() {
            "True" => true.into(),
            "False" => false.into(),
            word => serde_json::from_str(word).unwrap_or_else(|_| word.into()),
        },
        Loose::Text { text, .. } => text.as_str().into(),
        Loose::List(items) => items.iter().map(strict).collect(),
        Loose::Object { members, .. } => Value::Object(object(members)),
    }
}

#[cfg(test)]
mod tests;
