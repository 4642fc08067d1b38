use std::sync::Arc;

use super::{Replay, Report};
use crate::{
    chat::{Content, Part, Role},
    policy::{Facts, Platform, Set, Source, shipped},
    promptlog::{
        Filter, Reader,
        tests::{LIMITS, Log, NOW, chat, message},
    },
};

fn set(more: &str) -> Set {
    let mut files = shipped::files();
    let at = files.iter().position(|file| file.is_policy).unwrap();
    let text = format!("schema = 1\n{more}");
    files.insert(
        at,
        Source {
            path: "rules/90-test.toml".into(),
            text,
            is_policy: false,
            is_shipped: false,
        },
    );
    Set::compile(&files, Platform::Rk3588).unwrap().set
}

fn replay(log: &Log, then: &Set, limit: usize) -> Report {
    let replay = Replay {
        now: &set(""),
        then,
        facts: &Facts::example(),
        filter: Filter::default(),
        limit,
        examples: 2,
    };
    let mut told = 0;
    let report = replay.run(&mut log.reader(), |more| told += more).unwrap();
    let others: usize = report.not_conversations.values().sum();
    assert_eq!(told, report.requests + report.without_content + others);
    report
}

/// A chat of three turns and a record without content.
fn log() -> Log {
    let log = Log::new();
    let mut store = log.store(LIMITS);
    let mut messages = vec![message(Role::System, "You bake bread. Be short.")];
    for turn in 0..3 {
        messages.push(message(
            Role::User,
            &format!("Question {turn} about the oven?"),
        ));
        let mut record = chat(NOW + turn, "", "It depends on the oven.");
        let content = record.content.as_mut().unwrap();
        let mut request = (*content.before).clone();
        request.messages = messages.clone();
        content.before = Arc::new(request);
        store.write(&mut [&record].into_iter()).unwrap();
        messages.push(message(Role::Assistant, "It depends on the oven."));
    }
    let mut without = chat(NOW, "", "");
    without.content = None;
    store.write(&mut [&without].into_iter()).unwrap();
    log
}

#[test]
fn what_is_no_conversation_is_not_taken_for_one() {
    let log = log();
    let mut store = log.store(LIMITS);
    let mut text = chat(NOW, "", "and so on");
    text.class = "text_completion".into();
    let mut vectors = chat(NOW, "", "");
    (vectors.class, vectors.content) = ("embeddings".into(), None);
    store.write(&mut [&text, &vectors].into_iter()).unwrap();
    let report = replay(&log, &set(""), 100);
    assert_eq!((report.requests, report.without_content), (3, 1));
    let others: Vec<_> = report.not_conversations.into_iter().collect();
    let one = |class: &str| (class.to_owned(), 1);
    assert_eq!(others, [one("embeddings"), one("text_completion")]);
}

#[test]
fn the_same_set_changes_nothing_and_a_growing_chat_is_read_once() {
    let report = replay(&log(), &set(""), 100);
    assert_eq!(
        (report.requests, report.without_content, report.changed),
        (3, 1, 0)
    );
    assert_eq!(report.before, report.after);
    let load = report.before;
    assert!(load.prefill_tokens < load.prompt_tokens, "{load:?}");
    assert!(load.prefill_tokens > load.prompt_tokens / 4, "{load:?}");
}

#[test]
fn what_another_set_changes_is_counted_and_shown() {
    let rules = r#"
        [[classify]]
        id = "test.oven"
        class = "task/title_generation"
        when = { last_user_has = [["question 1"]] }
        [[rewrite]]
        id = "test.words"
        on = ["chat"]
        op = "append"
        to = "system"
        text = "Never mention butter."
        [[deny]]
        id = "test.no"
        when = { last_user_has = [["question 2"]] }
        message = "no"
    "#;
    let report = replay(&log(), &set(rules), 100);
    assert_eq!((report.requests, report.changed), (3, 3));
    assert_eq!((report.class, report.refused), (1, 1));
    assert!(report.text >= 1 && report.length >= 1, "{report:?}");
    assert_eq!(report.examples.len(), 2);
    let first = serde_json::to_value(report.examples.first().unwrap()).unwrap();
    let lines = first["difference"].as_array().unwrap();
    assert!(
        lines
            .iter()
            .any(|line| line.as_str().unwrap().contains("+ ")
                && line.as_str().unwrap().contains("butter")),
        "{lines:?}"
    );
    assert_ne!(report.before, report.after);
}

#[test]
fn no_more_requests_are_run_than_asked_for_and_those_are_the_newest() {
    let report = replay(&log(), &set(""), 2);
    // The newest record has no content.
    assert_eq!((report.requests, report.without_content), (1, 1));
    let all = replay(&log(), &set(""), 100);
    assert!(report.before.prompt_tokens > all.before.prompt_tokens / 3);
}

#[test]
fn memory_is_bounded_by_bytes() {
    let log = Log::new();
    let mut store = log.store(LIMITS);
    let photo = format!("data:image/jpeg;base64,{}", "A".repeat(1 << 20));
    for turn in 0..20 {
        // Each of another text, so that nothing of it is shared.
        let mut record = chat(NOW + turn, &turn.to_string().repeat(1 << 20), "I see.");
        let request = Arc::make_mut(&mut record.content.as_mut().unwrap().before);
        let mut shown = message(Role::User, "");
        shown.content = Content::Parts(vec![Part::Image(photo.clone())]);
        request.messages.push(shown);
        store.write(&mut [&record].into_iter()).unwrap();
    }
    let mut reader = Reader::open_without_images(&log.place).unwrap();
    let read = reader.get(1).unwrap().unwrap().content.unwrap();
    let shown = read.before.messages.last().unwrap();
    assert!(
        matches!(&shown.content, Content::Parts(parts) if matches!(parts.as_slice(), [Part::Image(name)] if name.len() < 100))
    );
    let mut chunks = Vec::new();
    let same = set("");
    let replay = Replay {
        now: &same,
        then: &same,
        facts: &Facts::example(),
        filter: Filter::default(),
        limit: 100,
        examples: 0,
    };
    let report = replay.run(&mut reader, |count| chunks.push(count)).unwrap();
    assert_eq!((report.requests, report.changed), (20, 0));
    assert!(
        chunks.len() >= 2 && chunks.iter().all(|count| *count <= 8),
        "{chunks:?}"
    );
}
