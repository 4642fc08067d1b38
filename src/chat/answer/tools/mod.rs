//! Finding tool calls in the visible text.
//!
//! | form    | text |
//! |---------|------|
//! | Hermes, Qwen | `<tool_call>{"name":…,"arguments":{…}}</tool_call>`, any number of them |
//! | Llama   | `<\|python_tag\|>{"name":…,"parameters":{…}}`, more objects after `;` |
//! | Mistral | `[TOOL_CALLS][{"name":…,"arguments":{…}},…]` |
//! | bare    | one of these objects or lists as the whole answer: the tags are special tokens that some runtimes swallow |
//!
//! A call is complete with its JSON value; the closing tag may be missing, since models stop early. What is no
//! call after all, broken JSON and names that were not offered, comes out as the text that it was.

mod json;

#[cfg(test)]
mod tests;

use super::pattern::{first_match, open_end};
use crate::chat::{Event, ToolCall};
use json::{Extent, Spoken};

const HERMES: &str = "<tool_call>";
const HERMES_END: &str = "</tool_call>";
const LLAMA: &str = "<|python_tag|>";
const MISTRAL: &str = "[TOOL_CALLS]";
const OPENERS: [&str; 3] = [HERMES, LLAMA, MISTRAL];

/// Turns text that calls an offered tool into [`Event::ToolCall`].
///
/// Other text passes at once, but for whitespace, which waits for what follows it: around calls it is dropped.
/// Text that begins like a bare call waits until it can no longer be one.
#[derive(Debug)]
pub struct ToolCallParser {
    offered: Vec<String>,
    id_seed: String,
    /// Calls made so far.
    made: usize,
    state: State,
    /// Text that is not decided yet.
    held: String,
    /// Calls of a bare answer, which count only if nothing else follows.
    bare: Vec<Spoken>,
    /// A call has just ended: whitespace before the next text belongs to it.
    after_call: bool,
}

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Hermes,
    Llama,
    Mistral,
    Bare,
}

#[derive(Debug)]
enum State {
    /// Visible text; `fresh` while there was none but whitespace.
    Text { fresh: bool },
    /// The JSON value that begins at `start` of the held text.
    Value {
        form: Form,
        start: usize,
        extent: Extent,
    },
    /// Behind a complete value, which ends at `end` of the held text.
    Behind { form: Form, end: usize },
}

impl ToolCallParser {
    /// A parser for calls of the tools named in `offered`; `id_seed` goes into the calls' ids.
    #[must_use]
    pub fn new(offered: Vec<String>, id_seed: String) -> Self {
        Self {
            offered,
            id_seed,
            made: 0,
            state: State::Text { fresh: true },
            held: String::new(),
            bare: Vec::new(),
            after_call: false,
        }
    }

    /// Takes the next text and appends what has become certain.
    pub fn push(&mut self, text: &str, out: &mut Vec<Event>) {
        self.held.push_str(text);
        loop {
            // Each step returns whether the state has changed, so that the rest is looked at again.
            let decided = match self.state {
                State::Text { fresh } => self.text(fresh, out),
                State::Value { form, start, .. } => self.value(form, start, out),
                State::Behind { form, end } => self.behind(form, end, out),
            };
            if !decided {
                return;
            }
        }
    }

