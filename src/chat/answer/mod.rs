//! From the model's raw text to the events that a client sees.
//!
//! Four stages, each a state machine that gives the same events however the text is cut into pieces:
//!
//! ```text
//! pieces -> think: Reasoning | text -> tools: text | ToolCall -> stop: text up to a stop string
//!        -> delivery: what the rules make of it -> events
//! ```
//!
//! Stop strings look at visible text only. A stop string such as a blank line would otherwise cut every thought
//! short, and one that occurs inside the arguments of a tool call would break the call.

mod delivery;
pub mod json_repair;
mod notes;
mod pattern;
mod repetition;
mod rules;
mod stop;
mod think;
mod tools;
mod whole;

#[cfg(test)]
mod tests;

pub use delivery::{AnswerNotes, Dropped, JsonNote};
pub use repetition::{Loop, RepetitionGuard};
pub use rules::{JsonShape, JsonValue, Repetition, Think};
pub use stop::StopStrings;
pub use think::{ThinkSplitter, Thinking};
pub use tools::ToolCallParser;
pub use whole::Answer;

use std::sync::Arc;

use super::{Event, FinishReason};
use delivery::Delivery;

/// What the assembler must know about a request and its run.
#[derive(Debug, Clone, Default)]
pub struct AnswerOptions {
    /// What is known about thinking before the first piece.
    pub thinking: Thinking,
    /// Strings that end the answer; empty ones are ignored.
    pub stop: Vec<String>,
    /// Names of the tools that the model may call; empty: text that looks like a call is text.
    pub tools: Vec<String>,
    /// Goes into the ids of tool calls (`call_<seed>_<index>`); the request's id makes them unique and repeatable.
    pub id_seed: String,
    /// Where thinking goes.
    pub think: Think,
    /// The JSON that the client parses from the visible text. It is mended where it is wrong, so all of it comes at
    /// the end.
    pub json: Option<JsonShape>,
    /// The visible text where there is no such JSON in the answer, or nothing visible at all; without it, that text is
    /// left as it is.
    pub fallback: Option<Arc<str>>,
    /// Most tokens of visible text. Where thinking is dropped it does not count: a model that thinks although it was
    /// told not to would have spent a task's few tokens before its first word.
    pub visible_tokens: Option<u32>,
    /// Ends an answer that goes round in circles.
    pub repetition: Option<Repetition>,
}

/// Turns the pieces of one answer into events.
#[derive(Debug)]
pub struct Assembler {
    think: ThinkSplitter,
    tools: Option<ToolCallParser>,
    stop: StopStrings,
    delivery: Delivery,
    calls: usize,
    tokens: TokenCount,
    visible_tokens: Option<u32>,
}

impl Assembler {
    /// An assembler for one answer.
    #[must_use]
    pub fn new(options: AnswerOptions) -> Self {
        let AnswerOptions {
            thinking,
            stop,
            tools,
            id_seed,
            think,
            json,
            fallback,
            visible_tokens,
            repetition,
        } = options;
        Self {
            think: ThinkSplitter::new(thinking),
            tools: (!tools.is_empty()).then(|| ToolCallParser::new(tools, id_seed)),
            stop: StopStrings::new(stop),
            delivery: Delivery::new(think, json, fallback, repetition),
            calls: 0,
            tokens: TokenCount::default(),
            visible_tokens,
        }
    }

    /// Takes the next piece of the model's text, which stands for `tokens` tokens, and appends what has become
    /// certain to `out`. Does nothing once the answer is complete.
    pub fn push(&mut self, text: &str, tokens: u32, out: &mut Vec<Event>) {
        if self.stopped() {
            return;
        }
        let was_inside = self.think.inside();
        let mut events = Vec::new();
        self.think.push(text, &mut events);
        self.tokens.add(tokens, was_inside, &self.think, &events);
        self.route(events, out);
    }

    /// Takes thinking that somebody else has told from the answer, which stands for `tokens` tokens.
    pub fn push_reasoning(&mut self, text: String, tokens: u32, out: &mut Vec<Event>) {
        if !self.stopped() {
            self.tokens.reasoning = self.tokens.reasoning.saturating_add(tokens);
            self.deliver(Event::Reasoning(text), out);
        }
    }

