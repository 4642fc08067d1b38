//! `rkgate explain`.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    rkgate,
    server::{Server, send},
    text,
};

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openwebui");
    fs::read_to_string(path.join(name)).unwrap()
}

/// Runs `rkgate explain - ARGS` on a text.
fn explain(dir: &Path, args: &[&str], request: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .args(["explain", "-"])
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A child that wants to read nothing has closed its end.
    let _ = stdin.write_all(request.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// A directory with a model that has no tokenizer: reading one takes longer than all else.
fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("models")).unwrap();
    fs::write(dir.path().join("models/Qwen3-1.7B-rk3588-w8a8.rkllm"), "").unwrap();
    dir
}

fn explained(dir: &Path, args: &[&str], request: &str) -> Value {
    let output = explain(dir, &[args, &["--format", "json"]].concat(), request);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn hello() -> Value {
    json!({"model": "qwen3-1.7b", "messages": [{"role": "user", "content": "Hello"}]})
}

#[test]
fn a_recording_is_explained_for_people_and_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let title = fixture("title.json");
    let output = explain(dir.path(), &["--engine", "qwen3-1.7b"], &title);
    let page = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(
        page.starts_with("class       task/title_generation, by "),
        "{page}"
    );
    for part in [
        "\nmodel       rec-plain -> qwen3-1.7b, as --engine says\n",
        "\nWhy\n\nclassify\n",
        "\nWhat is rewritten\n\nmessages[0], user: ",
        "\nWhat qwen3-1.7b reads\n\n| <|im_start|>",
        "\nWhat it costs\n\nprompt ",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    let machine = dir.path().to_string_lossy().into_owned();
    assert!(
        !page.contains(&machine) && !page.contains('\u{1b}'),
        "{page}"
    );
    let json = explained(dir.path(), &["--engine", "qwen3-1.7b"], &title);
    assert_eq!(json["decision"]["class"], "task/title_generation");
    assert_eq!(json["prompt"]["exact"], true);
    assert_eq!(json["rewritten"], true);
    assert_eq!(json["request"]["model"], "qwen3-1.7b");
    assert_eq!(json["reuse"], Value::Null);
}

#[test]
fn headers_decide_as_they_do_on_the_wire() {
    let dir = place();
    let args = ["--header", "X-OpenWebUI-Task=tags_generation"];
    let json = explained(dir.path(), &args, &hello().to_string());
    assert_eq!(json["decision"]["class"], "task/tags_generation");
    let recording = json!({"headers": {"X-OpenWebUI-Task": "title_generation"}, "body": hello()});
    let json = explained(dir.path(), &[], &recording.to_string());
    assert_eq!(json["decision"]["class"], "task/title_generation");
    let json = explained(dir.path(), &args, &recording.to_string());
    assert_eq!(json["decision"]["class"], "task/tags_generation");
}

#[test]
fn an_unknown_engine_is_told_with_the_name_that_was_meant() {
    let dir = place();
    let output = explain(dir.path(), &["--engine", "qwen3-17b"], &hello().to_string());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "error: there is no model or upstream `qwen3-17b`\nhelp: did you mean `qwen3-1.7b`?\n"
    );
}

#[test]
fn an_upstream_answers_where_it_is_named() {
    let dir = place();
    let config = r#"
[[upstream]]
name = "big"
urls = ["http://127.0.0.1:9/v1"]
models = [{ as = "qwen3-32b", model = "Qwen/Qwen3-32B" }]
[[upstream]]
name = "any"
urls = ["http://127.0.0.1:9/v1"]
"#;
    fs::write(dir.path().join("rkgate.toml"), config).unwrap();
    for (engine, model, family) in [
        ("big", "qwen3-32b", "qwen3"),
        ("any", "gemma3:4b", "gemma3"),
    ] {
        let mut body = hello();
        body["model"] = "gemma3:4b".into();
        let json = explained(dir.path(), &["--engine", engine], &body.to_string());
        assert_eq!(json["decision"]["model"], model);
        assert_eq!(json["model"]["upstream"], engine);
        assert_eq!(json["model"]["family"], family);
        assert_eq!(json["prompt"]["exact"], false);
    }
}

