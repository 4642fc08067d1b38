//! `POST /v1/chat/completions`: from the body to the internal form.

use serde_json::Value;

use super::{error::DecodeError, fields::Fields, message, tools};
use crate::chat::Request;

/// Reads a chat request.
///
/// # Errors
/// If the body is no JSON or not of the shape of a chat request; the error names the place.
pub fn decode_chat(body: &[u8]) -> Result<Request, DecodeError> {
    let mut fields = Fields::of_body(body)?;
    let model = fields.model()?;
    let messages = message::decode(&mut fields)?;
    fields.single_answer("n")?;
    Ok(Request {
        model,
        messages,
        tools: tools::decode(&mut fields)?,
        tool_choice: tools::decode_choice(&mut fields)?,
        stream: fields.flag("stream")?,
        include_usage: fields.include_usage()?,
        sampling: fields.sampling()?,
        max_tokens: fields.max_tokens()?,
        stop: fields.stop()?,
        thinking: thinking(&fields),
        extra: fields.rest(),
    })
}

/// Whether the client switched thinking on or off. There are four spellings; the most direct one counts. All of
/// them stay in `extra`, because they say more than on and off (an effort, other template arguments).
fn thinking(fields: &Fields) -> Option<bool> {
    let template = fields
        .get("chat_template_kwargs")
        .and_then(|kwargs| kwargs.get("enable_thinking"));
    let effort = |effort: &Value| match effort.as_str()? {
        "none" | "minimal" => Some(false),
        "low" | "medium" | "high" | "xhigh" | "max" => Some(true),
        _ => None,
    };
    let switch = |value: &Value| value.as_bool().or_else(|| effort(value));
    template
        .and_then(Value::as_bool)
        .or_else(|| fields.get("enable_thinking").and_then(Value::as_bool))
        .or_else(|| fields.get("think").and_then(switch))
        .or_else(|| fields.get("reasoning_effort").and_then(effort))
}

#[cfg(test)]
mod tests;
