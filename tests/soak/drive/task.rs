//! Open WebUI's background tasks, as recorded, about other conversations.

use serde_json::Value;

/// A task.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    Title,
    FollowUp,
    Tags,
    Query,
    Autocomplete,
}

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/openwebui/", $name, ".json"))
    };
}

impl Task {
    fn recording(self) -> &'static str {
        match self {
            Self::Title => recorded!("title"),
            Self::FollowUp => recorded!("follow-up"),
            Self::Tags => recorded!("tags"),
            Self::Query => recorded!("query"),
            Self::Autocomplete => recorded!("autocomplete"),
        }
    }

    /// The request about the latest messages of a conversation.
    pub(super) fn body(self, messages: &[Value]) -> Value {
        let recording: Value = serde_json::from_str(self.recording()).unwrap();
        let body = recording["body_raw"].as_str().unwrap();
        let mut body: Value = serde_json::from_str(body).unwrap();
        let prompt = body["messages"][0]["content"].as_str().unwrap();
        let (before, rest) = prompt.rsplit_once("<chat_history>").unwrap();
        let (_, after) = rest.split_once("</chat_history>").unwrap();
        let mut history = String::new();
        for message in messages.iter().skip(1).rev().take(4).rev() {
            let role = message["role"].as_str().unwrap().to_uppercase();
            history += &format!("{role}: {}\n", message["content"].as_str().unwrap());
        }
        let about = format!("{before}<chat_history>\n{history}</chat_history>{after}");
        body["messages"][0]["content"] = about.into();
        body["model"] = super::talk::MODEL.into();
        body
    }
}
