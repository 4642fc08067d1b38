//! What a request is for: Open WebUI's own names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Class {
    /// A person waits for this answer.
    Chat,
    /// The title of a new chat.
    Title,
    /// The tags of a chat.
    Tags,
    /// Questions the person might ask next.
    FollowUp,
    /// Search queries for a web search or a retrieval.
    Query,
    /// The rest of the sentence being typed.
    Autocomplete,
    /// One emoji.
    Emoji,
    /// A prompt for an image model.
    ImagePrompt,
    /// One answer made from several models' answers.
    Moa,
    /// The choice of a tool by prompt.
    FunctionCalling,
    /// A summary that replaces old messages.
    ContextCompaction,
    /// What to remember of a person.
    MemoryReview,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 12] = [
        Self::Chat,
        Self::Title,
        Self::Tags,
        Self::FollowUp,
        Self::Query,
        Self::Autocomplete,
        Self::Emoji,
        Self::ImagePrompt,
        Self::Moa,
        Self::FunctionCalling,
        Self::ContextCompaction,
        Self::MemoryReview,
    ];

    /// The name in rule files, headers and logs; a task's is Open WebUI's name behind `task/`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Title => "task/title_generation",
            Self::Tags => "task/tags_generation",
            Self::FollowUp => "task/follow_up_generation",
            Self::Query => "task/query_generation",
            Self::Autocomplete => "task/autocomplete_generation",
            Self::Emoji => "task/emoji_generation",
            Self::ImagePrompt => "task/image_prompt_generation",
            Self::Moa => "task/moa_response_generation",
            Self::FunctionCalling => "task/function_calling",
            Self::ContextCompaction => "task/context_compaction",
            Self::MemoryReview => "task/memory_review",
        }
    }

    /// The class of that name, e.g. `task/title_generation`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The class of a value of Open WebUI's task header: empty is a chat, `title_generation` a title. Other clients may
    /// write the class's own name; case, quotes and space around it make no difference.
    #[must_use]
    pub fn from_open_webui(task: &str) -> Option<Self> {
        let task =
            task.trim_matches(|char: char| char.is_whitespace() || matches!(char, '"' | '\''));
        if task.is_empty() {
            return Some(Self::Chat);
        }
        let is_called = |class: &Self| {
            let name = class.as_str();
            let short = name.strip_prefix("task/").unwrap_or(name);
            name.eq_ignore_ascii_case(task) || short.eq_ignore_ascii_case(task)
        };
        Self::ALL.into_iter().find(is_called)
    }

    /// Whether this is one of Open WebUI's background tasks.
    #[must_use]
    pub const fn is_task(self) -> bool {
        !matches!(self, Self::Chat)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl From<Class> for &'static str {
    fn from(class: Class) -> Self {
        class.as_str()
    }
}

impl TryFrom<String> for Class {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::parse(&name).ok_or_else(|| format!("there is no class `{name}`"))
    }
}

/// A class or a group of classes as rules name them: `chat`, `task/title_generation`, `task/*`, `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassGlob {
    /// Every class.
    Any,
    /// Every task.
    AnyTask,
    /// One class.
    One(Class),
}

impl ClassGlob {
    /// Reads a glob; `None` where no class could ever match it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::Any),
            "task/*" => Some(Self::AnyTask),
            name => Class::parse(name).map(Self::One),
        }
    }

    /// Whether every class of the other glob is one of this.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::One(class)) => self.matches(class),
            _ => self == other,
        }
    }

    /// How particular it is: a glob that says more wins over one that says less.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Any => 0,
            Self::AnyTask => 1,
            Self::One(_) => 2,
        }
    }

    /// Whether the glob covers this class.
    #[must_use]
    pub fn matches(self, class: Class) -> bool {
        match self {
            Self::Any => true,
            Self::AnyTask => class.is_task(),
            Self::One(one) => one == class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for class in Class::ALL {
            assert_eq!(Class::parse(class.as_str()), Some(class));
        }
    }

    #[test]
    fn an_empty_task_header_is_a_chat() {
        assert_eq!(Class::from_open_webui(""), Some(Class::Chat));
        assert_eq!(
            Class::from_open_webui("title_generation"),
            Some(Class::Title)
        );
        for name in [
            "Tags_Generation",
            " tags_generation ",
            "\"tags_generation\"",
            "task/tags_generation",
        ] {
            assert_eq!(Class::from_open_webui(name), Some(Class::Tags), "{name}");
        }
        assert_eq!(Class::from_open_webui("chat"), Some(Class::Chat));
        assert_eq!(Class::from_open_webui("{{TASK}}"), None);
    }

    #[test]
    fn globs_cover_what_they_say() {
        let tasks = ClassGlob::parse("task/*").unwrap();
        assert!(tasks.matches(Class::Tags) && !tasks.matches(Class::Chat));
        assert_eq!(ClassGlob::parse("task/unheard_of"), None);
    }
}