    /// Ends the answer: appends what was held back and returns the reason to tell the client, given the `reason`
    /// for which the run ended.
    pub fn finish(&mut self, reason: FinishReason, out: &mut Vec<Event>) -> FinishReason {
        if !self.cut() {
            let mut events = Vec::new();
            self.think.finish(&mut events);
            self.route(events, out);
            self.flush(out);
        }
        self.delivery.finish(out);
        if self.calls > 0 {
            FinishReason::ToolCalls
        } else if self.cut() {
            FinishReason::Stop
        } else if self.full() {
            FinishReason::Length
        } else {
            reason
        }
    }

    /// Whether the answer is complete and the run need not go on: a stop string was met, the text went round in
    /// circles, or there is as much of it as there may be.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.cut() || self.full()
    }

    /// Whether what comes after the last delivered text is not to be seen.
    fn cut(&self) -> bool {
        self.stop.stopped() || self.delivery.stopped()
    }

    fn full(&self) -> bool {
        self.visible_tokens
            .is_some_and(|limit| self.tokens.visible() >= limit)
    }

    /// Tokens spent on thinking so far, tags included.
    #[must_use]
    pub fn reasoning_tokens(&self) -> u32 {
        self.tokens.reasoning
    }

    /// What the rules have done to the answer so far.
    #[must_use]
    pub fn notes(&self) -> AnswerNotes {
        self.delivery.notes(self.tokens.reasoning)
    }

    /// Leads what the first stage found through the other two.
    fn route(&mut self, events: Vec<Event>, out: &mut Vec<Event>) {
        for event in events {
            match (event, &mut self.tools) {
                (Event::Content(text), Some(tools)) => {
                    let mut found = Vec::new();
                    tools.push(&text, &mut found);
                    self.show(found, out);
                }
                (event @ Event::ContentWasReasoning, _) => {
                    self.flush(out);
                    self.show(vec![event], out);
                }
                (event, _) => self.show(vec![event], out),
            }
        }
    }

    /// Lets go of what the last two stages hold back.
    fn flush(&mut self, out: &mut Vec<Event>) {
        if let Some(tools) = &mut self.tools {
            let mut found = Vec::new();
            tools.finish(&mut found);
            self.show(found, out);
        }
        let held = self.stop.finish();
        self.deliver(Event::Content(held), out);
    }

    /// The third stage: cuts the visible text at a stop string, after which nothing is shown.
    fn show(&mut self, events: Vec<Event>, out: &mut Vec<Event>) {
        for event in events {
            if self.cut() {
                return;
            }
            match event {
                Event::Content(text) => {
                    let text = self.stop.push(text);
                    self.deliver(Event::Content(text), out);
                }
                Event::ToolCall { .. } => {
                    self.calls += 1;
                    let held = self.stop.finish();
                    self.deliver(Event::Content(held), out);
                    self.deliver(event, out);
                }
                Event::Reasoning(_) | Event::ContentWasReasoning => self.deliver(event, out),
            }
        }
    }

    /// The last stage, unless the text has gone round in circles.
    fn deliver(&mut self, event: Event, out: &mut Vec<Event>) {
        if !self.delivery.stopped() {
            self.delivery.take(event, out);
        }
    }
}

/// Appends an event; text joins text of the same kind, and empty text is left out.
fn append(out: &mut Vec<Event>, event: Event) {
    match (out.last_mut(), event) {
        (_, Event::Content(text) | Event::Reasoning(text)) if text.is_empty() => {}
        (Some(Event::Content(last)), Event::Content(text))
        | (Some(Event::Reasoning(last)), Event::Reasoning(text)) => last.push_str(&text),
        (_, event) => out.push(event),
    }
}

/// Counts the tokens of the thinking part.
#[derive(Debug, Default)]
struct TokenCount {
    all: u32,
    reasoning: u32,
    /// Tokens of a beginning that may yet turn out to be an opening tag.
    undecided: u32,
}

impl TokenCount {
    fn visible(&self) -> u32 {
        self.all
            .saturating_sub(self.reasoning)
            .saturating_sub(self.undecided)
    }

    fn add(&mut self, tokens: u32, was_inside: bool, think: &ThinkSplitter, events: &[Event]) {
        self.all = self.all.saturating_add(tokens);
        let thought = |event: &Event| matches!(event, Event::Reasoning(_));
        if events.contains(&Event::ContentWasReasoning) {
            self.reasoning = self.all;
        } else if was_inside || think.inside() || events.iter().any(thought) {
            self.reasoning = self
                .reasoning
                .saturating_add(self.undecided)
                .saturating_add(tokens);
            self.undecided = 0;
        } else if think.undecided() {
            self.undecided = self.undecided.saturating_add(tokens);
        } else {
            self.undecided = 0;
        }
    }
}
