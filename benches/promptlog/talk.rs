//! Conversations as Open WebUI has them, made up: turns that send their whole history, and a title for each.

use std::{sync::Arc, time::Duration};

use rkgate::{
    chat::{self, Message, Request, Role, Usage, answer::Answer},
    policy::{Facts, Headers, Input, Set},
    promptlog::{Content, Entry, Record, Timings},
};
use serde_json::Map;

use crate::words::Words;

const SYSTEM: &str =
    "You are a helpful assistant in a workshop. Answer briefly and in plain words.";
/// Turns of a conversation; a title follows the first one.
const TURNS: usize = 4;
/// Milliseconds between two requests.
const PACE: i64 = 2_500;
/// Stands in one question of 100,000.
pub(crate) const RARE: &str = "heliotrope";

/// Requests one after the other, and what came of them.
pub(crate) struct Talk {
    set: Arc<Set>,
    facts: Facts,
    words: Words,
    time: i64,
    count: usize,
    conversation: usize,
    messages: Vec<Message>,
    title_due: bool,
}

impl Talk {
    /// The first request comes at `time`, in milliseconds since 1970.
    pub(crate) fn new(set: Arc<Set>, time: i64) -> Self {
        Self {
            set,
            facts: Facts::example(),
            words: Words::new(0x9e37_79b9_7f4a_7c15),
            time,
            count: 0,
            conversation: 0,
            messages: Vec::new(),
            title_due: false,
        }
    }

    /// The span of time that so many requests take, in milliseconds.
    pub(crate) fn span(count: usize) -> i64 {
        PACE * i64::try_from(count).expect("a count of requests")
    }

    /// The next request and its answer; whether it is a turn of a chat.
    pub(crate) fn next(&mut self) -> (Entry, bool) {
        self.time += PACE;
        self.count += 1;
        let is_chat = !std::mem::take(&mut self.title_due);
        let (request, answer) = if is_chat { self.turn() } else { self.title() };
        (self.entry(request, answer), is_chat)
    }

    fn turn(&mut self) -> (Request, String) {
        if self.messages.len() > 2 * TURNS {
            self.messages.clear();
        }
        if self.messages.is_empty() {
            self.conversation += 1;
            self.messages.push(message(Role::System, SYSTEM.to_owned()));
        }
        let mut question = self.sentence(8, 25);
        if self.count % 100_000 == 50_000 {
            question.push(' ');
            question.push_str(RARE);
        }
        self.messages.push(message(Role::User, question));
        let request = request(self.messages.clone(), true);
        let answer = self.sentence(40, 90);
        self.title_due = self.messages.len() == 2;
        self.messages.push(message(Role::Assistant, answer.clone()));
        (request, answer)
    }

    fn title(&mut self) -> (Request, String) {
        let said: String = self
            .messages
            .iter()
            .skip(1)
            .map(|message| {
                format!(
                    "{}: {}\n",
                    message.role.as_str().to_uppercase(),
                    message.content.text()
                )
            })
            .collect();
        let prompt = format!(
            "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Guidelines:\n- Your entire response must consist solely of the JSON object.\n### Output:\nJSON format: {{ \"title\": \"your concise title here\" }}\n### Chat History:\n<chat_history>\n{said}</chat_history>"
        );
        let answer = format!("{{ \"title\": \"{}\" }}", self.sentence(3, 5));
        (request(vec![message(Role::User, prompt)], false), answer)
    }

    fn entry(&mut self, request: Request, answer: String) -> Entry {
        let chat = format!("{:08x}-9fb6-43d6-bce7-1e9816b200d9", self.conversation);
        let headers = [
            (
                "x-openwebui-user-id",
                "ab9af640-5114-4134-9d69-5af5d866c1ac",
            ),
            ("x-openwebui-chat-id", chat.as_str()),
        ];
        let header = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        let outcome = self.set.decide(&Input {
            request: &request,
            headers: Headers::new(&header),
            facts: &self.facts,
        });
        let decision = outcome.decision;
        let failed = self.count.is_multiple_of(500);
        let id = self.words.number();
        let record = Record {
            time: self.time,
            request: format!("{id:016x}-{:08x}", self.count),
            conversation: Some(chat.clone()),
            client: Some("Python/3.11 aiohttp/3.14.5".to_owned()),
            user: Some(headers[0].1.to_owned()),
            class: decision.class.as_str().into(),
            labels: decision.labels,
            asked: request.model.clone(),
            model: decision.model,
            provider: "rkllm".to_owned(),
            profile: decision.profile,
            policy: 1,
            status: if failed { 503 } else { 200 },
            finish: Some("stop".into()),
            error: None,
            usage: Some(Usage {
                prompt: (id % 900) as u32 + 100,
                cached: (id % 90) as u32,
                completion: answer.len() as u32 / 4,
                reasoning: 0,
            }),
            timings: Timings {
                queued: Some(Duration::from_micros(id % 900)),
                first_token: Some(Duration::from_micros(id % 900_000)),
                total: Duration::from_micros(900_000 + id % 9_000_000),
                decode: None,
            },
            content: Some(Content {
                headers: headers
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                before: Arc::new(request),
                after: outcome.request.map(Arc::new),
                trace: Arc::new(outcome.trace),
                sampling: decision.sampling,
                max_tokens: decision.max_tokens,
                thinking: decision.thinking,
                answer: Answer {
                    content: answer,
                    ..Answer::default()
                },
                unread: None,
            }),
            ..Record::default()
        };
        Entry {
            record,
            ..Entry::default()
        }
    }

    fn sentence(&mut self, least: usize, most: usize) -> String {
        let count = least + self.words.number() as usize % (most - least + 1);
        let words: Vec<&str> = (0..count).map(|_| self.words.word()).collect();
        words.join(" ")
    }
}

fn request(messages: Vec<Message>, stream: bool) -> Request {
    Request {
        model: "qwen3-1.7b".to_owned(),
        messages,
        stream,
        ..Request::default()
    }
}

fn message(role: Role, text: String) -> Message {
    Message {
        role,
        content: chat::Content::Text(text),
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        extra: Map::new(),
    }
}
