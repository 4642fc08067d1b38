//! The line that rkgate's own log has of each request.

use std::{
    fs,
    io::{BufRead, Read},
};

use serde_json::{Value, json};

use super::server::{Server, send};

const CHAT: &str = "POST /v1/chat/completions HTTP/1.1\r\nX-Request-Id: ";

fn body(tokens: u32) -> String {
    json!({
        "model": "qwen3-0.6b",
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": "Tell me a long story."}],
    })
    .to_string()
}

/// What the last chunk of an answer tells of its times.
fn timings(answer: &str) -> Value {
    let chunks = answer
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let mut chunks = chunks.filter_map(|chunk| serde_json::from_str::<Value>(chunk).ok());
    let last = chunks.rfind(|chunk| chunk.get("timings").is_some());
    last.unwrap_or_else(|| panic!("no timings in {answer}"))["timings"].take()
}

#[test]
fn it_names_the_model_and_where_the_time_went() {
    let dir = tempfile::tempdir().unwrap();
    let env = [
        ("RKLLM_SIM_SPEED", "5"),
        ("RKGATE_TELEMETRY__LOG_FORMAT", "json"),
    ];
    let mut server = Server::start(dir.path(), &[], &env);
    let mut first = send(&server.api, &format!("{CHAT}first"), &body(64));
    let mut line = String::new();
    while !line.contains("\"content\":\"") && !line.contains("\"reasoning_content\":\"") {
        line.clear();
        assert_ne!(first.read_line(&mut line).unwrap(), 0);
    }
    // The NPU is busy.
    let mut second = send(&server.api, &format!("{CHAT}second"), &body(4));
    let [mut first_answer, mut second_answer] = [const { String::new() }; 2];
    first.read_to_string(&mut first_answer).unwrap();
    second.read_to_string(&mut second_answer).unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));

    let log = fs::read_to_string(dir.path().join("stderr")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (id, answer) in [("first", first_answer), ("second", second_answer)] {
        let is_answer = |line: &&Value| line["message"] == "answered" && line["span"]["id"] == id;
        let line = lines
            .iter()
            .find(is_answer)
            .unwrap_or_else(|| panic!("{log}"));
        let span = &line["span"];
        assert_eq!(span["name"], "request");
        assert_eq!(span["class"], "chat");
        assert_eq!(span["model"], "qwen3-0.6b");
        let timings = timings(&answer);
        for (field, told) in [
            ("queue_ms", "queue_ms"),
            ("prefill_ms", "prompt_ms"),
            ("decode_ms", "predicted_ms"),
        ] {
            let whole = timings[told].as_f64().unwrap().trunc();
            assert_eq!(span[field].as_f64(), Some(whole), "{id}: {line} {timings}");
            let waited = id == "second" || field != "queue_ms";
            assert!(!waited || whole > 0.0, "{id}: {field} of {span}");
        }
        assert_eq!(line["completion"], if id == "first" { 64 } else { 4 });
    }
}
