//! What deciding costs: `cargo bench --bench policy` prints each figure beside its bound.

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

use rkgate::{
    chat::Request,
    policy::{Facts, Headers, Input, Platform, Set, Source, shipped},
    wire::openai,
};
use serde_json::json;

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
    report("compile the shipped set", 30_000.0, || {
        drop(black_box(compile(&files)))
    });
    let (long, short) = (chat(60, 1000), chat(8, 1000));
    let decided = report("decide, 60 KB of 60 messages", 250.0, || {
        decide(&set, &long)
    });
    report("decide, 8 KB of 8 messages", 40.0, || decide(&set, &short));
    report(
        "decide, 60 KB, 500 rules more",
        2.0 * decided.max(125.0),
        || decide(&large, &long),
    );
}

fn compile(files: &[Source]) -> Set {
    let compiled = Set::compile(files, Platform::Rk3588);
    compiled.unwrap_or_else(|report| panic!("{report}")).set
}

fn decide(set: &Set, request: &Request) {
    let facts = Facts::example();
    let outcome = set.decide(&Input {
        request,
        headers: Headers::new(&|_| None),
        facts: &facts,
    });
    black_box(outcome);
}

/// A conversation of so many messages with so many characters each; the answers come with thinking.
fn chat(messages: usize, chars: usize) -> Request {
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
    let body = json!({"model": "qwen3-1.7b", "stream": true, "messages": list});
    openai::decode_chat(body.to_string().as_bytes()).unwrap()
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
fn report(what: &str, bound: f64, mut run: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < 20 || (started.elapsed() < Duration::from_secs(2) && times.len() < 20_000) {
        let start = Instant::now();
        run();
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let verdict = if median <= bound { "ok" } else { "TOO SLOW" };
    println!("{what:32} {median:10.1} us   (at most {bound:.0})   {verdict}");
    median
}
