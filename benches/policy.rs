//! What deciding costs: `cargo bench --bench policy` prints each figure beside its bound, and beside a reference that was
//! measured in the same run.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints its findings and stops at the first thing that is not as expected"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rkgate::{
    chat::Request,
    policy::{Facts, Headers, Input, Outcome, Platform, Set, Source, shipped},
    wire::openai,
};
use serde_json::{Value, json};

/// A chat as Open WebUI 0.12 sends it, with the tools that it offers every time.
const OPEN_WEBUI: &str = include_str!("../tests/fixtures/openwebui/chat-native-tools.json");

fn main() {
    let files = shipped::files();
    let set = compile(&files);
    let mut more = files.clone();
    more.push(Source {
        path: "rules/90-local.toml".into(),
        text: user_rules(500),
        is_policy: false,
        is_shipped: false,
    });
    let large = compile(&more);
    println!("{:<38} {:>10} {:>10}", "", "median", "at most");
    report("compile the shipped set", Some(30_000.0), || {
        drop(black_box(compile(&files)));
    });
    for (messages, bound) in [(60, 250.0), (8, 40.0)] {
        let body = body(messages, 1000, &[]);
        let size = body.to_string().len() / 1000;
        let name = format!("{size} KB, {messages} messages");
        let request = request(&body);
        let bytes = Bytes::from(body.to_string());
        report(&format!("reference: read the JSON, {name}"), None, || {
            black_box(openai::decode_chat(&bytes).unwrap());
        });
        report(
            &format!("reference: copy the request, {name}"),
            None,
            || {
                black_box(request.clone());
            },
        );
        let decided = report(&format!("decide, {name}"), Some(bound), || {
            decide(&set, &request);
        });
        report(
            &format!("decide, {name}, 500 rules more"),
            Some(2.0 * decided),
            || {
                decide(&large, &request);
            },
        );
        let with_tools = with_tools(messages);
        // The tools add 26 KB.
        report(&format!("decide, {name}, 36 tools"), Some(250.0), || {
            decide(&set, &with_tools);
        });
    }
}

fn compile(files: &[Source]) -> Set {
    let compiled = Set::compile(files, Platform::Rk3588);
    compiled.unwrap_or_else(|report| panic!("{report}")).set
}

fn decide(set: &Set, request: &Request) {
    let facts = Facts::example();
    let outcome: Outcome = set.decide(&Input {
        request,
        headers: Headers::new(&|_| None),
        facts: &facts,
    });
    black_box(outcome);
}

/// A conversation of so many messages with so many characters each; the answers come with thinking.
fn body(messages: usize, chars: usize, tools: &[Value]) -> Value {
    let sentence = "The quick brown fox asks for a title, some tags and <b>JSON</b> of the dog. ";
    let text: String = sentence.chars().cycle().take(chars).collect();
    let mut list =
        vec![json!({"role": "system", "content": "You are a helpful assistant. Today is Monday."})];
    for n in 1..messages {
        list.push(match n % 2 {
            1 => json!({"role": "user", "content": text}),
            _ => json!({"role": "assistant", "content": format!("<think>Hm.</think>{text}")}),
        });
    }
    let mut body = json!({"model": "qwen3-1.7b", "stream": true, "messages": list});
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    body
}

fn request(body: &Value) -> Request {
    openai::decode_chat(body.to_string().as_bytes()).unwrap()
}

/// The same conversation with Open WebUI's own tools.
fn with_tools(messages: usize) -> Request {
    let exchange: Value = serde_json::from_str(OPEN_WEBUI).unwrap();
    let captured: Value = serde_json::from_str(exchange["body_raw"].as_str().unwrap()).unwrap();
    request(&body(messages, 1000, captured["tools"].as_array().unwrap()))
}

fn user_rules(count: usize) -> String {
    let mut text = "schema = 1\n".to_owned();
    for n in 0..count {
        text.push_str(&format!(
            "[[label]]\nid = \"local.{n}\"\nlabel = \"local\"\nwhen = {{ last_user_has = [[\"a phrase of rule {n}\", \"fox number {n}\"]] }}\n"
        ));
    }
    text
}

/// The median of many runs in microseconds.
fn report(what: &str, bound: Option<f64>, mut run: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < 20 || (started.elapsed() < Duration::from_secs(1) && times.len() < 20_000) {
        let start = Instant::now();
        run();
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let (bound, verdict) = match bound {
        None => (String::new(), ""),
        Some(bound) if median <= bound => (format!("{bound:.0}"), "ok"),
        Some(bound) => (format!("{bound:.0}"), "TOO SLOW"),
    };
    println!("{what:<48} {median:>9.1} us {bound:>8}  {verdict}");
    median
}
