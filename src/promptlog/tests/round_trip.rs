//! What is written is read back.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::{LIMITS, Log, NOW, chat, message};
use crate::{
    chat::{
        Content as Said, Message, Part, Request, Role, Sampling, Tool, ToolCall, Usage,
        answer::Answer,
    },
    engine::Miss,
    policy::{Stage, Step, StepOutcome, Trace},
    promptlog::{Content, Filter, Kept, Record, Timings},
};

fn image() -> String {
    format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(300))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,60}",
        Just("The quick brown fox jumps over the lazy dog, again and again.".to_owned()),
        any::<String>(),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        text().prop_map(Part::Text),
        Just(Part::Image(image())),
        Just(Part::Image("https://example.org/a.png".to_owned())),
        // A name of ours that a client wrote.
        Just(Part::Image("rkgate-log:image/1/0".to_owned())),
        Just(Part::Other(json!({"type": "input_audio", "n": 1}))),
    ]
}

fn a_message() -> impl Strategy<Value = Message> {
    let role = prop::sample::select(vec![Role::System, Role::User, Role::Assistant, Role::Tool]);
    let said = prop_oneof![
        3 => text().prop_map(Said::Text),
        1 => prop::collection::vec(part(), 0..4).prop_map(Said::Parts),
    ];
    (role, said, prop::option::of(text()), any::<bool>()).prop_map(
        |(role, content, reasoning, odd)| {
            let mut message = message(role, "");
            message.content = content;
            if odd {
                message.reasoning = reasoning;
                message.tool_call_id = Some("call-1".to_owned());
                message.extra.insert("name".to_owned(), json!("somebody"));
                message.tool_calls = vec![call()];
            }
            message
        },
    )
}

fn call() -> ToolCall {
    ToolCall {
        id: "call-1".to_owned(),
        name: "search".to_owned(),
        arguments: "{\"q\": \"weather\"}".to_owned(),
    }
}

fn request() -> impl Strategy<Value = Request> {
    let tool = prop::sample::select(vec!["search", "calendar", "calculator"]).prop_map(|name| Tool {
        name: name.to_owned(),
        definition: json!({"type": "function", "function": {"name": name, "description": "x".repeat(50)}}),
    });
    (
        text(),
        prop::collection::vec(a_message(), 0..8),
        prop::collection::vec(tool, 0..4),
        any::<bool>(),
        prop::option::of(0.0..2.0_f32),
    )
        .prop_map(|(model, messages, tools, stream, temperature)| Request {
            model,
            messages,
            tools,
            stream,
            sampling: Sampling {
                temperature,
                ..Sampling::default()
            },
            stop: vec!["</s>".to_owned()],
            thinking: Some(stream),
            extra: [("logit_bias".to_owned(), json!({"1": -100}))]
                .into_iter()
                .collect(),
            ..Request::default()
        })
}

fn trace() -> impl Strategy<Value = Trace> {
    text().prop_map(|what| Trace {
        steps: vec![
            Step {
                stage: Stage::Classify,
                rule: "owui.title".into(),
                origin: None,
                outcome: StepOutcome::Matched { what },
            };
            2
        ],
    })
}

fn content() -> impl Strategy<Value = Content> {
    (
        request(),
        prop::option::of(request()),
        trace(),
        text(),
        text(),
    )
        .prop_map(|(before, after, trace, content, reasoning)| Content {
            headers: vec![
                ("x-a".to_owned(), "b: c".to_owned()),
                ("x-b".to_owned(), String::new()),
            ],
            before: Arc::new(before),
            after: after.map(Arc::new),
            trace: Arc::new(trace),
            sampling: Sampling {
                top_k: Some(20),
                ..Sampling::default()
            },
            max_tokens: Some(512),
            thinking: None,
            answer: Answer {
                content,
                reasoning,
                tool_calls: vec![call(), call()],
            },
            unread: Some("it is packed as br".to_owned()),
        })
}

