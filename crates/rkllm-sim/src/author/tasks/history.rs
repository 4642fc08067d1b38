//! The chat that a task is about.

use crate::author::conversation::{Conversation, Role};

/// A chat as a task shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct History {
    /// What was said, oldest first; `true` for the person's words.
    pub(super) said: Vec<(bool, String)>,
}

impl History {
    /// The chat quoted in the task's `prompt`; else the conversation before it.
    pub(super) fn of(conversation: &Conversation, prompt: &str) -> Self {
        let quoted = Self::quoted(prompt);
        if !quoted.said.is_empty() {
            return quoted;
        }
        let before = conversation.turns.len().saturating_sub(1);
        let turns = conversation
            .turns
            .iter()
            .take(before)
            .filter(|turn| turn.role != Role::Tool);
        Self {
            said: turns
                .map(|turn| (turn.role == Role::User, turn.text.clone()))
                .collect(),
        }
    }

    fn quoted(prompt: &str) -> Self {
        let quoted = match prompt.rsplit_once("<chat_history>") {
            Some((_, quoted)) => quoted.split("</chat_history>").next().unwrap_or_default(),
            // Without tags the order stands in the last paragraph.
            None => prompt
                .rsplit_once("\n\n")
                .filter(|(_, order)| speaker(order.lines().next().unwrap_or_default()).is_none())
                .map_or(prompt, |(quoted, _)| quoted),
        };
        let mut said: Vec<(bool, String)> = Vec::new();
        for line in quoted.lines() {
            match speaker(line) {
                Some((person, text)) => said.push((person, text.to_owned())),
                None => {
                    if let Some((_, text)) = said.last_mut() {
                        text.push('\n');
                        text.push_str(line);
                    }
                }
            }
        }
        for (_, text) in &mut said {
            *text = without_attachments(text).trim().to_owned();
        }
        said.retain(|(_, text)| !text.is_empty());
        Self { said }
    }

    fn by(&self, person: bool) -> impl DoubleEndedIterator<Item = &str> {
        self.said
            .iter()
            .filter(move |(by, _)| *by == person)
            .map(|(_, text)| text.as_str())
    }

    /// The person's first words, which mostly name the subject.
    pub(super) fn first_question(&self) -> &str {
        self.by(true).next().unwrap_or_default()
    }

    /// The person's last words.
    pub(super) fn last_question(&self) -> &str {
        self.by(true).next_back().unwrap_or_default()
    }
}

/// Reads `USER: text` and its like in any spelling of the roles.
fn speaker(line: &str) -> Option<(bool, &str)> {
    let (role, text) = line.split_once(':')?;
    match role.trim().trim_matches('*').to_ascii_lowercase().as_str() {
        "user" | "human" => Some((true, text.trim())),
        "assistant" | "model" | "ai" => Some((false, text.trim())),
        _ => None,
    }
}

fn without_attachments(text: &str) -> String {
    match (
        text.find("<attached_files>"),
        text.find("</attached_files>"),
    ) {
        (Some(start), Some(end)) if start < end => {
            let after = text
                .get(end + "</attached_files>".len()..)
                .unwrap_or_default();
            format!("{}{after}", text.get(..start).unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}
