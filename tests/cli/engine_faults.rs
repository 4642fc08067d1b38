//! What goes wrong at the engine, as clients, records and metrics see it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    log::{FAST, chat, logged},
    rkgate,
    server::{Server, call, metric, send},
    text,
};

const POST: &str = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json";

fn question(model: &str, text: &str) -> String {
    let messages = json!([{ "role": "user", "content": text }]);
    json!({ "model": model, "max_tokens": 4, "messages": messages }).to_string()
}

/// Waits until a metric has this value.
fn until(server: &Server, name: &str, value: f64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while metric(&server.admin, name) != value {
        assert!(Instant::now() < deadline, "{name} is not {value}");
        std::thread::yield_now();
    }
}

#[test]
fn who_leaves_while_the_prompt_is_read_leaves_a_record_and_a_free_npu() {
    let dir = tempfile::tempdir().unwrap();
    // At the speed of a board, where this prompt is read for more than a second.
    let env = [FAST, ("RKLLM_SIM_SPEED", "1")];
    let server = Server::start(dir.path(), &["serve"], &env);
    assert_eq!(chat(&server, "", "Hello").0, 200);
    let long = "And what do you make of this, then? ".repeat(100);
    let left = send(&server.api, POST, &question("qwen3-0.6b", &long));
    let reads = "rkgate_prefix_misses_total{reason=\"new_chat\"}";
    until(&server, reads, 2.0);
    drop(left);
    until(&server, "rkgate_jobs_cancelled_total", 1.0);
    assert_eq!(chat(&server, "", "Are you still there?").0, 200);
    until(&server, "rkgate_jobs_completed_total", 2.0);
    assert_eq!(metric(&server.admin, "rkgate_queue_length"), 0.0);
    let records = logged(&server, "", 3);
    let [next, left, _] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (&left["status"], &left["miss"]),
        (&json!(499), &json!("new_chat"))
    );
    assert!(left["error"].as_str().unwrap().contains("client"), "{left}");
    assert_eq!(left["timings"]["first_token_ms"], Value::Null, "{left}");
    // It waited for the rest of the prompt, and for nothing that would have followed it.
    let waited = next["timings"]["queued_ms"].as_f64().unwrap();
    assert!(waited < 5000.0, "{next}");
}

#[test]
fn two_models_with_room_for_one_take_turns_and_everyone_is_told() {
    const MODELS: [&str; 2] = ["qwen3-0.6b", "minicpm4-0.5b"];
    let dir = tempfile::tempdir().unwrap();
    rkllm_sim::shipped::install(&dir.path().join("models")).unwrap();
    let listed = rkgate(
        dir.path(),
        &["models", "--library", "sim", "--format", "json"],
    );
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let (ours, others): (Vec<Value>, Vec<Value>) = listed
        .into_iter()
        .partition(|model| MODELS.iter().any(|id| model["id"] == *id));
    for other in others {
        let path = dir.path().join(other["path"].as_str().unwrap());
        std::fs::remove_file(path).unwrap();
    }
    let needs = ours
        .iter()
        .map(|model| model["memory_bytes"].as_u64().unwrap());
    let mib = (needs.max().unwrap() >> 20) + 1;
    let config = format!("[engine]\nlibrary = \"sim\"\nmemory_budget = \"{mib}MiB\"\n");
    std::fs::write(dir.path().join("rkgate.toml"), config).unwrap();

    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    for turn in 0..3 {
        for model in MODELS {
            let body = question(model, &format!("Question {turn}"));
            let (status, _, answer) = call(&server.api, POST, &body);
            assert_eq!(status, 200, "{answer}");
        }
    }
    assert_eq!(metric(&server.admin, "rkgate_engine_loads_total"), 6.0);
    assert_eq!(metric(&server.admin, "rkgate_engine_unloads_total"), 5.0);
    let budget = metric(&server.admin, "rkgate_engine_memory_budget_bytes");
    assert!(
        metric(
            &server.admin,
            "rkgate_engine_model_memory_bytes{model=\"minicpm4-0.5b\"}"
        ) <= budget
    );

    let said = |command: &str| {
        let output = rkgate(dir.path(), &[command]);
        text(&output.stdout).to_owned()
    };
    let told = format!("{mib} MiB has room for one model at a time");
    assert!(said("doctor").contains(&told), "{}", said("doctor"));
    assert!(
        said("models").contains(&format!("{mib} MiB together")),
        "{}",
        said("models")
    );
}
