//! The prompt log from outside: what is kept, shown and survived.

use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    rkgate,
    server::{Server, call, get, metric, send},
    text,
};

pub(super) const FAST: (&str, &str) = ("RKGATE_LOG__FLUSH", "20ms");

pub(super) fn chat(server: &Server, headers: &str, content: &str) -> (u16, String) {
    let body = json!({
        "model": "qwen3-0.6b",
        "max_tokens": 8,
        "messages": [{ "role": "user", "content": content }],
    });
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json{headers}");
    let (status, _, body) = call(&server.api, &head, &body.to_string());
    (status, body)
}

/// A request that is over at once, and logged like any other.
pub(super) fn refused(server: &Server, id: &str) {
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nX-Request-Id: {id}");
    let body = r#"{"model":"nobody","messages":[{"role":"user","content":"Is anybody there?"}]}"#;
    assert_eq!(call(&server.api, &head, body).0, 404);
}

/// Waits until the log holds this many records of a query.
pub(crate) fn logged(server: &Server, query: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (status, body) = get(&server.admin, &format!("/api/log?{query}"), "");
        // Until the first flush there is no log.
        if status == 200 {
            let page: Value = serde_json::from_str(&body).unwrap();
            let records = page["records"].as_array().unwrap();
            if records.len() >= count {
                return records.clone();
            }
        }
        assert!(Instant::now() < deadline, "{query}: {status} {body}");
        thread::yield_now();
    }
}

pub(super) fn state(server: &Server) -> Value {
    let (_, body) = get(&server.admin, "/api/state", "");
    let state: Value = serde_json::from_str(&body).unwrap();
    state["prompt_log"].clone()
}

