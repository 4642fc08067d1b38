//! What commands learn from a gateway that runs.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    rkgate,
    serve::add_key,
    server::{Server, call},
    text,
};

/// What a command prints to stdout and stderr where this gateway is the configured one.
fn asking(dir: &Path, server: &Server, args: &[&str], key: &str) -> (String, String) {
    let admin = server.admin.trim_start_matches("http://");
    let output = Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .args(args)
        .args(["--library", "sim", "--admin", admin])
        .current_dir(dir)
        .env_clear()
        .env("RKGATE_KEY", key)
        .output()
        .unwrap();
    (
        text(&output.stdout).to_owned(),
        text(&output.stderr).to_owned(),
    )
}

fn models(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn of<'m>(models: &'m [Value], id: &str) -> &'m Value {
    models.iter().find(|model| model["id"] == id).unwrap()
}

#[test]
fn models_tell_what_is_resident() {
    let dir = tempfile::tempdir().unwrap();
    let alone = rkgate(dir.path(), &["models", "--library", "sim"]);
    assert!(!text(&alone.stdout).contains("RESIDENT"));
    assert!(alone.stderr.is_empty());
    let json = ["models", "--format", "json"];
    let alone = rkgate(dir.path(), &[&json[..], &["--library", "sim"]].concat());
    assert_eq!(
        of(&models(text(&alone.stdout)), "qwen3-0.6b")["residency"],
        Value::Null
    );

    let server = Server::start(dir.path(), &[], &[]);
    for what in ["load", "pin"] {
        let head = format!("POST /api/engine/models/qwen3-0.6b/{what} HTTP/1.1");
        assert_eq!(call(&server.admin, &head, "").0, 200);
    }
    let (table, _) = asking(dir.path(), &server, &["models"], "");
    let line = |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(line("MODEL").ends_with("RESIDENT"), "{table}");
    assert!(line("qwen3-0.6b ").ends_with("  yes, pinned"), "{table}");
    assert!(line("qwen3-1.7b ").ends_with("  no"), "{table}");
    let (told, _) = asking(dir.path(), &server, &json, "");
    let told = models(&told);
    for (id, residency, pinned, instances) in [
        ("qwen3-0.6b", "loaded", true, 1),
        ("qwen3-1.7b", "absent", false, 0),
    ] {
        let model = of(&told, id);
        assert_eq!(
            [&model["residency"], &model["pinned"], &model["instances"]],
            [&json!(residency), &json!(pinned), &json!(instances)]
        );
    }
}

#[test]
fn a_gateway_with_keys_is_asked_with_one() {
    let dir = tempfile::tempdir().unwrap();
    add_key(dir.path());
    let server = Server::start(dir.path(), &[], &[]);
    let (table, stderr) = asking(dir.path(), &server, &["models"], "open-barley");
    assert!(!table.contains("RESIDENT"));
    assert!(stderr.contains("set RKGATE_KEY"), "{stderr}");
    let (table, stderr) = asking(dir.path(), &server, &["models"], "open-sesame");
    assert!(table.contains("RESIDENT"), "{table}");
    assert_eq!(stderr, "");
}

#[test]
fn the_ports_of_a_running_gateway_are_as_they_should_be() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    let (report, _) = asking(dir.path(), &server, &["doctor"], "");
    let address = server.admin.trim_start_matches("http://");
    let told = format!("admin: the gateway that runs has {address}");
    assert!(report.contains(&told), "{report}");
}

#[test]
fn doctor_tells_whether_open_webuis_headers_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    let told = || {
        let args = ["doctor", "--format", "json"];
        let (report, _) = asking(dir.path(), &server, &args, "");
        let report: Value = serde_json::from_str(&report).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let of_webui = |finding: &&Value| finding["about"] == "webui";
        let finding = findings.iter().find(of_webui).unwrap();
        (
            finding["status"].clone(),
            finding["message"].as_str().unwrap().to_owned(),
        )
    };
    let chat = |headers: &str| {
        let head = format!("POST /v1/chat/completions HTTP/1.1{headers}");
        let body =
            r#"{"model":"qwen3-0.6b","max_tokens":2,"messages":[{"role":"user","content":"Hi"}]}"#;
        assert_eq!(call(&server.api, &head, body).0, 200);
    };
    let (status, message) = told();
    assert_eq!(status, "ok");
    assert!(message.contains("no request has come yet"), "{message}");
    chat("");
    let (status, message) = told();
    assert_eq!(status, "warn");
    assert_eq!(
        message,
        "the last 1 requests came without X-OpenWebUI-Task and X-OpenWebUI-Chat-Id"
    );
    chat(
        "\r\nX-OpenWebUI-Task: title_generation\r\nX-OpenWebUI-Chat-Id: 1\r\nX-OpenWebUI-User-Id: 2",
    );
    let (status, message) = told();
    assert_eq!(status, "ok");
    assert_eq!(
        message,
        "of the last 2 requests 1 told their task, 1 their chat and 1 their user"
    );
}
