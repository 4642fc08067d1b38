//! What may wait for the writer.

use std::{fs, sync::Arc, time::Duration};

use super::{
    Log, NOW, chat,
    service::{entry, start_flushing},
};
use crate::{
    config::Content,
    promptlog::{Filter, Kept, PromptLog, Record},
    wire::openai::decode_chat,
};

/// The bound of `queue.rs`, which the documentation names.
const BOUND: u64 = 32 << 20;

/// A log that never writes by itself.
fn waiting(log: &Log) -> PromptLog {
    start_flushing(log, Content::Full, Duration::from_secs(3600))
}

/// What Open WebUI sends with its tools on, and the bytes of it.
fn with_tools() -> (Record, u64) {
    let exchange = include_str!("../../../tests/fixtures/openwebui/chat-native-tools.json");
    let exchange: serde_json::Value = serde_json::from_str(exchange).unwrap();
    let body = exchange["body_raw"].as_str().unwrap();
    let mut record = chat(NOW, "", "");
    let request = decode_chat(body.as_bytes()).unwrap();
    assert!(request.tools.len() > 5);
    record.content.as_mut().unwrap().before = Arc::new(request);
    (record, body.len() as u64)
}

#[test]
fn tools_count_as_much_as_texts_in_what_waits() {
    let log = Log::new();
    // A directory in the file's place: nothing can be written.
    fs::create_dir(&log.path).unwrap();
    let running = waiting(&log);
    let (record, body) = with_tools();
    let sent = 2 * BOUND / body;
    for _ in 0..sent {
        running.send(entry(record.clone()));
    }
    let status = running.status();
    let kept = sent - status.content_dropped;
    assert!(
        kept * body <= BOUND,
        "{kept} requests of {body} bytes wait with their content"
    );
    assert!(kept > 0 && status.waiting_bytes <= BOUND);
    assert!(
        status.waiting_bytes >= kept * body,
        "{} bytes for {kept} requests of {body}",
        status.waiting_bytes
    );
}

#[test]
fn a_request_larger_than_all_that_may_wait_is_kept_where_nothing_waits() {
    let log = Log::new();
    let running = waiting(&log);
    let large = "x".repeat(34 << 20);
    running.send(entry(chat(NOW, &large, "")));
    running.send(entry(chat(NOW, "hello", "")));
    assert_eq!(running.status().content_dropped, 1);
    running.close();
    let mut kept = Vec::new();
    log.reader()
        .each(&Filter::default(), |_, record| {
            kept.push(record.kept);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(kept, [Kept::Full, Kept::Dropped]);
    assert_eq!(running.status().waiting_bytes, 0);
}