#[test]
fn a_chat_is_kept_and_shown_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    let headers = "\r\nX-OpenWebUI-Chat-Id: chat-1\r\nX-Api-Key: secret";
    let (status, body) = chat(&server, headers, "How warm is an NPU?");
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let records = logged(&server, "text=warm%20npu", 1);
    assert_eq!(records[0]["class"], "chat");
    assert_eq!(records[0]["preview"], "How warm is an NPU?");
    assert_eq!(records[0]["conversation"], "chat-1");
    assert_eq!(
        records[0]["usage"]["completion"],
        answer["usage"]["completion_tokens"]
    );
    let (_, whole) = get(&server.admin, "/api/log/1", "");
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let content = &whole["content"];
    assert_eq!(
        content["before"]["messages"][0]["content"],
        "How warm is an NPU?"
    );
    assert_eq!(content["headers"]["x-openwebui-chat-id"], "chat-1");
    assert_eq!(content["headers"]["x-api-key"], Value::Null);
    assert!(content["sampling"]["temperature"].is_number(), "{content}");
    assert!(
        !content["trace"].as_array().unwrap().is_empty(),
        "{content}"
    );
    let said = |field: &str| {
        answer["choices"][0]["message"][field]
            .as_str()
            .unwrap_or_default()
    };
    assert_eq!(content["answer"]["content"], said("content"));
    assert_eq!(content["answer"]["reasoning"], said("reasoning_content"));
    assert_eq!(get(&server.admin, "/api/log/99", "").0, 404);
    assert_eq!(get(&server.admin, "/api/log?since=yesterday", "").0, 400);

    let log = |args: &[&str]| {
        let output = rkgate(dir.path(), &[&["log"], args].concat());
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout).to_owned()
    };
    assert!(log(&["tail"]).contains("How warm is an NPU?"));
    let shown = log(&["show", whole["request_id"].as_str().unwrap()]);
    assert!(
        shown.contains("chat-1") && shown.contains("How warm is an NPU?"),
        "{shown}"
    );
    let lines = log(&["export", "--class", "chat", "--since", "1h"]);
    assert_eq!(serde_json::from_str::<Value>(lines.trim()).unwrap(), whole);
    assert_eq!(log(&["export", "--class", "task/*"]), "");
    assert_eq!(log(&["export", "--format", "csv"]).lines().count(), 2);
    assert!(log(&["stats"]).contains("qwen3-0.6b"));
    assert_eq!(
        rkgate(dir.path(), &["log", "show", "99"]).status.code(),
        Some(66)
    );
    let replayed = rkgate(dir.path(), &["replay", "--format", "json"]);
    let report: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(
        (&report["requests"], &report["changed"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn an_export_to_train_on_has_each_chat_once_and_no_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    let ask = |path: &str, headers: &str, body: Value| {
        let head = format!("POST /v1/{path} HTTP/1.1\r\nContent-Type: application/json{headers}");
        assert_eq!(call(&server.api, &head, &body.to_string()).0, 200);
    };
    let turn = |chat: &str, turns: usize, most: u32| {
        let mut messages = vec![json!({ "role": "user", "content": "Tell me of heat pumps" })];
        for turn in 1..turns {
            messages.push(json!({ "role": "assistant", "content": "Gladly." }));
            messages.push(json!({ "role": "user", "content": format!("Go on, {turn}") }));
        }
        let body = json!({ "model": "minicpm4-0.5b", "max_tokens": most, "messages": messages });
        ask(
            "chat/completions",
            &format!("\r\nX-OpenWebUI-Chat-Id: {chat}"),
            body,
        );
    };
    for turns in 1..=3 {
        turn("chat-1", turns, 2000);
    }
    turn("chat-2", 1, 2000);
    turn("chat-3", 1, 2);
    let prompt = json!({ "model": "minicpm4-0.5b", "prompt": "Once", "max_tokens": 2000 });
    ask("completions", "", prompt);
    let title = json!({ "model": "minicpm4-0.5b", "messages": [{ "role": "user", "content": "A title, please" }] });
    ask(
        "chat/completions",
        "\r\nX-OpenWebUI-Task: title_generation",
        title,
    );
    logged(&server, "", 7);
    let export = |args: &[&str]| {
        let output = rkgate(dir.path(), &[&["log", "export"], args].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines = text(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Value>>()
    };
    let users = |line: &Value| {
        let messages = line["messages"].as_array().unwrap().iter();
        messages.filter(|message| message["role"] == "user").count()
    };
    let chats: Vec<usize> = export(&["--format", "openai"]).iter().map(users).collect();
    assert_eq!(chats, [1, 3], "newest first, and none that was cut");
    assert_eq!(export(&["--format", "sharegpt"]).len(), 2);
    assert_eq!(
        export(&["--format", "openai", "--class", "task/*"]).len(),
        1
    );
    assert_eq!(export(&[]).len(), 7);

    let file = dir.path().join("chats.jsonl");
    fs::write(&file, "x".repeat(1 << 20)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    export(&["--format", "openai", "--output", "chats.jsonl"]);
    let written = fs::metadata(&file).unwrap();
    assert_eq!(written.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
}

#[test]
fn what_is_no_chat_is_not_called_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    let calls = [
        (
            "embeddings",
            json!({"model": "qwen3-embedding-0.6b", "input": "Hi"}),
        ),
        (
            "completions",
            json!({"model": "qwen3-0.6b", "prompt": "Once", "max_tokens": 4}),
        ),
    ];
    for ((path, body), class) in calls.iter().zip(["embeddings", "text_completion"]) {
        let head = format!("POST /v1/{path} HTTP/1.1\r\nContent-Type: application/json");
        let (status, head, answer) = call(&server.api, &head, &body.to_string());
        assert_eq!(status, 200, "{answer}");
        let header = format!("x-rkgate-class: {class}");
        assert!(head.to_ascii_lowercase().contains(&header), "{head}");
        logged(&server, &format!("class={class}"), 1);
        let requests = format!("rkgate_requests_total{{class=\"{class}\"");
        assert!((metric(&server.admin, &requests) - 1.0).abs() < 0.1);
    }
    let (_, chats) = get(&server.admin, "/api/log?class=chat", "");
    let chats: Value = serde_json::from_str(&chats).unwrap();
    assert_eq!(chats["records"], json!([]));
    let told = rkgate(dir.path(), &["replay"]);
    let told = text(&told.stdout);
    assert!(told.starts_with("0 requests, 0 change\n"), "{told}");
    assert!(
        told.contains("1 of class embeddings were left out"),
        "{told}"
    );
    assert!(!told.contains("without content"), "{told}");
}

#[test]
fn what_fails_is_kept_as_far_as_it_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    refused(&server, "unknown-model");
    let record = whole(&server, "unknown-model");
    let said = &record["content"]["before"]["messages"][0]["content"];
    assert_eq!(
        (&record["status"], said),
        (&json!(404), &json!("Is anybody there?"))
    );
    let head = "POST /v1/chat/completions HTTP/1.1\r\nX-Request-Id: broken";
    assert_eq!(call(&server.api, head, "{").0, 400);
    let record = whole(&server, "broken");
    assert_eq!(
        (&record["kept"], &record["content"]),
        (&json!("unread"), &Value::Null)
    );
}

/// The record of a request, once it is there.
fn whole(server: &Server, request: &str) -> Value {
    let records = logged(server, &format!("request_id={request}"), 1);
    let (_, record) = get(&server.admin, &format!("/api/log/{}", records[0]["id"]), "");
    serde_json::from_str(&record).unwrap()
}

#[test]
fn a_huge_name_is_told_and_kept_in_brief() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    let name = "x".repeat(1 << 20);
    let body = json!({"model": name, "messages": [{"role": "user", "content": "Hi"}]}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nX-OpenWebUI-Chat-Id: {}",
        "y".repeat(4000)
    );
    for _ in 0..3 {
        let (status, _, answer) = call(&server.api, &head, &body);
        assert_eq!(status, 404);
        assert!(
            answer.contains("xxx...`") && answer.len() < 4096,
            "{answer}"
        );
    }
    let records = logged(&server, "", 3);
    let page = json!(records).to_string();
    assert!(page.contains("xxx...") && page.len() < 8192, "{page}");
    let mut events = send(&server.admin, "GET /api/events HTTP/1.1", "");
    let mut line = String::new();
    while !line.contains("xxx...") {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0, "no event came");
    }
    assert!(line.len() < 8192, "{line}");
}

#[test]
fn without_a_log_its_place_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for args in [["log", "tail"].as_slice(), &["replay"]] {
        let output = rkgate(dir.path(), args);
        assert!(!output.status.success());
        let told = text(&output.stderr);
        for word in ["rkgate-log.sqlite", "log.path", "--config"] {
            assert!(told.contains(word), "{told}");
        }
    }
}

#[test]
fn a_request_may_keep_its_content_out_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    chat(&server, "\r\nx-rkgate-log: off", "a secret question");
    let records = logged(&server, "", 1);
    assert_eq!(records[0]["kept"], "opted_out");
    drop(server);
    for file in fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap().path();
        if file
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("rkgate-log")
        {
            let bytes = fs::read(&file).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("secret question"));
        }
    }
}

