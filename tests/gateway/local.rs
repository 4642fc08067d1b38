//! Answers from the engine: streams, whole answers, failures in every phase, clients that leave in every phase.

use std::time::Duration;

use rkgate::{
    chat::{FinishReason, Sampling, Usage},
    engine::{Completion, EngineError, Progress, Prompt, Started, Withdrawal},
    gateway::GatewaySettings,
};
use serde_json::{Value, json};

use crate::kit::{
    client::Client,
    engine::{Jobs, scripted},
    gateway::Running,
};

const CHAT: &str = "/v1/chat/completions";
const MODEL: &str = "qwen3-0.6b";

async fn gateway() -> (Running, Jobs) {
    with(GatewaySettings::default()).await
}

/// A gateway that says at once that a stream waits.
async fn impatient() -> (Running, Jobs) {
    with(GatewaySettings {
        first_heartbeat: Duration::from_millis(1),
        heartbeat: Duration::from_millis(1),
        ..GatewaySettings::default()
    })
    .await
}

async fn with(settings: GatewaySettings) -> (Running, Jobs) {
    let (engine, jobs) = scripted(&["Qwen3-0.6B-w8a8-rk3588"]);
    (Running::start(settings, engine, Vec::new()).await, jobs)
}

fn chat(stream: bool, more: &str) -> String {
    format!(
        r#"{{"model":"{MODEL}","stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]{more}}}"#
    )
}

fn started() -> Progress {
    Progress::Started(Started {
        queued: Duration::from_millis(3),
        sampling: Sampling::default(),
    })
}

fn queued(ahead: usize) -> Progress {
    Progress::Queued {
        ahead,
        wait: Duration::ZERO,
    }
}

fn done(finish: FinishReason) -> Progress {
    let usage = Usage {
        prompt: 10,
        cached: 4,
        completion: 5,
        reasoning: 0,
    };
    Progress::Done(Completion {
        finish,
        usage,
        prefill: Duration::ZERO,
        decode: Duration::ZERO,
    })
}

