//! `POST /v1/chat/completions`: from the body to the internal form.

use serde_json::Value;

use super::{
    error::DecodeError,
    fields::Fields,
    message::{self, RawMessage},
    think_switch, tools,
};
use crate::chat::Request;

/// Reads a chat request.
///
/// # Errors
/// If the body is no JSON or not of the shape of a chat request; the error names the place.
pub fn decode_chat(body: &[u8]) -> Result<Request, DecodeError> {
    let mut fields = Fields::of_body(body)?;
    let messages = message::take(&mut fields)?;
    decode(fields, messages)
}

/// Reads a request whose messages have been taken out of its fields.
pub(super) fn decode(
    mut fields: Fields,
    messages: Vec<RawMessage>,
) -> Result<Request, DecodeError> {
    let model = fields.model()?;
    let messages = message::decode(messages)?;
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
    // Typed into a form, the arguments may come as text.
    let written = match fields.get("chat_template_kwargs") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Value::Null,
    };
    let template = |kwargs: &Value| {
        kwargs
            .get("enable_thinking")
            .and_then(think_switch::meaning)
    };
    fields
        .get("chat_template_kwargs")
        .and_then(template)
        .or_else(|| template(&written))
        .or_else(|| {
            let switch = fields.get("enable_thinking");
            switch.and_then(think_switch::meaning)
        })
        .or_else(|| fields.get("think").and_then(think_switch::meaning))
        .or_else(|| {
            let effort = fields.get("reasoning_effort");
            effort
                .filter(|effort| effort.is_string())
                .and_then(think_switch::meaning)
        })
}

#[cfg(test)]
pub(super) mod tests;