#[test]
fn what_rules_redact_is_in_no_file_and_clients_have_their_keys_names() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    let rule = r#"schema = 1
[[redact]]
id = "local.badge"
mark = "[badge]"
patterns = ['B-[0-9]{5}']
  [[redact.test]]
  text = "badge B-12345"
  kept = "badge [badge]"
"#;
    fs::write(dir.path().join("rules/90-local.toml"), rule).unwrap();
    let digest = Sha256::digest("sk-test");
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = format!("[[key]]\nname = \"kitchen\"\nsha256 = \"{digest}\"\n");
    fs::write(dir.path().join("keys.toml"), keys).unwrap();
    let env = [
        FAST,
        ("RKGATE_LOG__CONTENT", "redacted"),
        ("RKGATE_AUTH__KEYS_FILE", "keys.toml"),
    ];
    let mut server = Server::start(dir.path(), &["serve"], &env);
    let asked = "Who has badge B-77120? Write to anna@example.org, or call +49 30 12345678.";
    let (status, body) = chat(&server, "\r\nAuthorization: Bearer sk-test", asked);
    assert_eq!(status, 200, "{body}");
    server.signal("TERM");
    server.wait();
    let export = rkgate(dir.path(), &["log", "export"]);
    let record: Value = serde_json::from_slice(&export.stdout).unwrap();
    assert_eq!(
        (&record["client"], &record["kept"]),
        (&json!("kitchen"), &json!("redacted"))
    );
    let kept = "Who has badge [badge]? Write to [e-mail], or call [phone].";
    assert_eq!(record["content"]["before"]["messages"][0]["content"], kept);
    let all = text(&export.stdout);
    for secret in ["B-77120", "anna@", "12345678", "sk-test"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn the_end_of_rkgate_writes_what_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["serve"], &[("RKGATE_LOG__FLUSH", "1h")]);
    for n in 0..5 {
        refused(&server, &format!("last-{n}"));
    }
    server.signal("TERM");
    assert!(server.wait().success());
    assert_eq!(count(dir.path()), 5);
}

/// Records in the log of a directory, read by a command of its own.
fn count(dir: &Path) -> usize {
    let output = rkgate(dir, &["log", "tail", "-n", "100000", "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().count()
}

/// An upstream that repeats what it was asked, for as long as the test runs; gives its configuration.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // The gateway may be killed at any moment.
            thread::spawn(move || repeat(stream));
        }
    });
    format!(
        "[[upstream]]\nname = \"echo\"\nurls = [\"{url}\"]\nmodels = [{{ as = \"far\", model = \"far\" }}]\n"
    )
}