fn parsed(events: &[String]) -> Vec<Value> {
    events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

#[tokio::test]
async fn a_streamed_chat() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(
            CHAT,
            &["X-Request-Id: trace-7"],
            chat(true, r#","stream_options":{"include_usage":true}"#),
        )
        .await;
    let submission = jobs.next().await;
    assert_eq!(
        (submission.job.id.as_str(), submission.job.model.as_str()),
        ("trace-7", MODEL)
    );
    let Prompt::Chat(request) = &submission.job.prompt else {
        panic!("no chat")
    };
    assert_eq!(request.messages.last().unwrap().content.text(), "Hello");
    let run = submission.accept();
    run.send(queued(0)).await;
    run.send(started()).await;
    run.piece("<think>\nHm").await;
    let header = client.header().await;
    assert_eq!(header.status(), 200);
    assert_eq!(header.header("content-type"), Some("text/event-stream"));
    assert_eq!(header.header("x-request-id"), Some("trace-7"));
    assert_eq!(header.header("x-rkgate-model"), Some(MODEL));
    let first = client.chunk().await.unwrap();
    assert!(
        first.contains(r#""role":"assistant""#) && first.contains(r#""reasoning_content":"Hm""#),
        "{first}"
    );
    run.piece("\n</think>\n\nHi").await;
    assert!(client.chunk().await.unwrap().contains(r#""content":"Hi""#));
    run.send(done(FinishReason::Stop)).await;
    let end = client.chunk().await.unwrap();
    let events: Vec<String> = end
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(str::to_owned)
        .collect();
    let [finish, usage, last] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(last, "[DONE]");
    let values = parsed(&[finish.clone(), usage.clone()]);
    assert_eq!(values[0]["choices"][0]["finish_reason"], "stop");
    assert_eq!(values[1]["usage"]["completion_tokens"], 5);
    assert_eq!(
        values[1]["usage"]["completion_tokens_details"]["reasoning_tokens"],
        2
    );
    assert_eq!(client.chunk().await, None);
    // The connection serves on.
    assert_eq!(
        client.get("/v1/models").await.json()["data"][0]["id"],
        MODEL
    );
}

#[tokio::test]
async fn a_whole_chat() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(CHAT, &[], chat(false, r#","max_tokens":7"#))
        .await;
    let submission = jobs.next().await;
    assert_eq!(submission.job.max_tokens, Some(7));
    let run = submission.accept();
    run.send(started()).await;
    run.piece("Hi ").await;
    run.piece("there").await;
    run.send(done(FinishReason::Length)).await;
    let answer = client.answer().await;
    assert_eq!(
        answer.header("content-length"),
        Some(answer.body.len().to_string().as_str())
    );
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "Hi there");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["prompt_tokens"], 10);
    let metrics = gateway.metrics.encode().unwrap();
    assert!(
        metrics
            .contains(r#"rkgate_requests_total{class="chat",model="qwen3-0.6b",status="200"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_stop_string_ends_the_run_and_counts_what_was_used() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(CHAT, &[], chat(false, r#","stop":["END"]"#))
        .await;
    let run = jobs.next().await.accept();
    run.send(Progress::Reading {
        cached: 7,
        miss: None,
    })
    .await;
    run.piece("one E").await;
    run.piece("ND two").await;
    run.cancelled().await;
    let body = client.answer().await.json();
    assert_eq!(body["choices"][0]["message"]["content"], "one ");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["completion_tokens"], 2);
    assert_eq!(
        body["usage"]["prompt_tokens_details"]["cached_tokens"], 7,
        "known before the run's own end"
    );
}

#[tokio::test]
async fn a_tool_call() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    let tools = r#","tools":[{"type":"function","function":{"name":"add","parameters":{}}}]"#;
    client
        .post(CHAT, &["X-Request-Id: r1"], chat(false, tools))
        .await;
    let run = jobs.next().await.accept();
    run.piece("<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>")
        .await;
    run.send(done(FinishReason::Stop)).await;
    let body = client.answer().await.json();
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"]["name"],
        "add"
    );
}

#[tokio::test]
async fn a_text_completion() {
    let (gateway, jobs) = gateway().await;
    for stream in [false, true] {
        let mut client = Client::connect(gateway.address).await;
        let body = format!(r#"{{"model":"{MODEL}","prompt":"Once","stream":{stream}}}"#);
        client.post("/v1/completions", &[], body).await;
        let submission = jobs.next().await;
        assert!(matches!(&submission.job.prompt, Prompt::Text(text) if text == "Once"));
        let run = submission.accept();
        run.piece(" <think> upon").await;
        run.send(done(FinishReason::Stop)).await;
        let answer = client.answer().await;
        let text = if stream {
            let events = answer.events();
            parsed(&events[..events.len() - 1])
                .iter()
                .filter_map(|event| event["choices"][0]["text"].as_str().map(str::to_owned))
                .collect::<String>()
        } else {
            answer.json()["choices"][0]["text"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(text, " <think> upon");
    }
}

#[tokio::test]
async fn failures_before_the_first_byte_have_their_status() {
    let (gateway, jobs) = gateway().await;
    let model = MODEL.to_owned();
    let load = EngineError::Load {
        model: model.clone(),
        reason: "no memory".to_owned(),
    };
    for (error, status, code) in [
        (
            EngineError::ContextLength {
                prompt: 9000,
                limit: 4096,
            },
            400,
            "context_length_exceeded",
        ),
        (
            EngineError::Unsupported("no images".to_owned()),
            400,
            "unsupported",
        ),
        (
            EngineError::QueueFull {
                waiting: 9,
                retry_after: Duration::from_secs(3),
            },
            429,
            "queue_full",
        ),
        (
            EngineError::Withdrawn {
                why: Withdrawal::Displaced,
                retry_after: Duration::from_secs(3),
            },
            429,
            "queue_full",
        ),
        (load, 503, "model_load_failed"),
        (EngineError::ShuttingDown, 503, "shutting_down"),
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[], chat(true, "")).await;
        let retry = status == 429;
        jobs.next().await.refuse(error);
        let answer = client.answer().await;
        assert_eq!(
            (answer.status(), &answer.json()["error"]["code"]),
            (status, &json!(code))
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
        if retry {
            assert_eq!(answer.header("retry-after"), Some("3"));
        }
    }
    // Also once the job was taken, as long as nothing has been sent.
    for stream in [true, false] {
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[], chat(stream, "")).await;
        let run = jobs.next().await.accept();
        run.send(queued(3)).await;
        run.send(started()).await;
        let what = "was killed by signal 9".to_owned();
        run.send(Progress::Failed(EngineError::Worker {
            model: model.clone(),
            what,
        }))
        .await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status(), &answer.json()["error"]["code"]),
            (502, &json!("engine_worker_failed"))
        );
    }
}

#[tokio::test]
async fn failures_after_the_first_byte_end_the_stream() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], chat(true, "")).await;
    let run = jobs.next().await.accept();
    run.piece("Hi").await;
    client.header().await;
    client.chunk().await;
    run.send(Progress::Failed(EngineError::Run {
        model: MODEL.to_owned(),
        reason: "x".to_owned(),
    }))
    .await;
    let end = client.chunk().await.unwrap();
    assert!(
        end.contains(r#"data: {"error":{"#) && end.ends_with("data: [DONE]\n\n"),
        "{end}"
    );
    assert_eq!(client.chunk().await, None);
}

#[tokio::test]
async fn an_engine_that_falls_silent_for_good_is_an_internal_error() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], chat(false, "")).await;
    drop(jobs.next().await.accept());
    assert_eq!(client.answer().await.status(), 500);
}

