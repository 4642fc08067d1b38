//! The messages of a chat request.

use serde_json::Value;

use super::{
    error::DecodeError,
    fields::{Fields, kind},
};
use crate::chat::{Content, Message, Part, Role, ToolCall};

/// Takes the messages.
pub(super) fn decode(body: &mut Fields) -> Result<Vec<Message>, DecodeError> {
    let list = body.list("messages")?;
    if list.is_empty() {
        return Err(body.error("messages", "must be a list with at least one message"));
    }
    list.into_iter()
        .enumerate()
        .map(|(index, value)| message(index, value))
        .collect()
}

fn message(index: usize, value: Value) -> Result<Message, DecodeError> {
    let mut fields = Fields::of_value(format!("messages[{index}]"), value)?;
    let role = role(&mut fields)?;
    Ok(Message {
        role,
        content: content(&mut fields)?,
        reasoning: reasoning(&mut fields),
        tool_calls: tool_calls(&mut fields, index)?,
        tool_call_id: fields.text("tool_call_id")?,
        extra: fields.rest(),
    })
}

fn role(fields: &mut Fields) -> Result<Role, DecodeError> {
    match fields.text("role")?.as_deref() {
        Some("system" | "developer") => Ok(Role::System),
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        // `function` is what tool results were called at first.
        Some("tool" | "function") => Ok(Role::Tool),
        _ => Err(fields.error("role", "must be system, developer, user, assistant or tool")),
    }
}

fn content(fields: &mut Fields) -> Result<Content, DecodeError> {
    match fields.take("content") {
        None => Ok(Content::Text(String::new())),
        Some(Value::String(text)) => Ok(Content::Text(text)),
        Some(Value::Array(parts)) => {
            let part = |(index, value)| part(fields.place(&format!("content[{index}]")), value);
            parts
                .into_iter()
                .enumerate()
                .map(part)
                .collect::<Result<_, _>>()
                .map(Content::Parts)
        }
        Some(other) => {
            let problem = format!("must be a string or a list of parts, not {}", kind(&other));
            Err(fields.error("content", problem))
        }
    }
}

fn part(place: String, value: Value) -> Result<Part, DecodeError> {
    if let Value::String(text) = value {
        return Ok(Part::Text(text));
    }
    let kind = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("text")
        .to_owned();
    let (name, text) = match kind.as_str() {
        "text" | "input_text" | "output_text" => ("text", true),
        "refusal" => ("refusal", true),
        "image_url" | "input_image" => ("image_url", false),
        _ => return Ok(Part::Other(value)),
    };
    let mut fields = Fields::of_value(place, value)?;
    if text {
        let text = fields.text(name)?;
        return text
            .map(Part::Text)
            .ok_or_else(|| fields.error(name, "must be a string"));
    }
    match fields.take(name) {
        Some(Value::String(url)) => Ok(Part::Image(url)),
        Some(Value::Object(mut image)) => match image.remove("url") {
            Some(Value::String(url)) => Ok(Part::Image(url)),
            _ => Err(fields.error("image_url.url", "must be a string")),
        },
        _ => Err(fields.error(name, "must be a URL or an object with a url")),
    }
}

/// Thinking that comes back with the history, under any of its names. Other shapes are left to `extra`.
fn reasoning(fields: &mut Fields) -> Option<String> {
    let name = ["reasoning_content", "reasoning", "thinking"]
        .into_iter()
        .find(|name| matches!(fields.get(name), Some(Value::String(text)) if !text.is_empty()))?;
    match fields.take(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn tool_calls(fields: &mut Fields, message: usize) -> Result<Vec<ToolCall>, DecodeError> {
    let calls = fields.list("tool_calls")?;
    let call = |(index, value)| {
        let mut call = Fields::of_value(fields.place(&format!("tool_calls[{index}]")), value)?;
        let id = call.text("id")?;
        let function = call.take("function").unwrap_or_default();
        let mut function = Fields::of_value(call.place("function"), function)?;
        Ok(ToolCall {
            // A call without an id can still be told from the others of this conversation.
            id: id.unwrap_or_else(|| format!("call_{message}_{index}")),
            name: match function.text("name")? {
                Some(name) if !name.is_empty() => name,
                _ => return Err(function.error("name", "must be the function's name")),
            },
            arguments: match function.take("arguments") {
                None => "{}".to_owned(),
                Some(Value::String(arguments)) => arguments,
                Some(object @ Value::Object(_)) => object.to_string(),
                Some(other) => {
                    let problem = format!("must be JSON in a string, not {}", kind(&other));
                    return Err(function.error("arguments", problem));
                }
            },
        })
    };
    calls.into_iter().enumerate().map(call).collect()
}