#[test]
fn broken_requests_are_pointed_at() {
    let dir = place();
    let broken = "{\n  \"model\": \"m\",\n  \"messages\": [,]\n}\n";
    let output = explain(dir.path(), &[], broken);
    assert_eq!(output.status.code(), Some(65));
    let shown = "\
error[R001]: this is not JSON: expected value
  ┌─ stdin:3:16
  │
3 │   \"messages\": [,]
  │                ^ here";
    let stderr = text(&output.stderr)
        .lines()
        .map(|line| format!("{}\n", line.trim_end()));
    assert_eq!(stderr.collect::<String>().trim_end(), shown);
    let output = explain(dir.path(), &["--format", "json"], broken);
    assert_eq!(output.status.code(), Some(65));
    let problems: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(problems[0]["code"], "R001");
    assert_eq!(problems[0]["places"][0]["file"], "stdin");
    assert_eq!(problems[0]["places"][0]["column"], 16);
    let output = rkgate(dir.path(), &["explain", "none.json"]);
    assert_eq!(output.status.code(), Some(74));
    assert!(
        text(&output.stderr).starts_with("cannot read none.json: "),
        "{output:?}"
    );
}

#[test]
fn colours_come_only_where_they_are_wanted_and_text_of_others_does_nothing() {
    let dir = place();
    let mut body = hello();
    body["messages"][0]["content"] = "\u{1b}[2J\u{202e}Hello".into();
    let body = body.to_string();
    let plain = explain(dir.path(), &[], &body);
    let page = text(&plain.stdout);
    assert!(!page.contains(['\u{1b}', '\u{202e}']), "{page}");
    assert!(page.contains("\\u{1b}[2J\\u{202e}Hello"), "{page}");
    let coloured = explain(dir.path(), &["--color", "always"], &body);
    let coloured = text(&coloured.stdout);
    assert!(coloured.contains("\u{1b}[1mclass"), "{coloured}");
    assert!(!coloured.contains("\u{1b}[2J"), "{coloured}");
}

#[test]
fn an_edited_rule_is_seen_at_once() {
    let dir = place();
    fs::create_dir(dir.path().join("rules")).unwrap();
    let local = dir.path().join("rules/90-local.toml");
    let body = json!({"model": "qwen3-1.7b", "stream": true, "messages": [
        {"role": "system", "content": "You are the kitchen's assistant."},
        {"role": "user", "content": "How much flour?"},
    ]});
    let system = |json: &Value| {
        json["request"]["messages"][0]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = explained(dir.path(), &[], &body.to_string());
    assert!(!system(&before).contains("grams"), "{before}");
    fs::write(
        &local,
        "schema = 1\n[[rewrite]]\nid = \"local.units\"\non = [\"chat\"]\nop = \"append\"\nto = \"system\"\ntext = \"Use grams.\"\n",
    )
    .unwrap();
    let after = explained(dir.path(), &[], &body.to_string());
    assert!(system(&after).ends_with("Use grams."), "{after}");
    let page = explain(dir.path(), &[], &body.to_string());
    let page = text(&page.stdout);
    assert!(
        page.contains("applied  local.units (rules/90-local.toml:3): 1 change"),
        "{page}"
    );

    fs::write(&local, "schema = 1\n[[rewrite]]\nid = \"local.units\"\n").unwrap();
    let output = explain(dir.path(), &[], &body.to_string());
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text(&output.stderr).contains("rules/90-local.toml:2:1"),
        "{output:?}"
    );

    fs::write(
        &local,
        "schema = 1\n[[test]]\nname = \"wrong\"\nrequest = { messages = [{ role = \"user\", content = \"Hi\" }] }\nexpect = { class = \"task/tags_generation\" }\n",
    )
    .unwrap();
    let output = explain(dir.path(), &[], &body.to_string());
    assert_eq!(output.status.code(), Some(0));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("error[P040]") && stderr.contains("does not take"),
        "{stderr}"
    );
}

