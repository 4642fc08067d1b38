//! What a record says of the KV cache.

use serde_json::{Value, json};

use super::{
    log::{FAST, logged},
    rkgate,
    server::{Server, call, get},
    text,
};

const PLAIN: &str =
    "You are a patient teacher. You explain one thing at a time, and give an example of each.";
const OTHER: &str =
    "You answer in rhymes, whatever you are asked, and never in more than four lines of them.";

/// Asks the next question of a chat, as class `task/...` where a task is named.
fn ask(server: &Server, task: Option<&str>, system: &str, said: &mut Vec<String>, question: &str) {
    said.push(question.to_owned());
    let roles = ["user", "assistant"].into_iter().cycle();
    let turns = said.iter().zip(roles);
    let turns = turns.map(|(text, role)| json!({ "role": role, "content": text }));
    let system = json!({ "role": "system", "content": system });
    let messages: Vec<Value> = [system].into_iter().chain(turns).collect();
    let body = json!({ "model": "qwen3-0.6b", "max_tokens": 8, "messages": messages });
    let task = task.map_or(String::new(), |task| {
        format!("\r\nX-OpenWebUI-Task: {task}")
    });
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\n\
         X-OpenWebUI-Chat-Id: lesson{task}"
    );
    let (status, _, body) = call(&server.api, &head, &body.to_string());
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let content = &answer["choices"][0]["message"]["content"];
    said.push(content.as_str().unwrap_or_default().to_owned());
}

#[test]
fn a_record_says_why_its_prompt_was_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    let mut said = Vec::new();
    ask(&server, None, PLAIN, &mut said, "What is a lighthouse?");
    ask(&server, None, PLAIN, &mut said, "Who built the first?");
    ask(&server, None, OTHER, &mut said, "And the tallest?");
    said[0] = "What is a windmill, and what was it built for in former times?".to_owned();
    ask(&server, None, OTHER, &mut said, "And the oldest?");
    let task = Some("tags_generation");
    ask(&server, task, "Name three tags.", &mut Vec::new(), "A chat");
    let mut records = logged(&server, "", 5);
    records.reverse();
    let reasons: Vec<Option<&str>> = records.iter().map(|it| it["miss"].as_str()).collect();
    let expected = [
        Some("new_chat"),
        None,
        Some("system_changed"),
        Some("rewritten"),
        Some("task"),
    ];
    assert_eq!(reasons, expected);
    let (_, whole) = get(&server.admin, "/api/log/3", "");
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["miss"], "system_changed");
    let show = |id: &str| {
        let output = rkgate(dir.path(), &["log", "show", id]);
        text(&output.stdout).to_owned()
    };
    let (cached, prompt) = (&whole["usage"]["cached"], &whole["usage"]["prompt"]);
    let told = format!(
        "{cached} of {prompt} tokens reused; the rest was read because the system message or the tools have changed"
    );
    assert!(show("3").contains(&told), "{told}\n{}", show("3"));
    assert!(!show("2").contains("KV cache"), "{}", show("2"));
    let output = rkgate(dir.path(), &["log", "export", "--format", "csv"]);
    let reasons = text(&output.stdout).lines().skip(1);
    let reasons: Vec<&str> = reasons.filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!(reasons, expected.map(Option::unwrap_or_default));
}
