//! A complete answer, for replies that are not streamed.

use serde::{Deserialize, Serialize};

use crate::chat::{Event, ToolCall};

/// What all events of one answer add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Visible text.
    pub content: String,
    /// Thinking.
    pub reasoning: String,
    /// Tool calls in order.
    pub tool_calls: Vec<ToolCall>,
}

impl Extend<Event> for Answer {
    fn extend<I: IntoIterator<Item = Event>>(&mut self, events: I) {
        for event in events {
            match event {
                Event::Reasoning(text) => self.reasoning.push_str(&text),
                // As after a think block that was opened, whitespace before the answer belongs to the block.
                Event::Content(text) if self.content.is_empty() && !self.reasoning.is_empty() => {
                    self.content.push_str(text.trim_start());
                }
                Event::Content(text) => self.content.push_str(&text),
                Event::ContentWasReasoning => {
                    self.reasoning
                        .push_str(std::mem::take(&mut self.content).trim());
                }
                Event::ToolCall { call, .. } => self.tool_calls.push(call),
            }
        }
    }
}

impl FromIterator<Event> for Answer {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        let mut answer = Self::default();
        answer.extend(events);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_closing_tag_moves_the_text_before_it() {
        let events = [
            Event::Content("I should ".into()),
            Event::Content("greet.\n".into()),
            Event::ContentWasReasoning,
            Event::Content("\n\n".into()),
            Event::Content("Hello ".into()),
            Event::Content(" there".into()),
        ];
        let answer: Answer = events.into_iter().collect();
        assert_eq!(answer.reasoning, "I should greet.");
        assert_eq!(answer.content, "Hello  there");
    }

    #[test]
    fn an_answer_without_thinking_keeps_its_whitespace() {
        let answer: Answer = [Event::Content("  a ".into()), Event::Content(" b".into())]
            .into_iter()
            .collect();
        assert_eq!(
            answer,
            Answer {
                content: "  a  b".into(),
                ..Answer::default()
            }
        );
    }
}
