//! The same tool in fewer words.

use serde_json::Value;

use crate::{chat::Tool, policy::prose};

/// Longest description of a tool, and of a parameter, in characters.
const TOOL: usize = 140;
const PARAMETER: usize = 60;

/// The tool with short descriptions. What it is called, what its parameters are and which of them are required does not
/// change.
pub(super) fn tool(tool: &Tool) -> Tool {
    let mut definition = tool.definition.clone();
    let function = match definition.get_mut("function") {
        Some(function) => function,
        None => &mut definition,
    };
    if let Some(Value::String(text)) = function.get_mut("description") {
        *text = sentences(text, TOOL);
    }
    if let Some(parameters) = function.get_mut("parameters") {
        schema(parameters);
    }
    Tool {
        name: tool.name.clone(),
        definition,
    }
}

/// Shortens the descriptions of a JSON schema.
fn schema(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value {
                    Value::String(text) if name == "description" => {
                        *text = sentences(text, PARAMETER)
                    }
                    // A parameter may be called `description`; then this is its schema.
                    value => self::schema(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(self::schema),
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
