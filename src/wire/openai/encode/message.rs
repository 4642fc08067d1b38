//! The messages of a rewritten request.

use bytes::BufMut;
use serde_json::{Map, json};

use super::{
    super::{
        json,
        patch::{self, Changes},
        raw,
    },
    align::{Origin, align},
};
use crate::chat::{Content, Message, Part, Role, ToolCall};

/// Writes the list of messages; those that are among the originals too keep their bytes.
pub(super) fn write_all(
    out: &mut Vec<u8>,
    originals: &[&str],
    before: &[Message],
    after: &[Message],
) {
    let origins = align(before, after, |old, new| old.role == new.role);
    let parts = after.iter().zip(origins).enumerate();
    raw::write_list(out, parts, |(at, (message, origin)), out| {
        let place = match origin {
            Origin::Same(place) | Origin::Like(place) => Some(place),
            Origin::New => None,
        };
        let source = place.and_then(|place| Some((*originals.get(place)?, before.get(place)?)));
        match (source, origin) {
            (Some((text, _)), Origin::Same(place)) if place == at || has_ids(text, message) => {
                out.put_slice(text.as_bytes());
            }
            (Some((text, old)), _) => write_changed(out, text, old, message, place == Some(at)),
            (None, _) => write_new(out, message),
        }
    });
}

/// Whether no call of the message gets its id from the message's place.
fn has_ids(text: &str, message: &Message) -> bool {
    message.tool_calls.is_empty()
        || raw::members(text)
            .and_then(|members| raw::elements(raw::find(&members, "tool_calls")?))
            .is_some_and(|calls| calls.into_iter().all(has_id))
}

fn has_id(call: &str) -> bool {
    raw::members(call)
        .and_then(|members| raw::string(raw::find(&members, "id")?))
        .is_some()
}

fn write_new(out: &mut Vec<u8>, message: &Message) {
    let mut changes = Changes::default();
    changes.field_with(&["role"], |out, _| json::write(out, &message.role));
    changes.field_with(&["content"], |out, _| {
        write_content(out, None, None, message);
    });
    other_fields(&mut changes, None, message);
    patch::write(out, &[], changes, &Map::new(), &message.extra);
}

/// `in_place` unless the message has moved.
fn write_changed(out: &mut Vec<u8>, text: &str, old: &Message, message: &Message, in_place: bool) {
    let Some(members) = raw::members(text) else {
        return write_new(out, message);
    };
    let mut changes = Changes::default();
    if old.role != message.role {
        changes.field_with(&["role"], |out, _| json::write(out, &message.role));
    }
    if old.content != message.content {
        changes.field_with(&["content"], |out, original| {
            write_content(out, original, Some(&old.content), message);
        });
    }
    other_fields(&mut changes, Some((old, in_place)), message);
    patch::write(out, &members, changes, &old.extra, &message.extra);
}

fn other_fields<'c>(
    changes: &mut Changes<'c>,
    old: Option<(&'c Message, bool)>,
    message: &'c Message,
) {
    const CALLS: &[&str] = &["tool_calls"];
    let (calls, in_place) = old.map_or((&[][..], true), |(old, in_place)| {
        (&*old.tool_calls, in_place)
    });
    let old = old.map(|(old, _)| old);
    changes.field(
        &["reasoning_content", "reasoning", "thinking"],
        &old.and_then(|old| old.reasoning.clone()),
        &message.reasoning,
    );
    match message.tool_calls.as_slice() {
        new if new == calls && (in_place || new.is_empty()) => {}
        [] => changes.remove(CALLS),
        new => changes.field_with(CALLS, move |out, original| {
            write_calls(out, original, calls, new);
        }),
    }
    changes.field(
        &["tool_call_id"],
        &old.and_then(|old| old.tool_call_id.clone()),
        &message.tool_call_id,
    );
}

fn write_content(
    out: &mut Vec<u8>,
    original: Option<&str>,
    old: Option<&Content>,
    message: &Message,
) {
    let parts = match &message.content {
        // Calls alone have no content, and some servers are strict about it.
        Content::Text(text)
            if text.is_empty()
                && message.role == Role::Assistant
                && !message.tool_calls.is_empty() =>
        {
            return json::write(out, &());
        }
        Content::Text(text) => return json::write_text(out, text),
        Content::Parts(parts) => parts,
    };
    let originals = original.and_then(raw::elements).unwrap_or_default();
    let old = match old {
        Some(Content::Parts(old)) => old.as_slice(),
        _ => &[],
    };
    let origins = align(old, parts, |_, _| false);
    raw::write_list(out, parts.iter().zip(origins), |(part, origin), out| {
        let original = match origin {
            Origin::Same(at) => originals.get(at),
            Origin::Like(_) | Origin::New => None,
        };
        match (original, part) {
            (Some(original), _) => out.put_slice(original.as_bytes()),
            (None, Part::Text(text)) => json::write(out, &json!({"type": "text", "text": text})),
            (None, Part::Image(url)) => {
                json::write(
                    out,
                    &json!({"type": "image_url", "image_url": {"url": url}}),
                );
            }
            (None, Part::Other(part)) => json::write(out, part),
        }
    });
}

fn write_calls(out: &mut Vec<u8>, original: Option<&str>, old: &[ToolCall], new: &[ToolCall]) {
    let originals = original.and_then(raw::elements).unwrap_or_default();
    let origins = align(old, new, |old, new| old.id == new.id);
    raw::write_list(out, new.iter().zip(origins), |(call, origin), out| {
        let original = match origin {
            Origin::Same(at) | Origin::Like(at) => originals.get(at).filter(|call| has_id(call)),
            Origin::New => None,
        };
        match (original, origin) {
            (Some(original), Origin::Same(_)) => out.put_slice(original.as_bytes()),
            (original, _) => write_call(out, original.copied(), call),
        }
    });
}

/// Writes a call; what the original has beside name and arguments stays.
fn write_call(out: &mut Vec<u8>, original: Option<&str>, call: &ToolCall) {
    let members = original.and_then(raw::members).unwrap_or_default();
    let mut changes = Changes::default();
    changes.field_with(&["id"], |out, _| json::write(out, &call.id));
    if raw::find(&members, "type").is_none() {
        changes.field_with(&["type"], |out, _| json::write(out, "function"));
    }
    changes.field_with(&["function"], |out, original| {
        let members = original.and_then(raw::members).unwrap_or_default();
        let mut changes = Changes::default();
        changes.field_with(&["name"], |out, _| json::write(out, &call.name));
        changes.field_with(&["arguments"], |out, _| json::write(out, &call.arguments));
        patch::write(out, &members, changes, &Map::new(), &Map::new());
    });
    patch::write(out, &members, changes, &Map::new(), &Map::new());
}
