//! Answers that requests share, by the runs that they cost.

use std::{
    fs,
    io::{BufRead, Read},
    path::Path,
    thread,
};

use serde_json::{Value, json};

use super::{
    log::logged,
    server::{Server, call, get, metric, send},
};

const CHAT: &str = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json";

/// The query task of a captured conversation.
pub(crate) fn query() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policy/captures.jsonl");
    let captures = fs::read_to_string(path).unwrap();
    let mut captures = captures
        .lines()
        .map(|line| -> Value { serde_json::from_str(line).unwrap() });
    let mut capture = captures
        .find(|capture| capture["class"] == "task/query_generation")
        .unwrap();
    let mut body = capture["request"].take();
    body["model"] = "qwen3-1.7b".into();
    body.to_string()
}

fn content(body: &str) -> String {
    let answer: Value = serde_json::from_str(body).unwrap();
    let content = &answer["choices"][0]["message"]["content"];
    content
        .as_str()
        .unwrap_or_else(|| panic!("{body}"))
        .to_owned()
}

/// Runs that the engine was asked for.
fn runs(server: &Server) -> f64 {
    ["completed", "cancelled", "failed", "withdrawn"]
        .map(|how| metric(&server.admin, &format!("rkgate_jobs_{how}_total")))
        .iter()
        .sum()
}

fn shared(server: &Server, how: &str) -> f64 {
    let class = r#"class="task/query_generation""#;
    let name = format!("rkgate_shared_answers_total{{{class},how=\"{how}\"}}");
    let (_, metrics) = get(&server.admin, "/metrics", "");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0.0, |count| count.trim().parse().unwrap())
}

#[test]
fn a_query_costs_one_run_until_the_rules_change() {
    let dir = tempfile::tempdir().unwrap();
    let log = [
        ("RKGATE_LOG__FLUSH", "20ms"),
        ("RKGATE_POLICY__WATCH", "false"),
    ];
    let server = Server::start(dir.path(), &["serve"], &log);
    let query = query();
    let answers: Vec<String> = thread::scope(|scope| {
        let ask = || content(&call(&server.api, CHAT, &query).2);
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let again = content(&call(&server.api, CHAT, &query).2);
    assert!(answers.iter().all(|answer| *answer == again), "{answers:?}");
    assert!(again.contains("queries"), "{again}");
    assert!((runs(&server) - 1.0).abs() < 0.1);
    assert!((shared(&server, "cached") + shared(&server, "joined") - 6.0).abs() < 0.1);

    fs::create_dir(dir.path().join("policies")).unwrap();
    let file = dir.path().join("policies/90-local.toml");
    fs::write(
        file,
        "schema = 1\n[[queue]]\nid = \"soon\"\non = [\"task/query_generation\"]\nurgency = 1\n\
        [[change]]\nid = \"before-chat\"\nset = { on = [\"task/function_calling\"] }\n",
    )
    .unwrap();
    let (status, _, told) = call(&server.admin, "POST /api/policy/reload HTTP/1.1", "");
    assert_eq!(status, 200, "{told}");
    call(&server.api, CHAT, &query);
    assert!((runs(&server) - 2.0).abs() < 0.1);

    let records = logged(&server, "", 8);
    let is_shared = |record: &&Value| {
        let labels = record["labels"].as_array().unwrap();
        labels.contains(&json!("cached")) || labels.contains(&json!("joined"))
    };
    let shared: Vec<&Value> = records.iter().filter(is_shared).collect();
    assert_eq!((records.len(), shared.len()), (8, 6));
    for record in shared {
        let usage = &record["usage"];
        assert_eq!(usage["completion"], 0);
        assert_eq!(usage["cached"], usage["prompt"]);
        let (_, whole) = get(&server.admin, &format!("/api/log/{}", record["id"]), "");
        let whole: Value = serde_json::from_str(&whole).unwrap();
        let trace = whole["content"]["trace"].to_string();
        let said = [
            "answered from the cache",
            "joined the run of another request",
        ];
        assert!(said.iter().any(|said| trace.contains(said)), "{trace}");
        assert_eq!(whole["content"]["answer"]["content"], json!(again));
    }
}

#[test]
fn who_joined_is_answered_after_who_began_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("policies")).unwrap();
    fs::write(
        dir.path().join("policies/90-local.toml"),
        "schema = 1\n[[cache]]\nid = \"local\"\non = [\"task/moa_response_generation\"]\nttl = \"0s\"\n",
    )
    .unwrap();
    let env = [("RKLLM_SIM_SPEED", "10")];
    let server = Server::start(dir.path(), &["serve"], &env);
    let head = format!("{CHAT}\r\nX-OpenWebUI-Task: moa_response_generation");
    let said = json!([{"role": "user", "content": "Tell me a long story about the sea."}]);
    let body = json!({"model": "qwen3-0.6b", "stream": true, "messages": said, "think": false});
    let begin = || {
        let mut answer = send(&server.api, &head, &body.to_string());
        let mut line = String::new();
        while !line.starts_with("data: ") || line.contains("status") {
            line.clear();
            assert!(answer.read_line(&mut line).unwrap() > 0);
        }
        answer
    };
    let first = begin();
    let mut second = begin();
    drop(first);
    let mut rest = String::new();
    second.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("[DONE]") && !rest.contains("error"), "{rest}");
    assert!((metric(&server.admin, "rkgate_jobs_completed_total") - 1.0).abs() < 0.1);
    assert!((runs(&server) - 1.0).abs() < 0.1);
}
