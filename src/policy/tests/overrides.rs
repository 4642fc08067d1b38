//! A user's file over shipped ones.

use serde_json::{Value, json};

use super::{decide, request};
use crate::policy::{Class, Facts, Platform, Set, Source};

const SHIPPED: &str = r####"schema = 1
[[classify]]
id = "title"
class = "task/title_generation"
when = { stream = false, last_user_starts = ["### Task:"] }
[[rewrite]]
id = "strip"
on = ["*"]
op = "strip_block"
role = "user"
tags = ["a"]
"####;

fn compile(local: &str, platform: Platform) -> Set {
    let file = |path: &str, text: String, is_policy| Source {
        path: path.into(),
        text,
        is_policy,
        is_shipped: false,
    };
    let files = [
        file("rules/10-a.toml", SHIPPED.to_owned(), false),
        file("rules/90-local.toml", format!("schema = 1\n{local}"), false),
        file(
            "policies/10-a.toml",
            "schema = 1\nplatform = \"rk3576\"\n[[queue]]\nid = \"small\"\non = [\"*\"]\nurgency = 3\n".to_owned(),
            true,
        ),
    ];
    let compiled = Set::compile(&files, platform);
    compiled.unwrap_or_else(|report| panic!("{report}")).set
}

fn asked(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

fn class(set: &Set, text: &str) -> Class {
    decide(set, &request(&asked(text)), &[], &Facts::example())
        .decision
        .class
}

fn rewritten(set: &Set, text: &str) -> Option<String> {
    let outcome = decide(set, &request(&asked(text)), &[], &Facts::example());
    Some(outcome.request?.messages[0].content.text().into_owned())
}

#[test]
fn a_rule_can_be_switched_off() {
    let set = compile(
        "[[change]]\nid = \"title\"\nmode = \"off\"",
        Platform::Rk3588,
    );
    assert_eq!(class(&set, "### Task: x"), Class::Chat);
}

#[test]
fn lists_of_a_rule_can_be_extended_and_values_replaced() {
    let local = r####"
[[change]]
id = "title"
add = { when = { last_user_starts = ["### Aufgabe:"] } }
[[change]]
id = "strip"
add = { tags = ["b"] }
set = { on = ["task/*"] }
"####;
    let set = compile(local, Platform::Rk3588);
    assert_eq!(class(&set, "### Task: x"), Class::Title);
    assert_eq!(class(&set, "### Aufgabe: x"), Class::Title);
    let task = rewritten(&set, "### Task: <a>1</a><b>2</b>x").unwrap();
    assert!(!task.contains("<a>") && !task.contains("<b>"), "{task}");
    assert_eq!(rewritten(&set, "<a>1</a>x"), None);
}

#[test]
fn a_rule_can_be_replaced_in_its_place() {
    let local = r####"
[[classify]]
id = "title"
replace = true
class = "task/tags_generation"
when = { last_user_starts = ["tags:"] }
"####;
    let set = compile(local, Platform::Rk3588);
    assert_eq!(class(&set, "### Task: x"), Class::Chat);
    assert_eq!(class(&set, "Tags: x"), Class::Tags);
}

#[test]
fn a_policy_file_is_for_its_board() {
    for (platform, queue) in [(Platform::Rk3588, "chat"), (Platform::Rk3576, "small")] {
        let set = compile("", platform);
        let decision = decide(&set, &request(&asked("Hello")), &[], &Facts::example()).decision;
        assert_eq!(&*decision.queue.name, queue);
    }
}

#[test]
fn conditions_look_at_headers_models_and_labels() {
    let local = r#"
[[label]]
id = "canary"
label = "canary"
when = { headers = { "X-Stage" = ["can*"] }, family = ["qwen3*"], max_tokens_up_to = 10 }
unless = { model = ["*-4b"] }
"#;
    let set = compile(local, Platform::Rk3588);
    let labels = |body: &Value, headers: &[(&str, &str)]| {
        decide(&set, &request(body), headers, &Facts::example())
            .decision
            .labels
            .len()
    };
    let mut body = asked("Hello");
    body["max_tokens"] = json!(10);
    assert_eq!(labels(&body, &[("x-stage", "Canary")]), 1);
    assert_eq!(labels(&body, &[("x-stage", "blue")]), 0);
    assert_eq!(labels(&body, &[]), 0);
    assert_eq!(labels(&asked("Hello"), &[("x-stage", "canary")]), 0);
    // A model that nobody knows has no family.
    body["model"] = json!("qwen3-4b");
    assert_eq!(labels(&body, &[("x-stage", "canary")]), 0);
}
