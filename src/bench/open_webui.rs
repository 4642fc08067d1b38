//! What Open WebUI 0.12.4 sends: requests recorded on the wire, with other words in them.

use serde_json::{Value, json};

use super::BenchError;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person's question.
    Chat,
    /// The title of a new chat.
    Title,
    /// What the person might ask next.
    FollowUp,
    /// The tags of a new chat.
    Tags,
    /// What to search files for.
    Query,
    /// One thing to search files for, as a vector.
    Embedding,
}

impl Kind {
    /// Its name in the report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Title => "title",
            Self::FollowUp => "follow-up",
            Self::Tags => "tags",
            Self::Query => "query",
            Self::Embedding => "embedding",
        }
    }
}

/// Messages that the history in a task's prompt has, at most.
const TASK_MESSAGES: usize = 6;
/// The same of follow-ups, the first message not counted.
const FOLLOW_UP_MESSAGES: usize = 4;
/// Characters of a message in the prompt of follow-ups.
const FOLLOW_UP_CHARS: usize = 1000;

/// Somebody's words in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) by_model: bool,
    pub(super) text: String,
}

/// The recorded requests.
#[derive(Debug)]
pub(super) struct OpenWebUi {
    title: Task,
    follow_up: Task,
    tags: Task,
    query: Task,
    /// What stands before the passages that a search has found.
    before_sources: String,
    /// The tools of a chat as it is by default: 36 of them, 25 KB.
    tools: Value,
}

/// A task's request, and its prompt around the history.
#[derive(Debug)]
struct Task {
    body: Value,
    before: String,
    after: String,
}

macro_rules! recorded {
    ($name:literal) => {
        body(
            $name,
            include_str!(concat!("../../tests/fixtures/openwebui/", $name, ".json")),
        )
    };
}

impl OpenWebUi {
    pub(super) fn new() -> Result<Self, BenchError> {
        let chat = recorded!("chat-native-tools")?;
        let searched = recorded!("chat-rag")?;
        let (before_sources, _) = prompt(&searched)
            .split_once("<source")
            .ok_or(BenchError::Recording("chat-rag"))?;
        Ok(Self {
            title: Task::new("title", recorded!("title")?)?,
            follow_up: Task::new("follow-up", recorded!("follow-up")?)?,
            tags: Task::new("tags", recorded!("tags")?)?,
            query: Task::new("query", recorded!("query")?)?,
            before_sources: before_sources.to_owned(),
            tools: chat.get("tools").cloned().unwrap_or_default(),
        })
    }

    /// A question at the end of a conversation.
    pub(super) fn chat(&self, model: &str, system: Option<&str>, said: &[Said]) -> Value {
        let system = system.map(|text| json!({ "role": "system", "content": text }));
        let said = said.iter().map(|said| {
            let role = if said.by_model { "assistant" } else { "user" };
            json!({ "role": role, "content": said.text })
        });
        let messages = system.into_iter().chain(said);
        json!({
            "stream": true,
            "model": model,
            "messages": messages.collect::<Value>(),
            "tools": self.tools,
        })
    }

    /// A question with what was found for it. Only the last message of a conversation has it.
    pub(super) fn with_sources(&self, sources: &[(&str, &str)], question: &str) -> String {
        let mut text = self.before_sources.clone();
        for (number, (name, passage)) in sources.iter().enumerate() {
            let id = number + 1;
            text += &format!("<source id=\"{id}\" name=\"{name}.txt\">{passage}</source>\n");
        }
        text + "</context>\n\n" + question
    }

    /// The title of a chat that has its first question and no answer yet.
    pub(super) fn title(&self, model: &str, question: &str) -> Value {
        self.title
            .about(model, &format!("USER: {question}\nASSISTANT: "))
    }

    pub(super) fn follow_up(&self, model: &str, said: &[Said]) -> Value {
        let begin = said.len().saturating_sub(FOLLOW_UP_MESSAGES);
        let first = said.first().filter(|_| begin > 0);
        let shown = first.into_iter().chain(said.iter().skip(begin));
        let cut = shown.map(|said| Said {
            text: said.text.chars().take(FOLLOW_UP_CHARS).collect(),
            ..*said
        });
        self.follow_up
            .about(model, &history(&cut.collect::<Vec<_>>()))
    }

    pub(super) fn tags(&self, model: &str, said: &[Said]) -> Value {
        self.tags.about(model, &latest(said))
    }

    pub(super) fn query(&self, model: &str, said: &[Said]) -> Value {
        self.query.about(model, &latest(said))
    }

