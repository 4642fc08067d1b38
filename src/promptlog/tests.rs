#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod damage;
mod files;
mod limits;
mod queue;
mod round_trip;
mod service;

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    Content, Limits, Record, Timings,
    store::{self, Store},
};
use crate::{
    chat::{self as talk, Message, Request, Role, Usage, answer::Answer},
    config::LogStore,
};

/// Generous limits.
pub(super) const LIMITS: Limits = Limits {
    retention: Duration::from_secs(30 * 86_400),
    max_size: 512 << 20,
};
/// A day in 2026.
pub(super) const NOW: i64 = 1_795_000_000_000;

/// A log of its own.
pub(super) struct Log {
    pub(super) place: LogStore,
    /// Where it is a file.
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Log {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.sqlite");
        Self {
            place: LogStore::Sqlite(path.clone()),
            path,
            _dir: dir,
        }
    }

    /// One in each kind of database: on the server that `RKGATE_TEST_POSTGRES_URL` names, too.
    pub(super) fn each() -> impl Iterator<Item = Self> {
        let server = store::postgres::tests::server();
        let on_server = server.map(|server| Self {
            place: LogStore::Postgres(Box::new(server)),
            ..Self::new()
        });
        std::iter::once(Self::new()).chain(on_server)
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.place, LogStore::Sqlite(_))
    }

    pub(super) fn store(&self, limits: Limits) -> Box<dyn Store> {
        store::open(&self.place, limits).unwrap()
    }

    pub(super) fn reader(&self) -> super::Reader {
        super::Reader::open(&self.place).unwrap()
    }
}

pub(super) fn message(role: Role, text: &str) -> Message {
    Message {
        role,
        content: talk::Content::Text(text.to_owned()),
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        extra: serde_json::Map::new(),
    }
}

/// A chat in which somebody says something and is answered.
pub(super) fn chat(time: i64, said: &str, answered: &str) -> Record {
    let before = Request {
        model: "qwen3-1.7b".to_owned(),
        messages: vec![
            message(
                Role::System,
                "You are a helpful assistant on a small board.",
            ),
            message(Role::User, said),
        ],
        stream: true,
        ..Request::default()
    };
    Record {
        time,
        request: format!("req-{time}"),
        conversation: Some("conversation-1".to_owned()),
        class: "chat".into(),
        asked: "qwen3-1.7b".to_owned(),
        model: "qwen3-1.7b".into(),
        provider: "rkllm".to_owned(),
        policy: 1,
        status: 200,
        finish: Some("stop".into()),
        usage: Some(Usage {
            prompt: 40,
            cached: 30,
            completion: 20,
            reasoning: 0,
        }),
        timings: Timings {
            queued: Some(Duration::from_micros(120)),
            first_token: Some(Duration::from_millis(300)),
            total: Duration::from_millis(1500),
            decode: None,
        },
        content: Some(Content {
            before: Arc::new(before),
            answer: Answer {
                content: answered.to_owned(),
                ..Answer::default()
            },
            ..Content::default()
        }),
        ..Record::default()
    }
}
