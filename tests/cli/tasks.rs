//! Open WebUI's tasks, as they were captured, through a gateway whose small models fail as small models do: their JSON is
//! broken, they think although they were told not to, they go round in circles, they never end.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    log::{FAST, logged},
    open_webui,
    server::{Server, call, metric},
};

/// Faults of the simulated models, alone and together.
const FAULTS: [&str; 6] = [
    "",
    "broken_json",
    "think_anyway",
    "repetition",
    "endless",
    "broken_json,think_anyway,repetition",
];

/// A task as Open WebUI sends it: the capture's name, its class, its body.
struct Task {
    name: String,
    class: String,
    body: Value,
}

fn captured_tasks() -> Vec<Task> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policy/captures.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .map(|line| -> Value { serde_json::from_str(line).unwrap() });
    let tasks = lines.filter_map(|mut line| {
        let class = line["class"].as_str()?.strip_prefix("task/")?.to_owned();
        let mut body = line["request"].take();
        body["model"] = "qwen3-1.7b".into();
        Some(Task {
            name: line["name"].as_str().unwrap().to_owned(),
            class,
            body,
        })
    });
    tasks.collect()
}

/// The text and the thinking of an answer, streamed or not.
fn answer(server: &Server, body: &Value) -> (String, String) {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json";
    let (status, head, text) = call(&server.api, head, &body.to_string());
    assert_eq!(status, 200, "{text}");
    if !head.contains("text/event-stream") {
        let answer: Value = serde_json::from_str(&text).unwrap();
        let message = &answer["choices"][0]["message"];
        assert_eq!(answer["choices"].as_array().unwrap().len(), 1);
        let field = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        return (field("content"), field("reasoning_content"));
    }
    let (mut content, mut reasoning) = (String::new(), String::new());
    let mut done = false;
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        assert!(chunk.get("error").is_none(), "{chunk}");
        let delta = &chunk["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
    }
    assert!(done, "{text}");
    (content, reasoning)
}

/// Says what is wrong with the answer to a task, if anything is: what Open WebUI makes of it, and whether that is worth
/// having.
fn judge(class: &str, content: &str) -> Result<(), &'static str> {
    let words = |texts: &[String]| texts.iter().all(|text| is_clean(text));
    let parsed = match class {
        "title_generation" => {
            open_webui::title(content).map(|title| is_clean(&title) && title.chars().count() <= 100)
        }
        "tags_generation" => open_webui::tags(content).map(|tags| !tags.is_empty() && words(&tags)),
        "follow_up_generation" => open_webui::follow_ups(content).map(|all| words(&all)),
        "query_generation" => open_webui::queries(content).map(|all| words(&all)),
        "image_prompt_generation" => open_webui::image_prompt(content).map(|text| is_clean(&text)),
        "autocomplete_generation" => {
            open_webui::completion(content).map(|text| text.is_empty() || is_clean(&text))
        }
        "emoji_generation" => open_webui::emoji(content).map(|_| content.chars().count() <= 8),
        "function_calling" => open_webui::tool_calls(content).map(|_| true),
        "memory_review" => open_webui::memory_operations(content).map(|_| true),
        // Prose: a person reads it, or the next prompt has it.
        "moa_response_generation" | "context_compaction" => Some(is_clean(content)),
        other => panic!("unknown task {other}"),
    };
    match parsed {
        None => Err("Open WebUI cannot read it"),
        Some(false) => Err("Open WebUI reads it, and it is of no use"),
        Some(true) => Ok(()),
    }
}

fn is_clean(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains("<think>") && !text.contains("</think>")
}

/// Sends all tasks to a gateway with these faults, and collects what went wrong.
fn failures(dir: &Path, fault: &str) -> Vec<String> {
    let env = [("RKLLM_SIM_FAULT", fault)];
    let server = Server::start(dir, &["serve"], &env);
    let mut failures = Vec::new();
    for task in captured_tasks() {
        let (content, reasoning) = answer(&server, &task.body);
        if let Err(why) = judge(&task.class, &content) {
            failures.push(format!("{} with {fault:?}: {why}: {content}", task.name));
        }
        // Nobody sees the thinking of a task; Open WebUI takes it for the answer where that is empty.
        if task.class != "moa_response_generation" && !reasoning.is_empty() {
            failures.push(format!("{} with {fault:?} shows thinking", task.name));
        }
    }
    failures
}

