//! A request being rewritten: a message is copied when it is changed first, and every change is written down.

use std::borrow::Cow;

use serde_json::Value;

use super::{Change, Shift};
use crate::chat::{Content, Message, Part, Request, Role, Tool};

/// A request being rewritten.
#[derive(Debug, Clone)]
pub(crate) struct Rewriter<'a> {
    original: &'a Request,
    messages: Vec<Cow<'a, Message>>,
    tools: Cow<'a, [Tool]>,
    thinking: Option<bool>,
    /// Whether anything differs from the original.
    changed: bool,
    /// Changes since they were last taken.
    changes: Vec<Change>,
    /// Why the operation at work had nothing to do.
    left: Option<String>,
}

impl<'a> Rewriter<'a> {
    pub(crate) fn new(original: &'a Request) -> Self {
        Self {
            original,
            messages: original.messages.iter().map(Cow::Borrowed).collect(),
            tools: Cow::Borrowed(&original.tools),
            thinking: None,
            changed: false,
            changes: Vec::new(),
            left: None,
        }
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn message(&self, index: usize) -> Option<&Message> {
        self.messages.get(index).map(AsRef::as_ref)
    }

    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> + ExactSizeIterator {
        self.messages.iter().map(AsRef::as_ref)
    }

    /// The last message of a role.
    pub(crate) fn last(&self, role: Role) -> Option<usize> {
        self.messages
            .iter()
            .rposition(|message| message.role == role)
    }

    /// The first message of a role.
    pub(crate) fn first(&self, role: Role) -> Option<usize> {
        self.messages
            .iter()
            .position(|message| message.role == role)
    }

    /// All text of a message; parts are joined by a line break.
    pub(crate) fn text(&self, index: usize) -> Cow<'_, str> {
        self.message(index)
            .map(|message| message.content.text())
            .unwrap_or_default()
    }

    /// Offers every text of a message to `edit`, which returns the new text, or `None` to leave it. Images stay.
    /// `what` says for the trace what happened.
    pub(crate) fn edit(
        &mut self,
        index: usize,
        what: impl Into<String>,
        mut edit: impl FnMut(&str) -> Option<String>,
    ) -> bool {
        let Some(message) = self.messages.get(index) else {
            return false;
        };
        let mut differs = |text: &str| edit(text).filter(|new| new != text);
        let content = match &message.content {
            Content::Text(text) => match differs(text) {
                Some(text) => Content::Text(text),
                None => return false,
            },
            Content::Parts(parts) => {
                let mut any = false;
                let parts = parts.iter().map(|part| match part {
                    Part::Text(text) => match differs(text) {
                        Some(text) => {
                            any = true;
                            Part::Text(text)
                        }
                        None => part.clone(),
                    },
                    Part::Image(_) | Part::Other(_) => part.clone(),
                });
                let parts = parts.collect();
                if !any {
                    return false;
                }
                Content::Parts(parts)
            }
        };
        self.set_content(index, content, what.into());
        true
    }

    /// [`Self::edit`] for all messages of a role.
    pub(crate) fn edit_all(
        &mut self,
        role: Role,
        what: &str,
        mut edit: impl FnMut(&str) -> Option<String>,
    ) {
        for index in 0..self.messages.len() {
            if self
                .message(index)
                .is_some_and(|message| message.role == role)
            {
                self.edit(index, what, &mut edit);
            }
        }
    }

    /// Gives a message another text. Images stay; several texts become one, in the place of the first.
    pub(crate) fn set_text(
        &mut self,
        index: usize,
        text: impl Into<String>,
        what: impl Into<String>,
    ) {
        let Some(message) = self.messages.get(index) else {
            return;
        };
        let text = text.into();
        if message.content.text() == text {
            return;
        }
        let content = match &message.content {
            Content::Text(_) => Content::Text(text),
            Content::Parts(parts) => {
                let mut text = Some(text);
                let mut kept: Vec<Part> = parts
                    .iter()
                    .filter_map(|part| match part {
                        Part::Text(_) => text.take().map(Part::Text),
                        Part::Image(_) | Part::Other(_) => Some(part.clone()),
                    })
                    .collect();
                kept.extend(text.map(Part::Text));
                Content::Parts(kept)
            }
        };
        self.set_content(index, content, what.into());
    }

    fn set_content(&mut self, index: usize, content: Content, what: String) {
        let Some(message) = self.messages.get_mut(index) else {
            return;
        };
        let before = chars(&message.content);
        let after = chars(&content);
        message.to_mut().content = content;
        let place = format!("messages[{index}].content");
        self.note(place, what, before, after, Shift::Edited(index));
    }

    /// Takes thinking off a message.
    pub(crate) fn drop_reasoning(&mut self, index: usize) {
        let Some(message) = self.messages.get_mut(index) else {
            return;
        };
        let Some(reasoning) = &message.reasoning else {
            return;
        };
        let before = reasoning.chars().count();
        message.to_mut().reasoning = None;
        self.note(
            format!("messages[{index}].reasoning"),
            "removed".to_owned(),
            before,
            0,
            Shift::Edited(index),
        );
    }