/// The code blocks of a page that begin with this line.
fn blocks(page: &str, start: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if line == start {
                blocks.push(block.join("\n") + "\n");
            }
        }
    }
    blocks
}

/// Line numbers of shipped files, which move with every comment in them, taken out.
fn without_lines(text: &str) -> String {
    let mut parts = text.split(".toml:");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept += ".toml";
        kept += part.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    kept
}

/// Who does what docs/policies.md says sees what it says.
#[test]
fn the_first_edit_of_the_docs_works() {
    let docs = include_str!("../../docs/policies.md");
    let dir = tempfile::tempdir().unwrap();
    for name in ["rules", "policies"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("chat.json"), &blocks(docs, "```json")[0]).unwrap();
    let explain = || {
        let output = rkgate(dir.path(), &["explain", "chat.json"]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        text(&output.stdout).to_owned()
    };
    let shown = without_lines(&explain());
    let page = &blocks(docs, "```")[0];
    assert!(page.contains("system.concise"), "{page}");
    for part in without_lines(page).split("...\n") {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }

    let toml = blocks(docs, "```toml");
    let [change, test, policy, ..] = toml.as_slice() else {
        panic!("{toml:?}");
    };
    let local = dir.path().join("rules/90-local.toml");
    fs::write(&local, change).unwrap();
    let shown = explain();
    assert!(!shown.contains("system.concise"), "{shown}");
    assert!(
        shown.contains("\n| You are a helpful assistant. Be concise."),
        "{shown}"
    );
    fs::write(&local, format!("{change}\n{test}")).unwrap();
    fs::write(dir.path().join("policies/90-local.toml"), policy).unwrap();
    let output = rkgate(dir.path(), &["test"]);
    assert_eq!(text(&output.stdout), "2 tests pass\n");
    assert!(explain().contains("\nmax tokens  2048, by the settings\n"));
    let output = rkgate(dir.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

fn ask(server: &Server, body: &Value) -> Value {
    let mut answer = String::new();
    send(
        &server.api,
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json",
        &body.to_string(),
    )
    .read_to_string(&mut answer)
    .unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// What explain predicts of a turn is what the engine then reports.
#[test]
fn the_prediction_is_what_the_engine_then_does() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    for (model, think) in [
        ("minicpm4-0.5b", None),
        ("qwen3-1.7b", Some(false)),
        ("qwen3-1.7b", Some(true)),
    ] {
        prediction(dir.path(), &server, model, think);
    }
}

/// Two turns of a conversation, of which the second finds in the KV cache what was predicted.
fn prediction(dir: &Path, server: &Server, model: &str, think: Option<bool>) {
    let mut body = json!({
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a guide."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        "max_tokens": 400,
    });
    if let Some(think) = think {
        body["think"] = think.into();
    }
    let previous = dir.join("previous.json");
    fs::write(&previous, body.to_string()).unwrap();
    let first = ask(server, &body);
    let answer = first["choices"][0]["message"]["content"].clone();
    assert!(answer.is_string(), "{first}");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": answer}));
    messages.push(json!({"role": "user", "content": "And of Spain?"}));
    let request = body.to_string();
    let usage = ask(server, &body)["usage"].clone();
    let given = explained(dir, &["--previous", previous.to_str().unwrap()], &request);
    let derived = explained(dir, &[], &request);
    assert_eq!(given["reuse"]["kept"], derived["reuse"]["kept"]);
    assert_eq!(given["prompt"]["exact"], true);
    assert_eq!(given["prompt"]["tokens"], usage["prompt_tokens"]);
    let (predicted, is) = (
        &given["reuse"]["kept"]["tokens"],
        &usage["prompt_tokens_details"]["cached_tokens"],
    );
    assert_eq!(
        predicted,
        is,
        "{model} {think:?}: {first}\n{}",
        fs::read_to_string(dir.join("stderr")).unwrap()
    );
}
