//! The last stage: what the rules make of the answer.

use std::sync::Arc;

use serde::Serialize;

use super::{
    append,
    json_repair::{self, Fixes, Repair},
    repetition::{Loop, RepetitionGuard},
    rules::{JsonShape, Repetition, Think},
};
use crate::chat::Event;

/// How thinking is marked in visible text.
const OPENING: &str = "<think>\n";
const CLOSING: &str = "\n</think>\n\n";

/// What the rules have done to an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AnswerNotes {
    /// Thinking that was dropped.
    pub dropped: Option<Dropped>,
    /// What became of the JSON; known at the end.
    pub json: Option<JsonNote>,
    /// The loop that ended the visible text, or the thinking.
    pub repetition: Option<Loop>,
    /// There was no visible text, so the fallback was sent.
    pub blank: bool,
}

impl AnswerNotes {
    /// Whether nothing that the model said was of use.
    #[must_use]
    pub fn is_makeshift(&self) -> bool {
        self.blank || matches!(self.json, Some(JsonNote::Fallback | JsonNote::Hopeless))
    }
}

/// How much was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// In characters.
    pub chars: usize,
    /// In tokens; 0 where they were not counted.
    pub tokens: u32,
}

/// What became of the JSON that a task asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonNote {
    /// It was right.
    AsIs,
    /// It was mended; what had been wrong with it.
    Repaired(Fixes),
    /// It could not be saved: the fallback was sent.
    Fallback,
    /// It could not be saved, and there is no fallback.
    Hopeless,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Delivery {
    think: Think,
    json: Option<Json>,
    /// What to show where nothing else has been.
    fallback: Option<Arc<str>>,
    /// Whether anything that can be seen has been shown.
    shown: bool,
    blank: bool,
    /// For the visible text and for thinking.
    guards: Option<(RepetitionGuard, RepetitionGuard)>,
    /// Thinking stands in the visible text and is not closed.
    inline_open: bool,
    dropped_chars: usize,
}

/// An answer that is wanted as JSON.
#[derive(Debug)]
struct Json {
    shape: JsonShape,
    text: String,
    note: Option<JsonNote>,
}

impl Delivery {
    pub(super) fn new(
        think: Think,
        json: Option<JsonShape>,
        fallback: Option<Arc<str>>,
        repetition: Option<Repetition>,
    ) -> Self {
        Self {
            think,
            json: json.map(|shape| Json {
                shape,
                text: String::new(),
                note: None,
            }),
            fallback,
            shown: false,
            blank: false,
            guards: repetition.map(|rule| (RepetitionGuard::new(rule), RepetitionGuard::new(rule))),
            inline_open: false,
            dropped_chars: 0,
        }
    }

    /// Takes the next event; nothing may come after [`Self::stopped`].
    pub(super) fn take(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::Content(mut text) => {
                if let Some((visible, _)) = &mut self.guards {
                    text.truncate(visible.push(&text));
                }
                self.show(text, out);
            }
            Event::Reasoning(mut text) => {
                if let Some((_, thinking)) = &mut self.guards {
                    text.truncate(thinking.push(&text));
                }
                match self.think {
                    Think::Reasoning => append(out, Event::Reasoning(text)),
                    Think::Drop => self.dropped_chars += text.chars().count(),
                    Think::Inline => self.think_aloud(&text, out),
                }
            }
            Event::ContentWasReasoning => self.revise(out),
            Event::ToolCall { .. } => {
                self.close_thought(out);
                self.shown = true;
                out.push(event);
            }
        }
    }

    /// Ends the answer.
    pub(super) fn finish(&mut self, out: &mut Vec<Event>) {
        self.close_thought(out);
        let Some(json) = &mut self.json else {
            if let Some(fallback) = self.fallback.as_ref().filter(|_| !self.shown) {
                self.blank = true;
                append(out, Event::Content(fallback.to_string()));
            }
            return;
        };
        let text = std::mem::take(&mut json.text);
        let (text, note) = match (json_repair::repair(&text, &json.shape), &self.fallback) {
            (Repair::AsIs, _) => (text, JsonNote::AsIs),
            (Repair::Repaired { text, how }, _) => (text, JsonNote::Repaired(how)),
            (Repair::Hopeless, Some(fallback)) => (fallback.to_string(), JsonNote::Fallback),
            (Repair::Hopeless, None) => (text, JsonNote::Hopeless),
        };
        json.note = Some(note);
        append(out, Event::Content(text));
    }

    /// Whether the text has gone round in circles.
    pub(super) fn stopped(&self) -> bool {
        self.repetition().is_some()
    }

    pub(super) fn notes(&self, reasoning_tokens: u32) -> AnswerNotes {
        AnswerNotes {
            dropped: (self.dropped_chars > 0).then_some(Dropped {
                chars: self.dropped_chars,
                tokens: reasoning_tokens,
            }),
            json: self.json.as_ref().and_then(|json| json.note.clone()),
            repetition: self.repetition(),
            blank: self.blank,
        }
    }

    fn repetition(&self) -> Option<Loop> {
        let (visible, thinking) = self.guards.as_ref()?;
        visible.found().or_else(|| thinking.found())
    }

    fn show(&mut self, text: String, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.close_thought(out);
        match &mut self.json {
            Some(json) => json.text.push_str(&text),
            None => {
                self.shown |= !text.trim().is_empty();
                append(out, Event::Content(text));
            }
        }
    }

    /// A JSON answer has no room for thinking; there it is dropped.
    fn think_aloud(&mut self, text: &str, out: &mut Vec<Event>) {
        if self.json.is_some() {
            self.dropped_chars += text.chars().count();
        } else if !text.is_empty() {
            let opening = if self.inline_open { "" } else { OPENING };
            self.inline_open = true;
            append(out, Event::Content(format!("{opening}{text}")));
        }
    }

    fn close_thought(&mut self, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.inline_open) {
            append(out, Event::Content(CLOSING.to_owned()));
        }
    }

    /// All visible text was thinking after all.
    fn revise(&mut self, out: &mut Vec<Event>) {
        match (&mut self.json, self.think) {
            (Some(json), Think::Reasoning) => {
                append(out, Event::Reasoning(std::mem::take(&mut json.text)));
            }
            (Some(json), Think::Drop | Think::Inline) => {
                self.dropped_chars += json.text.chars().count();
                json.text.clear();
            }
            (None, Think::Inline) => append(out, Event::Content(CLOSING.to_owned())),
            (None, Think::Reasoning | Think::Drop) => {
                self.shown = false;
                out.push(Event::ContentWasReasoning);
            }
        }
    }
}

#[cfg(test)]
mod tests;