fn record() -> impl Strategy<Value = Record> {
    let names = (text(), prop::option::of(text()), prop::option::of(text()));
    let numbers = (
        any::<u16>(),
        any::<u32>(),
        0..1_000_000_000_u64,
        prop::sample::select(&Kept::ALL[..]),
    );
    (names, numbers, prop::option::of(content())).prop_map(
        |((request, conversation, error), (status, tokens, micros, kept), content)| Record {
            time: NOW,
            request,
            conversation,
            instance: (status % 2 == 0).then(|| "kitchen".to_owned()),
            client: Some("key of a phone".to_owned()),
            user: None,
            class: "task/title_generation".into(),
            labels: vec!["rag".into(), "tools".into()],
            asked: "a".to_owned(),
            model: "b".into(),
            provider: "c".to_owned(),
            profile: Some("qwen3.plain".into()),
            policy: u64::from(tokens),
            status,
            finish: Some("length".into()),
            error,
            usage: (tokens % 2 == 0).then_some(Usage {
                prompt: tokens,
                cached: 1,
                completion: 2,
                reasoning: 3,
            }),
            miss: Miss::ALL.get(usize::from(status % 8)).copied(),
            timings: Timings {
                queued: None,
                first_token: Some(Duration::from_micros(micros)),
                total: Duration::from_micros(micros),
                decode: (status % 3 == 0).then(|| Duration::from_micros(micros / 2)),
            },
            kept,
            content,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// In one log, so that texts are shared; opened again half-way, so that segments and dictionaries change.
    #[test]
    fn any_records_come_back_as_they_were(records in prop::collection::vec(record(), 1..12)) {
        for log in Log::each() {
        let (first, second) = records.split_at(records.len() / 2);
        let mut ids = log.store(LIMITS).write(&mut first.iter()).unwrap();
        ids.extend(log.store(LIMITS).write(&mut second.iter()).unwrap());
        let mut reader = log.reader();
        for (id, record) in ids.iter().zip(&records) {
            let read = reader.get(*id).unwrap();
            prop_assert_eq!(read.as_ref(), Some(record));
        }
        let mut all = Vec::new();
        log.reader().each(&Filter::default(), |_, record| {
            all.push(record);
            ControlFlow::Continue(())
        }).unwrap();
        prop_assert_eq!(&all, &records);
        }
    }
}

#[test]
fn an_image_and_a_history_are_kept_once() {
    let log = Log::new();
    let mut store = log.store(LIMITS);
    let mut request = Request::default();
    let mut photo = message(Role::User, "");
    photo.content = Said::Parts(vec![
        Part::Text("What is this?".to_owned()),
        Part::Image(image()),
    ]);
    request.messages.push(photo);
    for turn in 0..20 {
        let said = format!("Message number {turn} of this chat, which goes on and on.");
        request.messages.push(message(Role::User, &said));
        let mut record = chat(NOW + turn, "", "");
        record.content.as_mut().unwrap().before = Arc::new(request.clone());
        store.write(&mut [&record].into_iter()).unwrap();
    }
    let connection = rusqlite::Connection::open(&log.path).unwrap();
    let count = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM images"), 1);
    let growth = count("SELECT max(length(data)) FROM details WHERE id > 10");
    assert!(growth < 300, "a turn takes {growth} bytes");
    let last = log.reader().get(20).unwrap().unwrap();
    assert_eq!(*last.content.unwrap().before, request);
}

#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let log = Log::new();
    std::fs::write(&log.path, "").unwrap();
    std::fs::set_permissions(&log.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut store = log.store(LIMITS);
    store
        .write(&mut [&chat(NOW, "hello", "hi")].into_iter())
        .unwrap();
    let mut seen = 0;
    for file in std::fs::read_dir(log.path.parent().unwrap()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
        seen += 1;
    }
    assert_eq!(seen, 4, "database, write-ahead log, shared memory, lock");
}