    /// Puts a message before the one at `index`; at the end where there is none.
    pub(crate) fn insert(&mut self, index: usize, message: Message, what: impl Into<String>) {
        let index = index.min(self.messages.len());
        let after = chars(&message.content);
        self.messages.insert(index, Cow::Owned(message));
        let shift = Shift::Inserted(index);
        self.note(format!("messages[{index}]"), what.into(), 0, after, shift);
    }

    /// Puts a message with plain text before the one at `index`.
    pub(crate) fn insert_text(
        &mut self,
        index: usize,
        role: Role,
        text: impl Into<String>,
        what: impl Into<String>,
    ) {
        let message = Message {
            role,
            content: Content::Text(text.into()),
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            extra: serde_json::Map::new(),
        };
        self.insert(index, message, what);
    }

    /// Makes one message of the one at `index` and the one behind it.
    pub(crate) fn merge(&mut self, index: usize, message: Message, what: impl Into<String>) {
        if index + 1 >= self.messages.len() {
            return;
        }
        let second = self.messages.remove(index + 1);
        if let Some(first) = self.messages.get_mut(index) {
            let before = chars(&first.content) + chars(&second.content);
            let after = chars(&message.content);
            *first = Cow::Owned(message);
            let shift = Shift::Merged(index);
            let place = format!("messages[{index}]");
            self.note(place, what.into(), before, after, shift);
        }
    }

    /// Takes a message out.
    pub(crate) fn remove(&mut self, index: usize, what: impl Into<String>) {
        if index < self.messages.len() {
            let message = self.messages.remove(index);
            let before = chars(&message.content);
            let shift = Shift::Removed(index..index + 1);
            self.note(format!("messages[{index}]"), what.into(), before, 0, shift);
        }
    }

    /// Takes the messages of a range out.
    pub(crate) fn remove_range(&mut self, range: std::ops::Range<usize>, what: impl Into<String>) {
        let end = range.end.min(self.messages.len());
        if range.start >= end {
            return;
        }
        let removed = self.messages.drain(range.start..end);
        let before = removed.map(|message| chars(&message.content)).sum();
        self.note(
            format!("messages[{}..{end}]", range.start),
            what.into(),
            before,
            0,
            Shift::Removed(range.start..end),
        );
    }

    pub(crate) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// Offers other tools. The trace counts their definitions' characters.
    pub(crate) fn set_tools(&mut self, tools: Vec<Tool>, what: impl Into<String>) {
        let size = |tools: &[Tool]| tools.iter().map(|tool| json_chars(&tool.definition)).sum();
        let (before, after) = (size(&self.tools), size(&tools));
        self.tools = Cow::Owned(tools);
        let place = "tools".to_owned();
        self.note(place, what.into(), before, after, Shift::None);
    }

    /// The person's own word on thinking, found in the text; it counts for more than the client's switches.
    pub(crate) fn set_thinking(&mut self, thinking: bool) {
        self.thinking = Some(thinking);
    }

    pub(crate) fn thinking(&self) -> Option<bool> {
        self.thinking
    }

    /// Says for the trace why there was nothing to do.
    pub(crate) fn leave(&mut self, why: impl Into<String>) {
        self.left = Some(why.into());
    }

    fn note(&mut self, place: String, what: String, before: usize, after: usize, shift: Shift) {
        self.changed = true;
        self.changes.push(Change {
            place,
            what,
            before,
            after,
            shift,
        });
    }

    /// The changes since the last call, and why there were none.
    pub(crate) fn take_changes(&mut self) -> (Vec<Change>, Option<String>) {
        (std::mem::take(&mut self.changes), self.left.take())
    }

    /// The rewritten request; `None` where nothing changed.
    pub(crate) fn finish(self) -> Option<Request> {
        let original = self.original;
        self.changed.then(|| Request {
            model: original.model.clone(),
            messages: self.messages.into_iter().map(Cow::into_owned).collect(),
            tools: self.tools.into_owned(),
            tool_choice: original.tool_choice.clone(),
            stream: original.stream,
            include_usage: original.include_usage,
            sampling: original.sampling,
            max_tokens: original.max_tokens,
            stop: original.stop.clone(),
            thinking: original.thinking,
            extra: original.extra.clone(),
        })
    }
}

/// Characters of a content's text.
fn chars(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.chars().count(),
        Content::Parts(_) => content.text().chars().count(),
    }
}

/// Characters of a value as compact JSON, escapes left out of account.
fn json_chars(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(value) => 5 - usize::from(*value),
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => 2 + text.chars().count(),
        Value::Array(items) => 1 + items.iter().map(|item| 1 + json_chars(item)).sum::<usize>(),
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| 4 + name.chars().count() + json_chars(value);
            1 + fields.iter().map(field).sum::<usize>()
        }
    }
}