#[tokio::test]
async fn heartbeats_flow_while_nothing_else_does() {
    let (gateway, jobs) = impatient().await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], chat(true, "")).await;
    let run = jobs.next().await.accept();
    run.send(queued(2)).await;
    assert_eq!(client.header().await.status(), 200);
    for _ in 0..3 {
        assert_eq!(client.chunk().await.as_deref(), Some(": waiting\n\n"));
    }
    run.send(Progress::Failed(EngineError::ShuttingDown)).await;
    let mut last = String::new();
    while let Some(chunk) = client.chunk().await {
        last = chunk;
    }
    assert!(
        last.contains("shutting_down") && last.ends_with("data: [DONE]\n\n"),
        "{last}"
    );
}

#[tokio::test]
async fn open_webuis_browser_page_is_told_its_place() {
    for (headers, told) in [
        (&["X-OpenWebUI-Chat-Id: c1"][..], true),
        (&["X-OpenWebUI-Chat-Id: c1", "X-OpenWebUI-Task: "], true),
        (
            &[
                "X-OpenWebUI-Chat-Id: c1",
                "X-OpenWebUI-Task: title_generation",
            ],
            false,
        ),
        (&[], false),
    ] {
        let (gateway, jobs) = impatient().await;
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, headers, chat(true, "")).await;
        let run = jobs.next().await.accept();
        run.send(queued(2)).await;
        client.header().await;
        let mut seen = String::new();
        while !seen.contains(if told {
            "Queued: 2 ahead of you"
        } else {
            ": waiting"
        }) {
            seen += &client.chunk().await.unwrap();
        }
        run.send(started()).await;
        run.piece("Hi").await;
        run.send(done(FinishReason::Stop)).await;
        while let Some(chunk) = client.chunk().await {
            seen += &chunk;
        }
        assert_eq!(seen.contains(r#""event":{"type":"status""#), told, "{seen}");
        assert_eq!(seen.contains(r#""done":true"#), told, "{seen}");
        assert!(seen.contains("Hi"), "{seen}");
        assert_eq!(seen.matches(r#""role":"assistant""#).count(), 1, "{seen}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_job_in_every_phase() {
    let (gateway, jobs) = gateway().await;
    for stream in [true, false] {
        // Before the job is taken: it is being tokenised.
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[], chat(stream, "")).await;
        let submission = jobs.next().await;
        drop(client);
        submission.given_up().await;

        let phases: [&[Progress]; 4] = [
            &[queued(1)],
            &[queued(0), Progress::Loading],
            &[started()],
            &[
                started(),
                Progress::Piece {
                    text: "Hi".to_owned(),
                    tokens: 1,
                },
            ],
        ];
        for phase in phases {
            let mut client = Client::connect(gateway.address).await;
            client.post(CHAT, &[], chat(stream, "")).await;
            let run = jobs.next().await.accept();
            for step in phase {
                run.send(copy(step)).await;
            }
            drop(client);
            run.cancelled().await;
        }
    }
}

fn copy(step: &Progress) -> Progress {
    match step {
        Progress::Queued { ahead, wait } => Progress::Queued {
            ahead: *ahead,
            wait: *wait,
        },
        Progress::Loading => Progress::Loading,
        Progress::Started(started) => Progress::Started(*started),
        Progress::Reading { cached, miss } => Progress::Reading {
            cached: *cached,
            miss: *miss,
        },
        Progress::Piece { text, tokens } => Progress::Piece {
            text: text.clone(),
            tokens: *tokens,
        },
        Progress::Embedding(_) | Progress::Done(_) | Progress::Failed(_) => {
            panic!("not a step on the way")
        }
    }
}

#[tokio::test]
async fn bad_requests_name_the_fault() {
    let (gateway, _jobs) = gateway().await;
    for (path, body, status, code) in [
        (CHAT, "{", 400, Value::Null),
        (CHAT, r#"{"messages":[]}"#, 400, Value::Null),
        (
            CHAT,
            r#"{"model":"qwen3-0.6b","messages":3}"#,
            400,
            Value::Null,
        ),
        (
            CHAT,
            r#"{"model":"nobody","messages":[]}"#,
            404,
            json!("model_not_found"),
        ),
        (
            "/v1/embeddings",
            r#"{"model":"qwen3-0.6b","input":7}"#,
            400,
            Value::Null,
        ),
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.post(path, &[], body).await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status(), &answer.json()["error"]["code"]),
            (status, &code),
            "{body}"
        );
        // A refused request costs the client no connection.
        assert_eq!(client.get("/").await.status(), 200);
    }
    // A body that nobody reads ends the connection.
    let mut client = Client::connect(gateway.address).await;
    client.post("/v1/nothing", &[], "{}").await;
    assert_eq!(client.answer().await.json()["error"]["code"], "unknown_url");
    assert!(client.closed().await);
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], r#"{"model":"nobody"}"#).await;
    let message = client.answer().await.json()["error"]["message"].to_string();
    assert!(
        message.contains("nobody") && message.contains(MODEL),
        "{message}"
    );
}
