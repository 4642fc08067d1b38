//! What Open WebUI 0.12.4 makes of the answers to its tasks: its server and its page cut and parse, strictly, what comes
//! back. `None` is an answer that it throws away, or that its server and its page read differently.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

/// From the first `{`, or the last one, to the last `}`.
fn cut(answer: &str, start: Option<usize>) -> Option<&str> {
    answer.get(start?..=answer.rfind('}')?)
}

fn object(text: &str) -> Option<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The value of a key, by the server, and by the page after it has made double quotes of all others.
fn server_and_page(answer: &str, key: &str) -> Option<Value> {
    let server = object(cut(answer, answer.find('{'))?)?.remove(key)?;
    let quoted = answer.replace(['\'', '‘', '’', '`'], "\"");
    let page = object(cut(&quoted, quoted.find('{'))?)?.remove(key)?;
    (server == page).then_some(server)
}

/// An empty one is replaced by the first message.
pub(crate) fn title(answer: &str) -> Option<String> {
    server_and_page(answer, "title")?
        .as_str()
        .map(str::to_owned)
}

pub(crate) fn tags(answer: &str) -> Option<Vec<String>> {
    strings(&server_and_page(answer, "tags")?)
}

/// At most five of at most 400 characters; a single one that is no string spoils them all.
pub(crate) fn follow_ups(answer: &str) -> Option<Vec<String>> {
    let object = object(cut(answer, answer.find('{'))?)?;
    let mut kept: Vec<String> = Vec::new();
    for item in strings(object.get("follow_ups")?)? {
        let item = item.trim().to_owned();
        if !item.is_empty() && item.chars().count() <= 400 && !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept.truncate(5);
    Some(kept)
}

/// The server looks from the last `{`, the page from the first. Anything else becomes a query as a whole.
pub(crate) fn queries(answer: &str) -> Option<Vec<String>> {
    let server = object(cut(answer, answer.rfind('{'))?)?;
    let page = object(cut(answer, answer.find('{'))?)?;
    let queries = strings(server.get("queries")?)?;
    (page.get("queries") == server.get("queries")).then_some(queries)
}

/// From the last `{`. Where it fails, the person's own words are drawn.
pub(crate) fn image_prompt(answer: &str) -> Option<String> {
    let object = object(cut(answer, answer.rfind('{'))?)?;
    object.get("prompt")?.as_str().map(str::to_owned)
}

/// By the page. Where it fails, the whole answer would stand in the message that is being written.
pub(crate) fn completion(answer: &str) -> Option<String> {
    let object = object(cut(answer, answer.find('{'))?)?;
    object.get("text")?.as_str().map(str::to_owned)
}

/// By the page: the first pictograph.
pub(crate) fn emoji(answer: &str) -> Option<String> {
    static PICTOGRAPH: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\p{Extended_Pictographic}").unwrap());
    let found = PICTOGRAPH.find(answer)?;
    Some(found.as_str().to_owned())
}

/// The tools that are called, with their parameters.
pub(crate) fn tool_calls(answer: &str) -> Option<Vec<(String, Map<String, Value>)>> {
    if answer.is_empty() {
        return Some(Vec::new());
    }
    let object = object(cut(answer, answer.find('{'))?)?;
    let calls = match object.get("tool_calls") {
        Some(Value::Array(calls)) if calls.is_empty() => return Some(Vec::new()),
        Some(Value::Array(calls)) => calls.clone(),
        Some(_) => return None,
        None => vec![Value::Object(object)],
    };
    let call = |call: &Value| {
        let name = call.get("name")?.as_str()?.to_owned();
        match call.get("parameters") {
            None => Some((name, Map::new())),
            Some(parameters) => Some((name, parameters.as_object()?.clone())),
        }
    };
    calls.iter().map(call).collect()
}

/// The changes to what is remembered. A single one that lacks something has all of them refused.
pub(crate) fn memory_operations(answer: &str) -> Option<Vec<Value>> {
    let object = object(cut(answer, answer.find('{'))?)?;
    let operations = object.get("operations")?.as_array()?.clone();
    let is_sound = |operation: &Value| {
        let text = |key: &str| match operation.get(key) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text.trim()),
            Some(_) => Err(()),
        };
        let (Ok(action), Ok(id), Ok(content), Ok(path), Ok(kind)) = (
            text("action"),
            text("id"),
            text("content"),
            text("path"),
            text("type"),
        ) else {
            return false;
        };
        let path_is_sound = !path.split('/').any(|part| matches!(part, "." | ".."))
            && !path.contains(char::is_control);
        let complete = match action {
            "add" => !content.is_empty(),
            "replace" => !id.is_empty() && !content.is_empty(),
            "move" | "remove" => !id.is_empty(),
            _ => false,
        };
        complete && path_is_sound && matches!(kind, "" | "user" | "context")
    };
    operations.iter().all(is_sound).then_some(operations)
}
