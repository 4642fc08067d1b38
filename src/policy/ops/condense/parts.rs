//! The parts of Open WebUI's task prompts, 0.5.4 to 0.12.4.

use std::borrow::Cow;

use crate::policy::prose;

/// How a part is found in a prompt.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// A block that holds what is quoted, closed by the last such tag.
    Block(&'static str),
    /// The last block of this tag behind the chat history.
    BehindHistory(&'static str),
    /// Between two texts, the second one looked for from the end.
    Between {
        after: String,
        before: Option<String>,
    },
    /// The date behind "Today's date is".
    Date,
    /// The line about the language.
    Language,
    /// The lines of the instructions that do not begin with any of these: what somebody added to the prompt.
    Added(Vec<String>),
}

const KNOWN: [&str; 13] = [
    "chat_history",
    "type",
    "text",
    "prompt",
    "responses",
    "tools",
    "message",
    "previous_summary",
    "messages",
    "recent_messages",
    "memories",
    "conversation",
    "date",
];

/// The known names, for messages.
pub(super) fn names() -> String {
    format!("{}, language, and added with `known`", KNOWN.join(", "))
}

/// The part of this name in Open WebUI's prompts.
pub(super) fn known(name: &str) -> Option<Part> {
    let between = |after: &str, before: Option<&str>| Part::Between {
        after: after.to_owned(),
        before: before.map(str::to_owned),
    };
    Some(match name {
        "chat_history" => Part::Block("chat_history"),
        "type" => Part::BehindHistory("type"),
        "text" => Part::BehindHistory("text"),
        "prompt" => between(
            "latest user query: \"",
            Some("\"\n\nYour task is to synthesize"),
        ),
        "responses" => between("Responses from models: ", None),
        "tools" => between("Available Tools: ", Some("\n\nYour task is to choose")),
        "message" => between("Message: ```", Some("```")),
        "previous_summary" => between(
            "### Previous Summary:",
            Some("### Messages Being Compacted:"),
        ),
        "messages" => between(
            "### Messages Being Compacted:",
            Some("### Recent Messages Kept In Context:"),
        ),
        "recent_messages" => between("### Recent Messages Kept In Context:", None),
        "memories" => between("Existing memories:", Some("\n\nConversation:\n")),
        "conversation" => between("\n\nConversation:\n", None),
        "date" => Part::Date,
        "language" => Part::Language,
        _ => return None,
    })
}

impl Part {
    /// The part's text in a prompt, without white space around it.
    pub(super) fn cut<'a>(&self, prompt: &'a str) -> Option<Cow<'a, str>> {
        let part = match self {
            Self::Added(known) => return Some(added(prompt, known).into()),
            Self::Block(tag) => prompt.get(prose::outer_block(prompt, tag)?.inside),
            Self::BehindHistory(tag) => {
                const END: &str = "</chat_history>";
                let behind = prompt.get(prompt.rfind(END)? + END.len()..)?;
                let block = prose::blocks(behind, tag).pop()?;
                behind.get(block.inside)
            }
            Self::Between { after, before } => {
                let start = prompt.find(after.as_str())? + after.len();
                let rest = prompt.get(start..)?;
                match before {
                    Some(before) => rest.get(..rest.rfind(before.as_str())?),
                    None => Some(rest),
                }
            }
            Self::Date => {
                let behind = outer(prompt)
                    .split("oday's date is")
                    .nth(1)?
                    .trim_start_matches([':', ' ']);
                let end = behind.find(['\n', ' ']).unwrap_or(behind.len());
                behind.get(..end).map(|date| date.trim_end_matches('.'))
            }
            Self::Language => {
                let mut lines = outer(prompt).lines();
                let line = lines.find(|line| line.to_ascii_lowercase().contains("language"))?;
                Some(line.trim_start_matches(|c: char| !c.is_alphabetic()))
            }
        };
        part.map(|part| part.trim().into())
    }
}

/// The lines before and behind the chat history that say something of their own.
fn added(prompt: &str, known: &[String]) -> String {
    let quoted = prose::outer_block(prompt, "chat_history");
    let behind = quoted.map_or("", |block| {
        prompt.get(block.whole.end..).unwrap_or_default()
    });
    let lines = outer(prompt).lines().chain(behind.lines()).map(str::trim);
    let is_own = |line: &&str| {
        let marked = line.starts_with(['#', '{', '}', '"', '[', ']', '<', '`']);
        let said = line.trim_start_matches(|c: char| !c.is_alphabetic());
        let begins = |known: &String| {
            said.get(..known.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(known))
        };
        // Headings, JSON, tags, and lists of JSON are the frame of a prompt.
        !marked
            && !said.is_empty()
            && !line.trim_start_matches(['-', '*', ' ']).starts_with('{')
            && prose::SWITCHES.iter().all(|(switch, _)| line != switch)
            && !known.iter().any(begins)
    };
    let own: Vec<&str> = lines.filter(is_own).collect();
    own.join("\n")
}

/// The instructions, without what they quote.
fn outer(prompt: &str) -> &str {
    let quoted = prose::outer_block(prompt, "chat_history");
    let end = quoted.map_or(prompt.len(), |block| block.whole.start);
    prompt.get(..end).unwrap_or_default()
}
