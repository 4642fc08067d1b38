//! Telling thinking from the answer.
//!
//! Only a block at the very start of the answer is thinking: models write tags in prose and code, and by then
//! the visible answer has begun.

use std::borrow::Cow;

use super::pattern::{first_match, open_end};
use crate::chat::Event;

/// The tags that Open WebUI knows as thinking, opening and closing.
const TAGS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reason>", "</reason>"),
    ("<reasoning>", "</reasoning>"),
    ("<thought>", "</thought>"),
    ("<Thought>", "</Thought>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("◁think▷", "◁/think▷"),
];

/// What is known about thinking before an answer begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Thinking {
    /// The text is raw: a tag is text wherever it stands (`/v1/completions`).
    Verbatim,
    /// The model was not asked to think. It may do so nevertheless, in a block that it opens itself.
    #[default]
    Unexpected,
    /// The model was asked to think. A closing tag without an opening one still ends a thought.
    Expected,
    /// The prompt ends inside a think block: the answer begins as thinking.
    Opened,
}

/// Splits the model's text into [`Event::Reasoning`] and [`Event::Content`].
///
/// Whitespace before a think block, at the start of it and after it is dropped; a block with nothing else in it
/// leaves no event. Several blocks in a row are one thought, joined by a line break.
///
/// A closing tag that nothing opened, where thinking was expected, is dropped and reported as
/// [`Event::ContentWasReasoning`].
#[derive(Debug)]
pub struct ThinkSplitter {
    state: State,
    /// Text whose meaning the next piece decides.
    held: String,
    /// A block has been opened: whitespace at the start of the answer belongs to it.
    opened: bool,
    /// Some thinking has been sent.
    reasoned: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing visible yet: an opening tag may come.
    Leading { expected: bool },
    /// Inside a block. `closing` is unknown when the prompt opened it; `fresh` until the first visible character.
    Inside {
        closing: Option<&'static str>,
        fresh: bool,
    },
    /// The visible answer; `watching` for a closing tag that nothing opened.
    Text { watching: bool },
}

impl ThinkSplitter {
    /// A splitter for one answer.
    #[must_use]
    pub fn new(thinking: Thinking) -> Self {
        let state = match thinking {
            Thinking::Verbatim => State::Text { watching: false },
            Thinking::Unexpected => State::Leading { expected: false },
            Thinking::Expected => State::Leading { expected: true },
            Thinking::Opened => State::Inside {
                closing: None,
                fresh: true,
            },
        };
        Self {
            state,
            held: String::new(),
            opened: thinking == Thinking::Opened,
            reasoned: false,
        }
    }

    /// Takes the next piece and appends what has become certain.
    pub fn push(&mut self, text: &str, out: &mut Vec<Event>) {
        self.held.push_str(text);
        loop {
            let decided = match self.state {
                State::Leading { expected } => self.leading(expected),
                State::Inside { closing, fresh } => self.inside_block(closing, fresh, out),
                State::Text { watching } => self.visible(watching, out),
            };
            if !decided {
                return;
            }
        }
    }

