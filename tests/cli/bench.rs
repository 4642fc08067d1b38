//! `rkgate bench conversation`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{rkgate, text};

/// A chat of two turns, the second about what was said in the first.
const SCRIPT: &str = r#"
title = "A short chat"
model = "qwen3-1.7b"
goals = ["prefill"]

[[people]]
name  = "Ann"
turns = ["Why is the sky blue?", "And in the evening?"]
"#;

/// The numbers in a line that begins with `start`.
fn numbers(output: &str, start: &str) -> Vec<f64> {
    let line = output.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no line `{start}` in\n{output}"));
    let words = line.get(start.len()..).unwrap().split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_conversation_is_played_against_both_gateways_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("chat.toml"), SCRIPT).unwrap();
    let args = [
        "bench",
        "conversation",
        "--script",
        "chat.toml",
        "--speed",
        "100",
    ];
    let output = rkgate(dir.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(
        out.contains("qwen3-1.7b on a simulated board, 100 times as fast"),
        "{out}"
    );
    for request in [
        "1 title",
        "1 chat",
        "1 follow-up",
        "1 tags",
        "2 chat",
        "2 follow-up",
    ] {
        assert_eq!(
            out.matches(&format!("Ann {request} ")).count(),
            1,
            "{request}\n{out}"
        );
    }
    let [ours, naive] = numbers(out, "prompt tokens read ")[..] else {
        panic!("not two figures\n{out}")
    };
    assert!(ours < naive, "the cache saves something\n{out}");
    let [ours, naive] = numbers(out, "prompt tokens reused")[..] else {
        panic!("not two figures\n{out}")
    };
    assert!(ours > 0.0 && naive == 0.0, "{out}");
    assert_eq!(numbers(out, "requests without an answer"), [0.0, 0.0]);
    assert!(
        out.contains("prompt tokens read in all: "),
        "its goals are told\n{out}"
    );
    let page = fs::read_to_string(dir.path().join("conversation.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(page.contains("class=\"follow-up\" x="));
}

#[test]
fn what_cannot_be_played_is_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("wrong.toml"), "title = 1").unwrap();
    let conversation =
        |script: &str| rkgate(dir.path(), &["bench", "conversation", "--script", script]);
    let missing = conversation("four-turns");
    assert_eq!(missing.status.code(), Some(66));
    assert!(text(&missing.stderr).contains("none of three-turns, long-question, retrieval"));
    assert_eq!(conversation("wrong.toml").status.code(), Some(65));
    let args = ["bench", "conversation", "--model", "no-such-model"];
    let unknown = rkgate(dir.path(), &args);
    assert_eq!(unknown.status.code(), Some(69));
    assert!(text(&unknown.stderr).contains("no-such-model"));
    let args = ["bench", "conversation", "--speed", "0"];
    assert_eq!(rkgate(dir.path(), &args).status.code(), Some(2));
}

#[test]
fn an_interrupted_play_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let files = |dir: &Path| fs::read_dir(dir).unwrap().count();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .args(["bench", "conversation"])
        .env_clear()
        .env("TMPDIR", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while files(dir.path()) == 0 && Instant::now() < patience {
        std::thread::yield_now();
    }
    let kill = format!("kill -INT {}", bench.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    assert_eq!(files(dir.path()), 0);
}