fn repeat(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            // The gateway was killed before it had sent everything.
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked: Value = serde_json::from_slice(&body)?;
    let said = json!({"role": "assistant", "content": asked["messages"][0]["content"]});
    let answer = json!({"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]});
    let (answer, head) = (answer.to_string(), "HTTP/1.1 200 OK\r\nConnection: close");
    write!(
        reader.into_inner(),
        "{head}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    )
}

/// Asks the upstream one question after another, until the gateway is gone.
fn converse(api: &str, client: &str) {
    let host = api.strip_prefix("http://").unwrap();
    for number in 0.. {
        let question = format!("Question {number} of {client}, and why?");
        let body = json!({"model": "far", "messages": [{"role": "user", "content": question}]});
        let ask = || {
            let mut stream = TcpStream::connect(host)?;
            let (body, head) = (body.to_string(), "POST /v1/chat/completions HTTP/1.1");
            write!(
                stream,
                "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )?;
            stream.read_to_string(&mut String::new())
        };
        if ask().is_err() {
            return;
        }
    }
}

/// Kills rkgate while several clients talk to it, again and again: whatever it has called written is there with question
/// and answer, and the log opens.
fn survives(rounds: usize) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rkgate.toml"), echo()).unwrap();
    let mut written = 0;
    for round in 0..rounds {
        let mut server = Server::start(dir.path(), &["serve"], &[FAST]);
        let api = server.api.clone();
        // Another moment of the writer's work in each round.
        let enough = 20 + 7 * (round as u64 % 23);
        let now = thread::scope(|scope| {
            for client in ["a", "b", "c"] {
                let (api, name) = (&api, format!("client {client} in round {round}"));
                scope.spawn(move || converse(api, &name));
            }
            let begun = Instant::now();
            let now = loop {
                let now = state(&server)["written"].as_u64().unwrap();
                if now >= enough || begun.elapsed() > Duration::from_secs(60) {
                    break now;
                }
                // Asking without a pause would take a core from those who are to write.
                thread::park_timeout(Duration::from_millis(2));
            };
            // Ends the clients as well.
            server.signal("KILL");
            server.wait();
            now
        });
        assert!(now >= enough, "only {now} were written");
        written += now;
    }
    let output = rkgate(dir.path(), &["log", "export"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut kept = HashSet::new();
    for line in text(&output.stdout).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let content = &record["content"];
        let asked = &content["before"]["messages"][0]["content"];
        if record["status"] == 200 {
            assert_eq!(&content["answer"]["content"], asked, "{record}");
        }
        kept.insert(asked.as_str().unwrap().to_owned());
    }
    assert!(
        kept.len() as u64 >= written,
        "{} of {written} are there",
        kept.len()
    );
}

#[test]
fn being_killed_loses_nothing_that_was_flushed() {
    survives(3);
}

#[test]
#[ignore = "takes minutes: cargo test --test cli -- --ignored killed_200_times"]
fn being_killed_200_times_loses_nothing_that_was_flushed() {
    survives(200);
}

#[test]
fn a_full_disk_stops_the_log_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    // Without the signal, writing beyond the limit fails as on a full disk.
    let deaf = "trap '' XFSZ; exec \"$0\" serve";
    let server = Server::start_with(dir.path(), deaf, &[FAST]);
    server.limit_files("300000");
    let begun = Instant::now();
    let mut n = 0;
    while state(&server)["state"] == "running" {
        refused(&server, &format!("full-{n}-{}", "x".repeat(100)));
        n += 1;
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{n} requests fit"
        );
    }
    let stopped = state(&server);
    assert!(
        stopped["reason"].as_str().unwrap().contains("prompt log"),
        "{stopped}"
    );
    const IO: &str = "rkgate_prompt_log_stopped{reason=\"io\"}";
    assert!((metric(&server.admin, IO) - 1.0).abs() < f64::EPSILON);
    assert_eq!(chat(&server, "", "Is anybody there?").0, 200);
    refused(&server, "while-full");
    assert!(metric(&server.admin, "rkgate_prompt_log_queue_length") >= 1.0);
    server.limit_files("unlimited");
    let records = logged(&server, "request_id=while-full", 1);
    assert_eq!(records[0]["status"], 404);
    // A record can be read a moment before the writer says that it is well again.
    while state(&server)["state"] != "running" {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            state(&server)
        );
    }
    assert!((metric(&server.admin, IO)).abs() < f64::EPSILON);
    assert_eq!(state(&server)["lost"], 0);
}
