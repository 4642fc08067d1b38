//! The messages of a chat request.

use serde_json::{Map, Value};

use super::{
    error::DecodeError,
    fields::{Fields, Place, kind},
    reader::Reader,
};
use crate::chat::{Content, Message, Part, Role, ToolCall};

/// A message as it is read: what every message has, and what few have.
#[derive(Debug, Default)]
pub(super) struct RawMessage {
    role: Option<RawRole>,
    content: Option<Value>,
    others: Map<String, Value>,
}

/// Who speaks, as it is read.
#[derive(Debug)]
enum RawRole {
    Known(Role),
    Odd(Value),
}

impl RawRole {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.peek()? != b'"' {
            return reader.value().map(Self::Odd);
        }
        let word = reader.string()?;
        let odd = || Self::Odd(Value::String(word.clone().into_owned()));
        Some(known_role(&word).map_or_else(odd, Self::Known))
    }

    fn of_value(value: Value) -> Self {
        match value.as_str().and_then(known_role) {
            Some(role) => Self::Known(role),
            None => Self::Odd(value),
        }
    }
}

fn known_role(word: &str) -> Option<Role> {
    match word {
        "system" | "developer" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        // `function` is what tool results were called at first.
        "tool" | "function" => Some(Role::Tool),
        _ => None,
    }
}

impl RawMessage {
    /// Reads an object in which no name stands twice.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut message = Self::default();
        reader.object(|reader, name, _| {
            let is_first = match &*name {
                "role" => message.role.replace(RawRole::read(reader)?).is_none(),
                "content" => message.content.replace(reader.value()?).is_none(),
                _ => {
                    let value = reader.value()?;
                    message.others.insert(name.into_owned(), value).is_none()
                }
            };
            is_first.then_some(())
        })?;
        Some(message)
    }

    fn of_value(index: usize, value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::of_value(Place::Message(index), value)?;
        Ok(Self {
            role: fields.take("role").map(RawRole::of_value),
            content: fields.take("content"),
            others: fields.rest(),
        })
    }
}

/// Takes the messages.
pub(super) fn take(body: &mut Fields) -> Result<Vec<RawMessage>, DecodeError> {
    let list = body.list("messages")?.into_iter().enumerate();
    list.map(|(index, value)| RawMessage::of_value(index, value))
        .collect()
}

/// Reads messages.
pub(super) fn decode(messages: Vec<RawMessage>) -> Result<Vec<Message>, DecodeError> {
    if messages.is_empty() {
        let problem = "must be a list with at least one message";
        return Err(DecodeError::field("messages", problem));
    }
    let messages = messages.into_iter().enumerate();
    messages.map(|(index, raw)| message(index, raw)).collect()
}

fn message(index: usize, raw: RawMessage) -> Result<Message, DecodeError> {
    let mut fields = Fields::at(Place::Message(index), raw.others);
    let role = role(raw.role, &fields)?;
    let content = content(raw.content, &fields)?;
    if fields.is_empty() {
        return Ok(Message {
            role,
            content,
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            extra: Map::new(),
        });
    }
    Ok(Message {
        role,
        content,
        reasoning: reasoning(&mut fields),
        tool_calls: tool_calls(&mut fields, index)?,
        tool_call_id: fields.text("tool_call_id")?,
        extra: fields.rest(),
    })
}

fn role(role: Option<RawRole>, fields: &Fields) -> Result<Role, DecodeError> {
    match role {
        Some(RawRole::Known(role)) => Ok(role),
        Some(RawRole::Odd(other)) if !other.is_string() && !other.is_null() => {
            let problem = format!("must be a string, not {}", kind(&other));
            Err(fields.error("role", problem))
        }
        _ => Err(fields.error("role", "must be system, developer, user, assistant or tool")),
    }
}

fn content(content: Option<Value>, fields: &Fields) -> Result<Content, DecodeError> {
    match content {
        None | Some(Value::Null) => Ok(Content::Text(String::new())),
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
