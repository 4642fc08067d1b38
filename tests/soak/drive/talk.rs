//! One conversation as Open WebUI holds it, with all that goes on beside it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    client::{Call, Client, Leaves},
    numbers::Numbers,
    task::Task,
};

pub(super) const MODEL: &str = "qwen3-1.7b";
const EMBEDDING: &str = "qwen3-embedding-0.6b";
/// Users who share the conversations.
const USERS: u64 = 50;

const SUBJECTS: [&str; 8] = [
    "the harbour",
    "heat pumps",
    "an old bridge",
    "bread",
    "the moon",
    "a small garden",
    "maps",
    "the wind",
];
const WORDS: [&str; 12] = [
    "please", "tell", "me", "about", "how", "and", "why", "the", "people", "who", "built", "it",
];

/// How quickly people go on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// The longest thought between two questions.
    pub(super) pause: Duration,
    /// When nobody asks any more; where there is none, a conversation has its end.
    pub(super) until: Option<Instant>,
}

impl Pace {
    /// Whether nobody asks any more.
    pub(super) fn is_over(self) -> Option<bool> {
        self.until.map(|until| Instant::now() >= until)
    }
}

/// Holds one conversation.
pub(super) async fn hold(client: &Client, round: u64, numbers: &mut Numbers, pace: Pace) {
    let chat = format!("{}-{round}", client.name);
    let user = format!("u{}", numbers.between(1, USERS));
    let talk = Talk {
        client,
        chat: &chat,
        user: &user,
    };
    let turns = match numbers.once_in(10) {
        true => numbers.between(15, 25),
        false => numbers.between(2, 6),
    };
    let mut messages = vec![json!({"role": "system", "content": "You are a helpful assistant."})];
    for turn in 0..turns {
        if pace.is_over() == Some(true) {
            return;
        }
        messages.push(json!({"role": "user", "content": question(numbers)}));
        let (leaves, tokens) = (leaves(numbers), numbers.between(8, 120));
        let question = talk.chat(turn, &messages, tokens, leaves);
        let answer = if turn == 0 {
            let title = talk.task(Task::Title, turn, &messages, numbers);
            tokio::join!(title, question).1
        } else if numbers.once_in(6) {
            talk.search(turn, &messages, numbers).await;
            question.await
        } else {
            question.await
        };
        if leaves == Leaves::Never {
            messages.push(json!({"role": "assistant", "content": answer.trim()}));
            talk.task(Task::FollowUp, turn, &messages, numbers).await;
            if turn == 0 {
                talk.task(Task::Tags, turn, &messages, numbers).await;
            }
        } else {
            messages.pop();
        }
        if numbers.once_in(5) {
            talk.task(Task::Autocomplete, turn, &messages, numbers)
                .await;
        }
        if numbers.once_in(12) {
            talk.oddity(turn, numbers).await;
        }
        let millis = u64::try_from(pace.pause.as_millis()).unwrap_or(u64::MAX);
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(numbers.between(0, millis))).await;
        }
    }
}

/// Whose conversation it is.
struct Talk<'a> {
    client: &'a Client,
    chat: &'a str,
    user: &'a str,
}

impl Talk<'_> {
    async fn send(&self, path: &str, name: &str, body: &Value, leaves: Leaves) -> String {
        let headers = [
            ("X-OpenWebUI-User-Id", self.user),
            ("X-OpenWebUI-Chat-Id", self.chat),
        ];
        let (_, round) = self.chat.split_once('-').unwrap_or_default();
        self.client
            .ask(Call {
                path,
                id: format!("{round}-{name}"),
                headers: &headers,
                body,
                leaves,
            })
            .await
    }

    async fn chat(&self, turn: u64, messages: &[Value], tokens: u64, leaves: Leaves) -> String {
        let body = json!({
            "model": MODEL, "stream": true, "stream_options": {"include_usage": true},
            "max_tokens": tokens, "think": turn.is_multiple_of(2), "messages": messages,
        });
        self.send("chat/completions", &format!("{turn}-chat"), &body, leaves)
            .await
    }

    /// A task about the latest messages.
    async fn task(&self, task: Task, turn: u64, messages: &[Value], numbers: &mut Numbers) {
        let leaves = leaves(numbers);
        self.about(task, &format!("{turn}-{task:?}"), messages, leaves)
            .await;
    }

    async fn about(&self, task: Task, name: &str, messages: &[Value], leaves: Leaves) {
        let body = task.body(messages);
        self.send("chat/completions", name, &body, leaves).await;
    }

    /// The same query twice and then at the same time, and what it found as vectors.
    async fn search(&self, turn: u64, messages: &[Value], numbers: &mut Numbers) {
        let task = Task::Query;
        let names: Vec<String> = (0..4).map(|n| format!("{turn}-query{n}")).collect();
        let (first, second) = (leaves(numbers), leaves(numbers));
        tokio::join!(
            self.about(task, &names[0], messages, first),
            self.about(task, &names[1], messages, second),
            self.about(task, &names[2], messages, Leaves::Never),
        );
        self.about(task, &names[3], messages, Leaves::Never).await;
        let input: Vec<String> = (0..3).map(|_| question(numbers)).collect();
        let body = json!({"model": EMBEDDING, "input": input});
        let name = format!("{turn}-vectors");
        self.send("embeddings", &name, &body, leaves(numbers)).await;
    }

    /// What is refused, and what is no chat.
    async fn oddity(&self, turn: u64, numbers: &mut Numbers) {
        let name = format!("{turn}-odd");
        let said = json!([{"role": "user", "content": "Hello"}]);
        let (path, body) = match numbers.between(0, 3) {
            0 => (
                "chat/completions",
                json!({"model": "nobody", "messages": said}),
            ),
            1 => ("chat/completions", json!({"model": MODEL, "messages": 1})),
            2 => {
                let long = "The wind blows over the moor. ".repeat(2_000);
                let said = json!([{"role": "user", "content": long}]);
                (
                    "chat/completions",
                    json!({"model": MODEL, "messages": said}),
                )
            }
            _ => (
                "completions",
                json!({"model": MODEL, "prompt": "Once", "max_tokens": 20}),
            ),
        };
        self.send(path, &name, &body, Leaves::Never).await;
    }
}

/// One in ten does not stay.
fn leaves(numbers: &mut Numbers) -> Leaves {
    match numbers.between(0, 19) {
        0 => Leaves::AtOnce,
        1 => Leaves::AtTheBeginning,
        _ => Leaves::Never,
    }
}

fn question(numbers: &mut Numbers) -> String {
    let mut text = format!("What of {}", numbers.one_of(&SUBJECTS));
    for _ in 0..numbers.between(3, 60) {
        text.push(' ');
        text.push_str(numbers.one_of(&WORDS));
    }
    text + "?"
}
