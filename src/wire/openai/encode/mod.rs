//! Writing a rewritten chat request for an upstream.
//!
//! Only what has changed changes: every other field and message keeps its bytes, so that number spellings, unknown
//! fields and the upstream's prompt cache survive.

mod align;
mod message;

#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes};
use serde_json::json;

use self::align::{Origin, align};
use super::{ChatBody, json, patch, patch::Changes, raw, raw::Member};
use crate::chat::{Request, Sampling, Tool, ToolChoice};

/// The body of `after`, given the `body` from which `before` was read.
///
/// Without a body, `before` does not count and the whole of `after` is written. Whether thinking is wanted is written
/// only as far as `extra` says so; see [`ThinkSwitch`](super::ThinkSwitch).
#[must_use]
pub fn encode_chat(body: &Bytes, before: &Request, after: &Request) -> Bytes {
    ChatBody::unread(body.clone()).encode(before, after)
}

impl ChatBody {
    /// The body of `after`, given that `before` was read from this one. Whether thinking is wanted is written only as
    /// far as `extra` says so; see [`ThinkSwitch`](super::ThinkSwitch).
    #[must_use]
    pub fn encode(&self, before: &Request, after: &Request) -> Bytes {
        let parts = self.parts();
        let read = || {
            let members = std::str::from_utf8(self.bytes())
                .ok()
                .and_then(raw::members)?;
            let messages = raw::find(&members, "messages").and_then(raw::elements);
            Some((members, messages.unwrap_or_default()))
        };
        match parts.or_else(read) {
            Some(_) if before == after => self.bytes().clone(),
            Some((members, messages)) => write(members, &messages, before, after),
            None => write(Vec::new(), &[], &Request::default(), after),
        }
    }
}

fn write(members: Vec<Member<'_>>, messages: &[&str], before: &Request, after: &Request) -> Bytes {
    let mut changes = Changes::default();
    if before.model != after.model {
        changes.field_with(&["model"], |out, _| json::write(out, &after.model));
    }
    if before.messages != after.messages {
        changes.field_with(&["messages"], |out, _| {
            message::write_all(out, messages, &before.messages, &after.messages);
        });
    }
    tools(&mut changes, before, after);
    if before.stream != after.stream {
        changes.field_with(&["stream"], |out, _| json::write(out, &after.stream));
    }
    include_usage(&mut changes, before, after);
    sampling(&mut changes, &before.sampling, &after.sampling);
    changes.field(
        &["max_tokens", "max_completion_tokens"],
        &before.max_tokens,
        &after.max_tokens,
    );
    match after.stop.as_slice() {
        stop if before.stop == stop => {}
        [] => changes.remove(&["stop"]),
        stop => changes.field_with(&["stop"], move |out, _| json::write(out, stop)),
    }
    let size = members
        .iter()
        .map(|member| member.value.len() + member.key.len() + 2);
    let mut out = Vec::with_capacity(size.sum());
    patch::write(&mut out, &members, changes, &before.extra, &after.extra);
    out.into()
}

/// A chat request in this format, as far as rkgate understands it.
#[must_use]
pub fn chat_json(request: &Request) -> serde_json::Value {
    let body = encode_chat(&Bytes::new(), &Request::default(), request);
    // It was written a moment ago.
    serde_json::from_slice(&body).unwrap_or_default()
}

fn sampling<'c>(changes: &mut Changes<'c>, before: &Sampling, after: &'c Sampling) {
    changes.field(&["temperature"], &before.temperature, &after.temperature);
    changes.field(&["top_p"], &before.top_p, &after.top_p);
    changes.field(&["top_k"], &before.top_k, &after.top_k);
    changes.field(&["min_p"], &before.min_p, &after.min_p);
    changes.field(
        &["repeat_penalty"],
        &before.repeat_penalty,
        &after.repeat_penalty,
    );
    changes.field(
        &["frequency_penalty"],
        &before.frequency_penalty,
        &after.frequency_penalty,
    );
    changes.field(
        &["presence_penalty"],
        &before.presence_penalty,
        &after.presence_penalty,
    );
    changes.field(&["seed"], &before.seed, &after.seed);
}

fn include_usage(changes: &mut Changes<'_>, before: &Request, after: &Request) {
    const NAMES: &[&str] = &["stream_options"];
    match (before.include_usage, after.include_usage) {
        (false, true) => changes.field_with(NAMES, |out, original| {
            let members = original.and_then(raw::members).unwrap_or_default();
            let mut changes = Changes::default();
            changes.field(&["include_usage"], &None, &Some(true));
            patch::write(
                out,
                &members,
                changes,
                &Default::default(),
                &Default::default(),
            );
        }),
        // There is no other option that an upstream without it would miss.
        (true, false) => changes.remove(NAMES),
        _ => {}
    }
}

fn tools<'c>(changes: &mut Changes<'c>, before: &'c Request, after: &'c Request) {
    const TOOLS: &[&str] = &["tools"];
    const CHOICE: &[&str] = &["tool_choice"];
    if before.tools != after.tools {
        if after.tools.is_empty() {
            changes.remove(TOOLS);
        } else {
            changes.field_with(TOOLS, |out, original| {
                write_tools(out, original, &before.tools, &after.tools);
            });
        }
    }
    // A choice among no tools is an error to some servers.
    let without_tools = after.tools.is_empty() && !before.tools.is_empty();
    match &after.tool_choice {
        ToolChoice::Auto if without_tools => changes.remove(CHOICE),
        choice if *choice == before.tool_choice => {}
        ToolChoice::Auto => changes.remove(CHOICE),
        ToolChoice::None => changes.field_with(CHOICE, |out, _| json::write(out, "none")),
        ToolChoice::Required => changes.field_with(CHOICE, |out, _| json::write(out, "required")),
        ToolChoice::Named(name) => changes.field_with(CHOICE, move |out, _| {
            json::write(
                out,
                &json!({"type": "function", "function": {"name": name}}),
            );
        }),
    }
}

fn write_tools(out: &mut Vec<u8>, original: Option<&str>, before: &[Tool], after: &[Tool]) {
    let originals = original.and_then(raw::elements).unwrap_or_default();
    let origins = align(before, after, |_, _| false);
    raw::write_list(out, after.iter().zip(origins), |(tool, origin), out| {
        let original = match origin {
            Origin::Same(at) => originals.get(at),
            Origin::Like(_) | Origin::New => None,
        };
        match original {
            Some(original) => out.put_slice(original.as_bytes()),
            None => json::write(out, &tool.definition),
        }
    });
}
