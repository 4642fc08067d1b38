#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod decisions;
mod overrides;
mod recognition;
mod robustness;

use serde_json::{Value, json};

use super::{Compiled, Facts, Headers, Input, Outcome, Platform, Set, Source, shipped};
use crate::{chat, wire::openai};

/// The shipped set.
fn shipped() -> Compiled {
    Set::compile(&shipped::files(), Platform::Rk3588).unwrap_or_else(|report| panic!("{report}"))
}

/// A set of one rule file and one policy file; `schema = 1` is put before each.
fn set(rules: &str, policies: &str) -> Set {
    let file = |path: &str, text: &str, is_policy| Source {
        path: path.into(),
        text: format!("schema = 1\n{text}"),
        is_policy,
        is_shipped: false,
    };
    let files = [
        file("rules/a.toml", rules, false),
        file("policies/a.toml", policies, true),
    ];
    let compiled = Set::compile(&files, Platform::Rk3588);
    compiled.unwrap_or_else(|report| panic!("{report}")).set
}

fn request(body: &Value) -> chat::Request {
    let mut body = body.clone();
    if body.get("model").is_none() {
        body["model"] = json!("qwen3-1.7b");
    }
    openai::decode_chat(body.to_string().as_bytes()).unwrap()
}

fn decide(set: &Set, request: &chat::Request, headers: &[(&str, &str)], facts: &Facts) -> Outcome {
    let look_up = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    set.decide(&Input {
        request,
        headers: Headers::new(&look_up),
        facts,
    })
}

#[test]
fn the_shipped_set_compiles_without_warnings_and_its_tests_pass() {
    let compiled = shipped();
    assert!(compiled.test().unwrap_or_else(|report| panic!("{report}")) > 0);
}