    pub(super) fn embedding(&self, model: &str, text: &str) -> Value {
        json!({ "input": [text], "model": model })
    }
}

impl Task {
    fn new(name: &'static str, body: Value) -> Result<Self, BenchError> {
        let around = prompt(&body)
            .split_once("<chat_history>\n")
            .and_then(|(before, rest)| Some((before, rest.split_once("\n</chat_history>")?.1)));
        let (before, after) = around.ok_or(BenchError::Recording(name))?;
        let (before, after) = (
            format!("{before}<chat_history>\n"),
            format!("\n</chat_history>{after}"),
        );
        Ok(Self {
            body,
            before,
            after,
        })
    }

    fn about(&self, model: &str, history: &str) -> Value {
        let mut body = self.body.clone();
        let content = format!("{}{history}{}", self.before, self.after);
        for (place, text) in [
            ("/model", model.to_owned()),
            ("/messages/0/content", content),
        ] {
            if let Some(value) = body.pointer_mut(place) {
                *value = Value::String(text);
            }
        }
        body
    }
}

/// The queries in the answer to a query task, as Open WebUI reads it: JSON from the last brace on, or all of the text.
pub(super) fn queries(answer: &str) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Queries {
        queries: Vec<String>,
    }
    let json = answer
        .rfind('{')
        .zip(answer.rfind('}'))
        .and_then(|(begin, end)| answer.get(begin..=end));
    match json.and_then(|json| serde_json::from_str::<Queries>(json).ok()) {
        Some(found) => found.queries,
        None => vec![answer.to_owned()],
    }
}

/// The body of a recorded request.
fn body(name: &'static str, file: &str) -> Result<Value, BenchError> {
    #[derive(serde::Deserialize)]
    struct Recording {
        body_raw: String,
    }
    serde_json::from_str::<Recording>(file)
        .and_then(|recording| serde_json::from_str(&recording.body_raw))
        .map_err(|_| BenchError::Recording(name))
}

fn prompt(body: &Value) -> &str {
    let content = body.pointer("/messages/0/content");
    content.and_then(Value::as_str).unwrap_or_default()
}

fn latest(said: &[Said]) -> String {
    history(
        said.get(said.len().saturating_sub(TASK_MESSAGES)..)
            .unwrap_or_default(),
    )
}

fn history(said: &[Said]) -> String {
    let lines = said.iter().map(|said| {
        let role = if said.by_model { "ASSISTANT" } else { "USER" };
        format!("{role}: {}", said.text)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn said(by_model: bool, text: &str) -> Said {
        Said {
            by_model,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_recorded_request_with_its_own_words_is_the_recorded_request() {
        let recorded = OpenWebUi::new().unwrap();
        let title = recorded!("title").unwrap();
        assert_eq!(
            recorded.title("rec-plain", "Hello, this is turn one."),
            title
        );
        let chat = recorded!("chat-native-tools").unwrap();
        let hello = [said(false, "Hello, this is turn one.")];
        assert_eq!(recorded.chat("rec-plain", None, &hello), chat);
        assert!(chat.to_string().len() > 24_000);
        let answer = "Reply number 1 from rec-plain. You said 24 characters. Done with *markdown* and `code`.";
        let turn = [hello[0].clone(), said(true, answer)];
        assert_eq!(
            recorded.follow_up("rec-plain", &turn),
            recorded!("follow-up").unwrap()
        );
        assert_eq!(
            recorded.tags("rec-plain", &turn),
            recorded!("tags").unwrap()
        );
    }

    #[test]
    fn follow_ups_see_the_first_question_and_the_last_messages_cut_short() {
        let recorded = OpenWebUi::new().unwrap();
        let long = "x".repeat(2000);
        let conversation: Vec<Said> = (0..8)
            .map(|n| said(n % 2 == 1, &format!("{n}{long}")))
            .collect();
        let body = recorded.follow_up("m", &conversation);
        let shown = prompt(&body).split_once("<chat_history>\n").unwrap().1;
        let begins: Vec<&str> = shown.lines().filter_map(|line| line.get(..8)).collect();
        assert_eq!(begins[..2], ["USER: 0x", "USER: 4x"]);
        assert_eq!(
            shown.lines().next().unwrap().len(),
            "USER: ".len() + FOLLOW_UP_CHARS
        );
    }

    #[test]
    fn queries_are_found_where_open_webui_finds_them() {
        let answer = "Sure: {\"queries\": [\"a\", \"b\"]} as asked";
        assert_eq!(queries(answer), ["a", "b"]);
        assert_eq!(queries("no JSON"), ["no JSON"]);
        assert!(queries("{\"queries\": []}").is_empty());
    }
}