#[test]
fn tasks_come_right_whatever_the_small_model_does() {
    for fault in FAULTS {
        let dir = tempfile::tempdir().unwrap();
        let failures = failures(dir.path(), fault);
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

/// The same by a model that can think, and so does.
#[test]
fn tasks_come_right_with_a_model_that_thinks() {
    for fault in FAULTS {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("policies")).unwrap();
        fs::write(
            dir.path().join("rkgate.toml"),
            "[policy]\npolicies = \"policies\"\n",
        )
        .unwrap();
        fs::write(
            dir.path().join("policies/90-local.toml"),
            "schema = 1\n[[change]]\nid = \"tasks-to-small\"\nset = { to = [\"qwen3-0.6b*\"] }\n\
             [[test]]\nname = \"a\"\nmodels = [{ id = \"qwen3-1.7b\" }, { id = \"qwen3-0.6b\" }]\n\
             headers = { x-openwebui-task = \"title_generation\" }\n\
             request = { messages = [{ role = \"user\", content = \"A title\" }] }\nexpect = { model = \"qwen3-0.6b\" }\n",
        )
        .unwrap();
        let failures = failures(dir.path(), fault);
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

fn chat(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "qwen3-1.7b", "stream": true, "messages": [{"role": "user", "content": text}]});
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

/// A chat that a model would never end comes to an end; thinking that was switched off is told from the answer; who asks
/// for greedy sampling does not get Qwen3's loops.
#[test]
fn chats_come_right_too() {
    let dir = tempfile::tempdir().unwrap();
    let greedy = json!({"top_k": 1, "temperature": 0, "think": false});
    let server = Server::start(dir.path(), &["serve"], &[]);
    let (content, _) = answer(&server, &chat("Tell me about the sea.", greedy));
    assert!(is_clean(&content) && content.len() < 8_000, "{content}");

    let dir = tempfile::tempdir().unwrap();
    let env = [("RKLLM_SIM_FAULT", "think_anyway,repetition")];
    let server = Server::start(dir.path(), &["serve"], &env);
    let off = json!({"think": false});
    let (content, reasoning) = answer(&server, &chat("Tell me about the sea.", off));
    assert!(is_clean(&content), "{content}");
    assert!(!reasoning.is_empty());
    let last = content.trim().rsplit("\n\n").next().unwrap();
    assert!(content.matches(last).count() <= 5, "{content}");
}

/// What does not fit although everything was tried is refused with its length.
#[test]
fn a_question_that_is_longer_than_the_context_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[]);
    let long = "The wind blows over the moor and nobody knows from where. ".repeat(1_000);
    for stream in [true, false] {
        let body = chat(&long, json!({"stream": stream}));
        let head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json";
        let (status, _, text) = call(&server.api, head, &body.to_string());
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (status, &error["error"]["code"]),
            (400, &json!("context_length_exceeded")),
            "{text}"
        );
        assert!(
            error["error"]["message"].as_str().unwrap().contains("4096"),
            "{text}"
        );
    }
}

#[test]
fn a_task_whose_model_dies_has_its_fallback_and_the_log_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let env = [FAST, ("RKLLM_SIM_FAULT", "crash=2")];
    let server = Server::start(dir.path(), &["serve"], &env);
    let title = captured_tasks();
    let title = title.iter().find(|task| task.class == "title_generation");
    let (content, _) = answer(&server, &title.unwrap().body);
    let content: Value = serde_json::from_str(&content).unwrap();
    assert!(content["title"].is_string(), "{content}");
    let records = logged(&server, "class=task%2Ftitle_generation", 1);
    assert_eq!(records[0]["status"], 200);
    let error = records[0]["error"].as_str().unwrap();
    assert!(error.contains("engine worker"), "{error}");
    let stderr = fs::read_to_string(dir.path().join("stderr")).unwrap();
    assert!(stderr.contains("answered with the fallback"), "{stderr}");
    assert_eq!(metric(&server.admin, "rkgate_jobs_failed_total"), 1.0);
}
