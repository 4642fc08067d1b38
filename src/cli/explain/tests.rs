#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{env, fs, path::PathBuf, sync::LazyLock};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    engine::catalog::Catalog,
    policy::{Facts, Headers, ModelFact, Platform, Source},
};

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The rules of `tests/fixtures/explain`.
fn set() -> Set {
    let file = |name: &str, is_policy| Source {
        path: name.into(),
        text: fs::read_to_string(tests().join("fixtures/explain").join(name)).unwrap(),
        is_policy,
        is_shipped: false,
    };
    let files = [file("rules.toml", false), file("policies.toml", true)];
    let compiled = Set::compile(&files, Platform::Rk3588);
    compiled.unwrap_or_else(|report| panic!("{report}")).set
}

/// The simulator's models.
fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<(TempDir, Catalog)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        rkllm_sim::shipped::install(dir.path()).unwrap();
        let catalog = Catalog::scan(dir.path());
        (dir, catalog)
    });
    &CATALOG.1
}

thread_local! {
    /// A tokenizer is read once per test.
    static MODELS: Models<'static> = Models::counting(catalog().models());
}

/// The simulator's models with 4096 tokens of context.
fn facts() -> Facts {
    let fact = |card| ModelFact {
        context: Some(4096),
        ..ModelFact::from(card)
    };
    Facts {
        models: catalog().models().iter().map(fact).collect(),
    }
}

struct Asked<'a> {
    file: &'a str,
    forced: Option<&'a str>,
    previous: Option<&'a str>,
}

fn explanation(asked: &Asked<'_>) -> Explanation {
    let read = |name: &str| {
        input::read(&tests().join("fixtures/openwebui").join(name))
            .unwrap_or_else(|error| panic!("{error:?}"))
    };
    let request = read(asked.file);
    let previous = asked.previous.map(read);
    let (set, look_up) = (set(), |name: &str| request.header(name));
    let look_up_previous = |name: &str| previous.as_ref()?.header(name);
    let question = Question {
        set: &set,
        facts: &facts(),
        request: &request.chat,
        headers: Headers::new(&look_up),
        forced: asked.forced,
        previous: previous.as_ref().map(|previous| Turn {
            request: &previous.chat,
            headers: Headers::new(&look_up_previous),
        }),
    };
    MODELS.with(|models| explain::explain(&question, models))
}

/// The files of `tests/golden/explain`. `UPDATE_GOLDEN=1` writes them anew; what changed is for eyes to review.
fn golden(name: &str, text: &str) {
    let path = tests().join("golden/explain").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "{name} is now:\n{text}");
}

#[test]
fn explanations_look_as_in_the_golden_files() {
    let qwen = Some("qwen3-1.7b");
    for (name, forced, previous) in [
        ("title", None, None),
        ("chat-native-tools", qwen, None),
        ("chat-reasoning-history", qwen, None),
        ("chat-tool-result", qwen, Some("chat-native-tools.json")),
        ("chat-vision", qwen, None),
        ("chat-plain", None, None),
    ] {
        let file = &format!("{name}.json");
        let explanation = explanation(&Asked {
            file,
            forced,
            previous,
        });
        let page = page::page(&explanation, Paint::chosen(ColorChoice::Never), false);
        golden(&format!("{name}.txt"), &page);
    }
}

#[test]
fn all_of_it_is_told_where_that_is_asked_for() {
    let explanation = explanation(&Asked {
        file: "title.json",
        forced: Some("qwen3-1.7b"),
        previous: None,
    });
    let page = page::page(&explanation, Paint::chosen(ColorChoice::Always), true);
    golden("title-verbose-coloured.txt", &page);
    let mut json = json::to_string(&explanation).unwrap();
    json.push('\n');
    golden("title.json", &json);
}

/// The names of all fields, but for those of requests and of sampling values by themselves.
fn fields(json: &Value, names: &mut Vec<String>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.push(name.clone());
                if name != "request" && !(name == "sampling" && value.is_object()) {
                    self::fields(value, names);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        _ => {}
    }
}

#[test]
fn every_field_is_in_the_docs() {
    let docs = include_str!("../../../docs/explain.md");
    for (file, previous) in [
        ("title.json", None),
        ("chat-tool-result.json", Some("chat-native-tools.json")),
    ] {
        let explanation = explanation(&Asked {
            file,
            forced: Some("qwen3-1.7b"),
            previous,
        });
        let json = json::to_string(&explanation).unwrap();
        let mut names = Vec::new();
        fields(&serde_json::from_str(&json).unwrap(), &mut names);
        assert!(names.len() > 100);
        for name in names {
            let told = [
                format!("`{name}`"),
                format!(".{name}`"),
                format!("`{name}."),
            ];
            assert!(told.iter().any(|told| docs.contains(told)), "{name}");
        }
    }
}

#[test]
fn nothing_in_a_request_acts_on_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = "\u{1b}]0;pwned\u{7}\u{202e}\u{9b}31m\u{0}";
    let body = json!({
        "model": format!("m{hostile}"),
        "messages": [
            {"role": "system", "content": format!("{hostile} turn 2")},
            {"role": "user", "content": format!("turn 2 {hostile}\r\n{hostile}")},
            {"role": "assistant", "content": format!("<think>{hostile}</think>{hostile}"),
             "tool_calls": [{"id": "1", "type": "function", "function": {"name": hostile, "arguments": hostile}}]},
            {"role": "tool", "tool_call_id": "1", "content": hostile},
            {"role": "user", "content": format!("turn 2 {hostile}")},
        ],
        "tools": [{"type": "function", "function": {"name": hostile, "description": hostile}}],
        "stop": [hostile],
    });
    let path = dir.path().join("request.json");
    fs::write(&path, body.to_string()).unwrap();
    let request = input::read(&path).unwrap_or_else(|error| panic!("{error:?}"));
    let (set, facts) = (set(), facts());
    for forced in [None, Some("qwen3-1.7b")] {
        let question = Question {
            set: &set,
            facts: &facts,
            request: &request.chat,
            headers: Headers::new(&|_| None),
            forced,
            previous: None,
        };
        let explanation = MODELS.with(|models| explain::explain(&question, models));
        for verbose in [false, true] {
            let page = page::page(&explanation, Paint::chosen(ColorChoice::Never), verbose);
            let acting: Vec<char> = page
                .chars()
                .filter(|c| crate::cli::paint::acts(*c))
                .collect();
            assert!(acting.iter().all(|c| *c == '\n'), "{acting:?} in {page}");
        }
        let json = json::to_string(&explanation).unwrap();
        assert!(
            !json
                .chars()
                .any(|c| c != '\n' && crate::cli::paint::acts(c))
        );
    }
}
