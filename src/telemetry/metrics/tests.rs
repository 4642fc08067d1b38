#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use super::*;

fn record(model: &str) -> RequestRecord<'_> {
    RequestRecord {
        class: "chat",
        model,
        provider: "rkllm",
        operation: Operation::Chat,
        status: 200,
        duration: Duration::from_secs(3),
        time_to_first_token: Some(Duration::from_millis(300)),
        time_per_output_token: Some(Duration::from_millis(60)),
        queued: Some(Duration::from_millis(20)),
        usage: Some(chat::Usage {
            prompt: 100,
            cached: 90,
            completion: 40,
            reasoning: 0,
        }),
        shared: None,
    }
}

fn metrics() -> Metrics {
    Metrics::new(Board::new("/nonexistent"))
}

#[test]
fn a_request_is_counted_under_the_conventions_names() {
    let metrics = metrics();
    metrics.know(["qwen3-1.7b"]);
    metrics.request(&record("qwen3-1.7b"));
    let text = metrics.encode().unwrap();
    for line in [
        r#"rkgate_requests_total{class="chat",model="qwen3-1.7b",status="200"} 1"#,
        r#"gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="rkllm",gen_ai_request_model="qwen3-1.7b"} 1"#,
        r#"gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="rkllm",gen_ai_request_model="qwen3-1.7b",gen_ai_token_type="output"} 40.0"#,
        r#"rkgate_queue_seconds_count{class="chat"} 1"#,
    ] {
        assert!(text.lines().any(|l| l == line), "missing {line} in\n{text}");
    }
    assert!(text.contains("rkgate_build_info{version="));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn unknown_models_share_one_label() {
    let metrics = metrics();
    for n in 0..1000 {
        metrics.request(&record(&format!("made-up-{n}")));
    }
    let text = metrics.encode().unwrap();
    assert!(
        text.contains(r#"rkgate_requests_total{class="chat",model="other",status="200"} 1000"#),
        "{text}"
    );
    assert!(!text.contains("made-up"));
}

#[test]
fn a_shared_answer_is_no_work_of_the_npu() {
    let metrics = metrics();
    metrics.request(&RequestRecord {
        shared: Some("joined"),
        ..record("x")
    });
    let text = metrics.encode().unwrap();
    for line in [
        r#"rkgate_shared_answers_total{class="chat",how="joined"} 1"#,
        r#"rkgate_prefill_tokens_total{kind="shared"} 100"#,
    ] {
        assert!(text.lines().any(|l| l == line), "missing {line} in\n{text}");
    }
    assert!(!text.contains("rkgate_queue_seconds_count{"));
    assert!(!text.contains(r#"kind="computed""#));
}

#[test]
fn upstream_answers_say_nothing_of_the_npu() {
    let metrics = metrics();
    metrics.know(["llamacpp"]);
    metrics.request(&RequestRecord {
        provider: "llamacpp",
        queued: None,
        ..record("x")
    });
    metrics.upstream_failed("llamacpp");
    let text = metrics.encode().unwrap();
    assert!(!text.contains("rkgate_prefill_tokens_total{"));
    assert!(!text.contains("rkgate_queue_seconds_count{"));
    assert!(text.contains(r#"rkgate_upstream_errors_total{upstream="llamacpp"} 1"#));
    assert!(text.contains(r#"gen_ai_provider_name="llamacpp""#));
}
