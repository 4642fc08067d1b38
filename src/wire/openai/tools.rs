//! Tool definitions and the choice among them.

use serde_json::{Map, Value};

use super::{error::DecodeError, fields::Fields};
use crate::chat::{Tool, ToolChoice};

/// Takes the tools. A flat definition (`{"type":"function","name":…}`) becomes a nested one, which is what chat
/// templates read.
pub(super) fn decode(body: &mut Fields) -> Result<Vec<Tool>, DecodeError> {
    body.list("tools")?
        .into_iter()
        .enumerate()
        .map(|(index, value)| tool(index, value))
        .collect()
}

fn tool(index: usize, value: Value) -> Result<Tool, DecodeError> {
    let place = format!("tools[{index}]");
    let nested = match value {
        Value::Object(mut flat) if !flat.contains_key("function") && flat.contains_key("name") => {
            let kind = flat
                .shift_remove("type")
                .unwrap_or_else(|| "function".into());
            let members = [
                ("type".to_owned(), kind),
                ("function".to_owned(), Value::Object(flat)),
            ];
            Value::Object(Map::from_iter(members))
        }
        other => other,
    };
    let name = nested
        .get("function")
        .and_then(|function| function.get("name"))
        .and_then(Value::as_str);
    match name {
        Some(name) if !name.is_empty() => Ok(Tool {
            name: name.to_owned(),
            definition: nested,
        }),
        _ => Err(DecodeError::field(
            format!("{place}.function.name"),
            "must be the function's name; tools of other kinds than `function` cannot be run here",
        )),
    }
}

/// Takes the choice.
pub(super) fn decode_choice(body: &mut Fields) -> Result<ToolChoice, DecodeError> {
    const NAME: &str = "tool_choice";
    let problem =
        "must be auto, none, required or {\"type\":\"function\",\"function\":{\"name\":…}}";
    match body.take(NAME) {
        None => Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" | "" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(body.error(NAME, problem)),
        },
        Some(choice) => {
            let name = choice
                .get("function")
                .unwrap_or(&choice)
                .get("name")
                .and_then(Value::as_str);
            let name = name.ok_or_else(|| body.error(NAME, problem))?;
            Ok(ToolChoice::Named(name.to_owned()))
        }
    }
}
