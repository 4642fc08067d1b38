//! What is to happen to an answer beyond reading it.

use std::sync::Arc;

use serde::Serialize;

/// Where thinking goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Think {
    /// To `reasoning_content`.
    #[default]
    Reasoning,
    /// Nowhere.
    Drop,
    /// Into the visible text, tags included.
    Inline,
}

impl Think {
    /// The word in rule files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::Drop => "drop",
            Self::Inline => "inline",
        }
    }

    /// The meaning of a word in a rule file.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Reasoning, Self::Drop, Self::Inline]
            .into_iter()
            .find(|think| think.as_str() == word)
    }
}

/// An object with one known key, as Open WebUI's tasks want it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JsonShape {
    /// The key, e.g. `title`.
    pub key: Arc<str>,
    /// What stands under it.
    pub value: JsonValue,
}

/// What a task's JSON holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonValue {
    /// A string.
    #[default]
    Text,
    /// A list of strings.
    List,
    /// A list of tool calls: objects with a `name` and `parameters`.
    ToolCalls,
    /// No key and value, but one tool call; Open WebUI wanted that before 0.5.20.
    ToolCall,
    /// A list of changes to what Open WebUI remembers: objects with an `action` and what that needs.
    MemoryOperations,
}

impl JsonValue {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Text,
        Self::List,
        Self::ToolCalls,
        Self::ToolCall,
        Self::MemoryOperations,
    ];

    /// The word in rule files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::List => "list",
            Self::ToolCalls => "tool_calls",
            Self::ToolCall => "tool_call",
            Self::MemoryOperations => "memory_operations",
        }
    }

    /// The meaning of a word in a rule file.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == word)
    }
}

/// When an answer counts as going round in circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Repetition {
    /// The shortest passage that counts, in characters.
    pub min_chars: usize,
    /// How often it has to stand in a row; less than 2 counts as 2.
    pub times: usize,
}