    /// Ends the text: what is not a complete call by now is text. A new answer may follow.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let bare = std::mem::take(&mut self.bare);
        if let State::Behind {
            form: Form::Bare, ..
        } = self.state
        {
            self.held.clear();
            self.make_calls(bare, out);
        }
        self.release(self.held.len(), out);
        self.state = State::Text { fresh: true };
    }

    fn text(&mut self, fresh: bool, out: &mut Vec<Event>) -> bool {
        let body = self.held.trim_start();
        if fresh && body.starts_with(['{', '[']) && !body.starts_with(MISTRAL) {
            if MISTRAL.starts_with(body) {
                return false;
            }
            self.expect_value(Form::Bare, self.held.len() - body.len());
            return true;
        }
        if let Some((at, opener)) = first_match(&self.held, OPENERS.into_iter()) {
            let before = self.held.split_at(at).0.trim_end().len();
            self.release(before, out);
            let form = match opener {
                HERMES => Form::Hermes,
                LLAMA => Form::Llama,
                _ => Form::Mistral,
            };
            self.expect_value(form, at - before + opener.len());
            return true;
        }
        let certain = self
            .held
            .split_at(open_end(&self.held, OPENERS.into_iter()))
            .0
            .trim_end()
            .len();
        self.release(certain, out);
        self.state = State::Text {
            fresh: fresh && certain == 0,
        };
        false
    }

    fn expect_value(&mut self, form: Form, start: usize) {
        self.state = State::Value {
            form,
            start,
            extent: Extent::default(),
        };
    }

    fn value(&mut self, form: Form, start: usize, out: &mut Vec<Event>) -> bool {
        let State::Value { extent, .. } = &mut self.state else {
            return false;
        };
        let text = self.held.split_at(start).1;
        let possible = form != Form::Bare || json::begins_like_a_call(text);
        let progress = if possible {
            extent.find(text)
        } else {
            json::Progress::Broken
        };
        let length = match progress {
            json::Progress::More => return false,
            json::Progress::Broken => return self.reject(form, start, out),
            json::Progress::Whole(length) => length,
        };
        let Some(calls) =
            json::calls(text.split_at(length).0).filter(|calls| self.are_calls(calls, form))
        else {
            return self.reject(form, start, out);
        };
        if form == Form::Bare {
            self.bare.extend(calls);
            self.state = State::Behind {
                form,
                end: start + length,
            };
        } else {
            self.held.drain(..start + length);
            self.make_calls(calls, out);
            self.state = State::Behind { form, end: 0 };
        }
        true
    }

    /// Only offered tools can be called. An object with a name alone is a call where a tag says so.
    fn are_calls(&self, calls: &[Spoken], form: Form) -> bool {
        let offered = |call: &Spoken| self.offered.contains(&call.name);
        calls
            .iter()
            .all(|call| offered(call) && (form != Form::Bare || call.has_arguments))
    }

    /// What looked like a call is text: lets the opener go, and looks again at what follows it.
    fn reject(&mut self, form: Form, start: usize, out: &mut Vec<Event>) -> bool {
        self.bare.clear();
        if form != Form::Bare {
            self.release(start, out);
        }
        self.state = State::Text { fresh: false };
        true
    }

    fn behind(&mut self, form: Form, end: usize, out: &mut Vec<Event>) -> bool {
        let rest = self.held.split_at(end).1.trim_start();
        let offset = self.held.len() - rest.len();
        match form {
            Form::Hermes if rest.starts_with(HERMES_END) => {
                self.held.drain(..offset + HERMES_END.len());
            }
            Form::Hermes if HERMES_END.starts_with(rest) => return false,
            Form::Llama | Form::Bare => {
                let next = rest.strip_prefix(';').unwrap_or(rest).trim_start();
                if next.is_empty() {
                    return false;
                }
                if next.starts_with('{') {
                    self.expect_value(form, self.held.len() - next.len());
                    return true;
                }
                if form == Form::Bare {
                    return self.reject(form, end, out);
                }
            }
            Form::Hermes | Form::Mistral => {}
        }
        self.state = State::Text { fresh: false };
        true
    }

    fn make_calls(&mut self, calls: Vec<Spoken>, out: &mut Vec<Event>) {
        for Spoken {
            name, arguments, ..
        } in calls
        {
            let index = self.made;
            let id = format!("call_{}_{index}", self.id_seed);
            out.push(Event::ToolCall {
                index,
                call: ToolCall {
                    id,
                    name,
                    arguments,
                },
            });
            self.made += 1;
            self.after_call = true;
        }
    }

    /// Lets the first `length` bytes of the held text go as content.
    fn release(&mut self, length: usize, out: &mut Vec<Event>) {
        let rest = self.held.split_off(length);
        let mut text = std::mem::replace(&mut self.held, rest);
        if self.after_call {
            text.drain(..text.len() - text.trim_start().len());
        }
        if !text.is_empty() {
            self.after_call = false;
            out.push(Event::Content(text));
        }
    }
}