    /// Ends the text and appends what was held back. A block that was never closed stays thinking.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Leading { .. } if self.opened => emit(out, Event::Content, held.trim_start()),
            State::Leading { .. } | State::Text { .. } => emit(out, Event::Content, &held),
            State::Inside { fresh, .. } => self.emit_thought(&held, fresh, out),
        }
    }

    /// Whether the text so far ends inside a think block.
    #[must_use]
    pub fn inside(&self) -> bool {
        matches!(self.state, State::Inside { .. })
    }

    /// Whether the text so far may yet turn out to be the beginning of an opening tag.
    #[must_use]
    pub fn undecided(&self) -> bool {
        matches!(self.state, State::Leading { .. }) && !self.held.is_empty()
    }

    // Each of the three returns whether the state has changed, so that the rest of the held text is looked at again.

    fn leading(&mut self, expected: bool) -> bool {
        if self.opened {
            trim_start(&mut self.held);
        }
        let body = self.held.trim_start();
        if let Some((opening, closing)) = TAGS.iter().find(|(opening, _)| body.starts_with(opening))
        {
            self.held = body.split_at(opening.len()).1.to_owned();
            self.state = State::Inside {
                closing: Some(closing),
                fresh: true,
            };
            self.opened = true;
            return true;
        }
        if body.is_empty() || openings().any(|opening| opening.starts_with(body)) {
            return false;
        }
        self.state = State::Text {
            watching: expected && !self.opened,
        };
        true
    }

    fn inside_block(
        &mut self,
        closing: Option<&'static str>,
        fresh: bool,
        out: &mut Vec<Event>,
    ) -> bool {
        if fresh {
            trim_start(&mut self.held);
        }
        if fresh && closing.is_none() {
            // The prompt has opened the block. Some models open it once more: that tag is dropped.
            if let Some((opening, closing)) = TAGS
                .iter()
                .find(|(opening, _)| self.held.starts_with(opening))
            {
                self.held.drain(..opening.len());
                self.state = State::Inside {
                    closing: Some(closing),
                    fresh: true,
                };
                return true;
            }
            if openings().any(|opening| opening.starts_with(&self.held)) {
                return false;
            }
        }
        let closings = TAGS
            .iter()
            .map(|(_, tag)| *tag)
            .filter(|tag| closing.is_none_or(|closing| closing == *tag));
        if let Some((at, tag)) = first_match(&self.held, closings.clone()) {
            let after = self.held.split_off(at + tag.len());
            self.held.truncate(at);
            let thought = std::mem::replace(&mut self.held, after);
            self.emit_thought(&thought, fresh, out);
            self.state = State::Leading { expected: false };
            return true;
        }
        let rest = self.held.split_off(open_end(&self.held, closings));
        let thought = std::mem::replace(&mut self.held, rest);
        self.state = State::Inside {
            closing,
            fresh: fresh && thought.is_empty(),
        };
        self.emit_thought(&thought, fresh, out);
        false
    }

    fn visible(&mut self, watching: bool, out: &mut Vec<Event>) -> bool {
        if !watching {
            emit(out, Event::Content, &std::mem::take(&mut self.held));
            return false;
        }
        let closings = TAGS.iter().map(|(_, closing)| *closing);
        if let Some((at, tag)) = first_match(&self.held, closings.clone()) {
            let after = self.held.split_off(at + tag.len());
            self.held.truncate(at);
            emit(
                out,
                Event::Content,
                &std::mem::replace(&mut self.held, after),
            );
            out.push(Event::ContentWasReasoning);
            self.state = State::Text { watching: false };
            return true;
        }
        let rest = self.held.split_off(open_end(&self.held, closings));
        emit(
            out,
            Event::Content,
            &std::mem::replace(&mut self.held, rest),
        );
        false
    }

    fn emit_thought(&mut self, thought: &str, fresh: bool, out: &mut Vec<Event>) {
        if thought.is_empty() {
            return;
        }
        if fresh && self.reasoned {
            emit(out, Event::Reasoning, "\n");
        }
        self.reasoned = true;
        emit(out, Event::Reasoning, thought);
    }
}

/// The text without its think blocks, wherever they stand; of a block that is not closed nothing is left, nor of
/// anything before a closing tag that nothing opened.
///
/// For answers that are data: there is no prose in them that could be about tags.
pub(super) fn without_thoughts(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut kept = String::new();
    loop {
        let opening = first_match(rest, openings());
        let closing = first_match(rest, TAGS.iter().map(|(_, closing)| *closing));
        let opened = match (opening, closing) {
            (None, None) if rest.len() == text.len() => return text.into(),
            (None, None) => return (kept + rest).into(),
            (Some(opening), Some(closing)) if opening.0 < closing.0 => opening,
            (Some(opening), None) => opening,
            (_, Some((at, tag))) => {
                kept.clear();
                rest = rest.split_at(at + tag.len()).1;
                continue;
            }
        };
        let (before, inside) = rest.split_at(opened.0);
        kept.push_str(before);
        let closing = TAGS
            .iter()
            .find(|(tag, _)| *tag == opened.1)
            .map(|(_, tag)| *tag);
        rest = closing
            .and_then(|tag| inside.split_once(tag))
            .map_or("", |(_, after)| after);
    }
}

fn openings() -> impl Iterator<Item = &'static str> {
    TAGS.iter().map(|(opening, _)| *opening)
}

fn trim_start(text: &mut String) {
    let space = text.len() - text.trim_start().len();
    text.drain(..space);
}

fn emit(out: &mut Vec<Event>, kind: fn(String) -> Event, text: &str) {
    if !text.is_empty() {
        out.push(kind(text.to_owned()));
    }
}
