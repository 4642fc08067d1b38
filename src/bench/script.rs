//! What people ask in a conversation: the form of a script, and the scripts in the binary.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

/// The scripts in the binary: name and text.
pub const SHIPPED: [(&str, &str); 5] = [
    ("three-turns", include_str!("scripts/three-turns.toml")),
    ("long-question", include_str!("scripts/long-question.toml")),
    ("retrieval", include_str!("scripts/retrieval.toml")),
    ("long", include_str!("scripts/long.toml")),
    ("two-people", include_str!("scripts/two-people.toml")),
];

/// What people ask.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What it is about, in a line.
    pub title: String,
    /// The model of the chats.
    pub model: String,
    /// The model that Open WebUI searches files with; without one nothing is embedded.
    pub embedding_model: Option<String>,
    /// The system message of every chat, as Open WebUI sends it where one is set up; by default there is none.
    pub system: Option<String>,
    /// Whether Open WebUI tells who asks and in which chat; by default it does not.
    #[serde(default)]
    pub forward_headers: bool,
    /// What is to come out.
    #[serde(default)]
    pub goals: Vec<Goal>,
    /// Passages that a search may find, by name.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// Who talks, each in a chat of their own.
    pub people: Vec<Person>,
}

/// Somebody and what they ask.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// How they are called in the report.
    pub name: String,
    /// Seconds of board time before their first question.
    #[serde(default)]
    pub after: f64,
    /// Their questions. Each follows the answer to the one before.
    pub turns: Vec<Question>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Spelling")]
pub struct Question {
    /// What is typed.
    pub says: String,
    /// The passages that Open WebUI finds for it.
    pub sources: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Plain(String),
    Searched { says: String, sources: Vec<String> },
}

impl From<Spelling> for Question {
    fn from(spelling: Spelling) -> Self {
        let (says, sources) = match spelling {
            Spelling::Plain(says) => (says, Vec::new()),
            Spelling::Searched { says, sources } => (says, sources),
        };
        Self { says, sources }
    }
}

/// What is to come out of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Each answer begins as soon as its own new tokens are read.
    FirstToken,
    /// The NPU spends little on anything but the answers.
    NpuTime,
    /// The title is there before the first answer ends.
    EarlyTitle,
    /// No question waits behind a task.
    TaskDelay,
    /// A conversation is not read again in each turn.
    Prefill,
    /// People who ask at the same time share the NPU.
    Sharing,
    /// The list of models comes at once, whatever runs.
    ModelList,
}

/// Why a script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is no script.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// Nobody talks, or somebody says nothing.
    #[error("{0}")]
    Empty(String),
    /// A passage is not there.
    #[error("there is no source `{0}`")]
    NoSource(String),
    /// A time is none.
    #[error("`after` of {0} is no number of seconds from 0")]
    NoTime(String),
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let script: Self = toml::from_str(text)?;
        if script.people.is_empty() {
            return Err(ScriptError::Empty("nobody talks".to_owned()));
        }
        for person in &script.people {
            if person.turns.is_empty() {
                let name = &person.name;
                return Err(ScriptError::Empty(format!("{name} says nothing")));
            }
            if Duration::try_from_secs_f64(person.after).is_err() {
                return Err(ScriptError::NoTime(person.name.clone()));
            }
            let mut named = person.turns.iter().flat_map(|turn| &turn.sources);
            if let Some(missing) = named.find(|name| !script.sources.contains_key(*name)) {
                return Err(ScriptError::NoSource(missing.clone()));
            }
        }
        Ok(script)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_shipped_scripts_are_what_they_are_called() {
        let turns = |name: &str| {
            let (_, text) = SHIPPED
                .iter()
                .find(|(shipped, _)| *shipped == name)
                .unwrap();
            let script = Script::parse(text).unwrap();
            let turns = script.people.iter().map(|person| person.turns.len());
            turns.collect::<Vec<_>>()
        };
        assert_eq!(turns("three-turns"), [3]);
        assert_eq!(turns("long-question"), [2]);
        assert_eq!(turns("retrieval"), [12]);
        assert_eq!(turns("long"), [40]);
        assert_eq!(turns("two-people").len(), 2);
    }

    #[test]
    fn the_script_in_the_documentation_can_be_played() {
        let page = include_str!("../../docs/economics.md");
        let script = page.split_once("```toml\n").unwrap().1;
        let script = Script::parse(script.split_once("```").unwrap().0).unwrap();
        assert!(script.forward_headers && script.system.is_some());
        assert_eq!(script.people[0].turns[1].sources, ["harbour"]);
    }

    #[test]
    fn scripts_that_cannot_be_played_say_why() {
        let wrong = |people: &str| {
            Script::parse(&format!("title = \"t\"\nmodel = \"m\"\npeople = {people}"))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(wrong("[]"), "nobody talks");
        assert_eq!(
            wrong(r#"[{ name = "Ann", turns = [] }]"#),
            "Ann says nothing"
        );
        let sourced = r#"[{ name = "Ann", turns = [{ says = "Hi", sources = ["x"] }] }]"#;
        assert_eq!(wrong(sourced), "there is no source `x`");
        let late = r#"[{ name = "Ann", after = -1.0, turns = ["Hi"] }]"#;
        assert!(wrong(late).contains("Ann"));
    }
}
