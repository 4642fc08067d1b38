//! The same tool in fewer words.

use serde_json::Value;

use crate::{chat::Tool, policy::prose};

/// Longest description of a tool, and of a parameter, in characters.
const TOOL: usize = 140;
const PARAMETER: usize = 60;
/// The same where room is short.
const TERSE_TOOL: usize = 80;
const TERSE_PARAMETER: usize = 40;

/// The tool with short descriptions. What it is called, what its parameters are and which of them are required does not
/// change.
pub(super) fn tool(tool: &Tool) -> Tool {
    cut(tool, |function| {
        describe(function, TOOL);
        if let Some(parameters) = function.get_mut("parameters") {
            schema(parameters, PARAMETER);
        }
    })
}

/// The tool with hardly more than its name and parameters, for where [`tool`] is too long: the names of optional
/// parameters have to speak for themselves.
pub(super) fn terse(tool: &Tool) -> Tool {
    cut(tool, |function| {
        describe(function, TERSE_TOOL);
        let Some(parameters) = function.get_mut("parameters") else {
            return;
        };
        let required: Vec<String> = match parameters.get("required") {
            Some(Value::Array(names)) => {
                let names = names.iter().filter_map(Value::as_str);
                names.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        if let Some(Value::Object(properties)) = parameters.get_mut("properties") {
            for (name, property) in properties {
                if let Value::Object(fields) = property
                    && !required.contains(name)
                {
                    fields.retain(|key, _| !matches!(key.as_str(), "description" | "title"));
                }
            }
        }
        schema(parameters, TERSE_PARAMETER);
    })
}

fn cut(tool: &Tool, shorten: impl FnOnce(&mut Value)) -> Tool {
    let mut definition = tool.definition.clone();
    match definition.get_mut("function") {
        Some(function) => shorten(function),
        None => shorten(&mut definition),
    }
    Tool {
        name: tool.name.clone(),
        definition,
    }
}

fn describe(function: &mut Value, max: usize) {
    if let Some(Value::String(text)) = function.get_mut("description") {
        *text = sentences(text, max);
    }
}

/// Shortens the descriptions of a JSON schema.
fn schema(value: &mut Value, max: usize) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value {
                    Value::String(text) if name == "description" => *text = sentences(text, max),
                    // A parameter may be called `description`; then this is its schema.
                    value => schema(value, max),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| schema(item, max)),
        _ => {}
    }
}

/// The first sentences that fit, on one line; the beginning of the first where not even that one does.
fn sentences(text: &str, max: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut end = 0;
    let mut chars = 0;
    for sentence in prose::sentences(&line) {
        chars += sentence.chars().count();
        if chars > max + 1 {
            break;
        }
        end += sentence.len();
    }
    match line.get(..end).map(str::trim_end) {
        Some(short) if !short.is_empty() => short.to_owned(),
        _ => prose::cut(&line, max, "...").unwrap_or(line),
    }
}
