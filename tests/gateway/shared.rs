//! Tasks that ask the same and share an answer, where a policy lets them.

use std::{path::Path, time::Duration};

use rkgate::{
    chat::{FinishReason, Sampling, Usage},
    engine::{Completion, EngineError, Progress, Started, Withdrawal},
    gateway::GatewaySettings,
};
use serde_json::{Value, json};

use crate::kit::{
    client::Client,
    engine::{Jobs, Running as Run, scripted},
    gateway::{Running, local_rules},
    message::Message,
};

const CHAT: &str = "/v1/chat/completions";
const MODEL: &str = "qwen3-0.6b";
const QUERY: &str = "X-OpenWebUI-Task: query_generation";
/// A task whose answer is prose, so that it comes piece by piece.
const MERGE: &str = "X-OpenWebUI-Task: moa_response_generation";
const SAID: &str = r#"{"queries": ["heat pumps"]}"#;

async fn gateway(policies: &str) -> (Running, Jobs, tempfile::TempDir) {
    let (engine, jobs) = scripted(&["Qwen3-0.6B-w8a8-rk3588"]);
    let files = local_rules("", policies);
    let settings = GatewaySettings::default();
    let gateway = Running::with_files(files.path(), settings, engine, Vec::new()).await;
    (gateway, jobs, files)
}

/// The shipped rules alone.
async fn shipped() -> (Running, Jobs) {
    let (engine, jobs) = scripted(&["Qwen3-0.6B-w8a8-rk3588"]);
    let (settings, files) = (GatewaySettings::default(), Path::new("/nonexistent"));
    let gateway = Running::with_files(files, settings, engine, Vec::new()).await;
    (gateway, jobs)
}

/// One run for all that ask at the same time, and nothing kept.
const MERGES: &str =
    "[[cache]]\nid = \"local\"\non = [\"task/moa_response_generation\"]\nttl = \"0s\"\n";

fn body(text: &str, stream: bool) -> String {
    let messages = json!([{"role": "user", "content": text}]);
    let usage = json!({"include_usage": true});
    let mut body = json!({"model": MODEL, "messages": messages, "stream": stream});
    if stream {
        body["stream_options"] = usage;
    }
    body.to_string()
}

fn started() -> Progress {
    Progress::Started(Started {
        queued: Duration::from_millis(3),
        sampling: Sampling::default(),
    })
}

async fn end(run: &Run) {
    run.send(Progress::Done(Completion {
        finish: FinishReason::Stop,
        usage: Usage {
            prompt: 10,
            cached: 4,
            completion: 5,
            reasoning: 0,
        },
        prefill: Duration::ZERO,
        decode: Duration::ZERO,
    }))
    .await;
}

async fn say(run: &Run, text: &str) {
    run.send(started()).await;
    run.piece(text).await;
    end(run).await;
}

async fn asks(gateway: &Running, headers: &[&str], body: &str) -> Client {
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, headers, body).await;
    client
}

async fn asked(gateway: &Running, headers: &[&str], body: &str) -> Message {
    asks(gateway, headers, body).await.answer().await
}

fn content(answer: &Message) -> String {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let content = &answer.json()["choices"][0]["message"]["content"];
    content.as_str().unwrap().to_owned()
}

/// The text of a streamed answer and its usage.
fn streamed(text: &str) -> (String, Value) {
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let (mut said, mut usage) = (String::new(), Value::Null);
    for event in events.filter(|event| *event != "[DONE]") {
        let chunk: Value = serde_json::from_str(event).unwrap();
        let delta = &chunk["choices"][0]["delta"]["content"];
        said.push_str(delta.as_str().unwrap_or_default());
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
    }
    (said, usage)
}

async fn rest(mut client: Client) -> String {
    let mut text = String::new();
    while let Some(chunk) = client.chunk().await {
        text.push_str(&chunk);
    }
    text
}

fn counted(gateway: &Running, line: &str) {
    let metrics = gateway.metrics.encode().unwrap();
    assert!(metrics.contains(line), "no {line} in\n{metrics}");
}

#[tokio::test]
async fn the_query_that_is_sent_twice_runs_once() {
    let (gateway, jobs) = shipped().await;
    let client = asks(&gateway, &[QUERY], &body("Queries?", false)).await;
    let run = jobs.next().await.accept();
    say(&run, SAID).await;
    let mut client = client;
    let first = client.answer().await;
    assert_eq!(content(&first), SAID);
    assert_eq!(first.json()["usage"]["completion_tokens"], 5);
    // Nobody takes a job any more.
    let again = asked(&gateway, &[QUERY], &body("Queries?", false)).await;
    assert_eq!(content(&again), SAID);
    assert_eq!(again.header("x-rkgate-model"), Some(MODEL));
    assert_eq!(
        again.header("x-rkgate-class"),
        Some("task/query_generation")
    );
    assert_eq!(again.header("x-rkgate-queue-ms"), Some("0"));
    let usage = &again.json()["usage"];
    assert_eq!(usage["prompt_tokens"], 10);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 10);
    assert_eq!(usage["completion_tokens"], 0);
    let answer = asked(&gateway, &[QUERY], &body("Queries?", true)).await;
    let (said, usage) = streamed(answer.text());
    assert_eq!(
        (said.as_str(), &usage["completion_tokens"]),
        (SAID, &json!(0))
    );
    counted(
        &gateway,
        r#"rkgate_shared_answers_total{class="task/query_generation",how="cached"} 2"#,
    );
    counted(&gateway, r#"rkgate_prefill_tokens_total{kind="shared"} 20"#);
}

#[tokio::test]
async fn requests_that_differ_in_anything_share_nothing() {
    let (gateway, jobs) = shipped().await;
    let text = body("Queries?", false);
    let other = body("Other queries?", false);
    let ann = [QUERY, "X-OpenWebUI-User-Id: ann"];
    let ben = [QUERY, "X-OpenWebUI-User-Id: ben"];
    let chat = [QUERY, "X-OpenWebUI-User-Id: ben", "X-OpenWebUI-Chat-Id: c"];
    let stop = json!({
        "model": MODEL, "stop": ["x"], "messages": [{"role": "user", "content": "Queries?"}],
    });
    for (headers, body) in [
        (&[QUERY][..], text.as_str()),
        (&[QUERY], &other),
        (&ann, &text),
        (&ben, &text),
        (&chat, &text),
        (&[QUERY], &stop.to_string()),
        // Another task, and one that nothing is said of.
        (&["X-OpenWebUI-Task: title_generation"], &text),
        (&["X-OpenWebUI-Task: title_generation"], &text),
    ] {
        let mut client = asks(&gateway, headers, body).await;
        say(&jobs.next().await.accept(), SAID).await;
        client.answer().await;
    }
}

#[tokio::test]
async fn who_comes_while_a_task_runs_joins_it_and_outlives_who_began_it() {
    let (gateway, jobs, _files) = gateway(MERGES).await;
    let mut first = asks(&gateway, &[MERGE], &body("Merge", true)).await;
    let run = jobs.next().await.accept();
    run.send(started()).await;
    run.piece("One").await;
    first.header().await;
    assert!(first.chunk().await.unwrap().contains("One"));
    let mut second = asks(&gateway, &[MERGE], &body("Merge", true)).await;
    second.header().await;
    let begun = second.chunk().await.unwrap();
    assert!(begun.contains("One"), "{begun}");
    let mut whole = asks(&gateway, &[MERGE], &body("Merge", false)).await;
    drop(first);
    run.piece(" two").await;
    end(&run).await;
    let (said, usage) = streamed(&(begun + &rest(second).await));
    assert_eq!(said, "One two");
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 10);
    assert_eq!(usage["completion_tokens"], 0);
    let answer = whole.answer().await;
    assert_eq!(content(&answer), "One two");
    counted(
        &gateway,
        r#"rkgate_shared_answers_total{class="task/moa_response_generation",how="joined"}"#,
    );
    // Nothing is kept: the next one runs.
    let mut next = asks(&gateway, &[MERGE], &body("Merge", false)).await;
    say(&jobs.next().await.accept(), "Three").await;
    assert_eq!(content(&next.answer().await), "Three");
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_is_cancelled() {
    let (gateway, jobs, _files) = gateway(MERGES).await;
    let mut clients = Vec::new();
    clients.push(asks(&gateway, &[MERGE], &body("Merge", true)).await);
    let run = jobs.next().await.accept();
    run.send(started()).await;
    run.piece("One").await;
    clients.push(asks(&gateway, &[MERGE], &body("Merge", true)).await);
    for client in &mut clients {
        client.header().await;
        client.chunk().await.unwrap();
    }
    drop(clients);
    run.cancelled().await;
    // In the queue as well.
    let waiting = asks(&gateway, &[MERGE], &body("Merge", true)).await;
    let submission = jobs.next().await;
    drop(waiting);
    submission.given_up().await;
}

#[tokio::test]
async fn what_is_no_answer_is_not_kept() {
    let (gateway, jobs) = shipped().await;
    let text = body("Queries?", false);
    let nothing = r#"{"queries": []}"#;
    let withdrawn = || EngineError::Withdrawn {
        why: Withdrawal::Deadline,
        retry_after: Duration::from_secs(1),
    };
    let mut client = asks(&gateway, &[QUERY], &text).await;
    let run = jobs.next().await.accept();
    run.send(Progress::Failed(withdrawn())).await;
    assert_eq!(content(&client.answer().await), nothing);
    // What had been said of it can be saved, and is not all of it.
    let mut client = asks(&gateway, &[QUERY], &text).await;
    let run = jobs.next().await.accept();
    run.send(started()).await;
    run.piece(r#"{"queries": ["heat pumps", "he"#).await;
    run.send(Progress::Failed(withdrawn())).await;
    assert!(content(&client.answer().await).contains("heat"));
    let mut client = asks(&gateway, &[QUERY], &text).await;
    jobs.next().await.refuse(withdrawn());
    assert_eq!(content(&client.answer().await), nothing);
    let mut client = asks(&gateway, &[QUERY], &text).await;
    jobs.next().await.refuse(EngineError::QueueFull {
        waiting: 9,
        retry_after: Duration::from_secs(1),
    });
    assert_eq!(content(&client.answer().await), nothing);
    let mut client = asks(&gateway, &[QUERY], &text).await;
    let run = jobs.next().await.accept();
    run.send(Progress::Failed(EngineError::ShuttingDown)).await;
    assert_eq!(client.answer().await.status(), 503);
    let mut client = asks(&gateway, &[QUERY], &text).await;
    say(&jobs.next().await.accept(), "").await;
    assert_eq!(content(&client.answer().await), nothing);
    let mut client = asks(&gateway, &[QUERY], &text).await;
    say(&jobs.next().await.accept(), SAID).await;
    assert_eq!(content(&client.answer().await), SAID);
    assert_eq!(content(&asked(&gateway, &[QUERY], &text).await), SAID);
}

#[tokio::test]
async fn a_cache_can_be_switched_off() {
    let (gateway, jobs, _files) =
        gateway("[[change]]\nid = \"cache.query\"\nmode = \"off\"\n").await;
    for _ in 0..2 {
        let mut client = asks(&gateway, &[QUERY], &body("Queries?", false)).await;
        say(&jobs.next().await.accept(), SAID).await;
        assert_eq!(content(&client.answer().await), SAID);
    }
}
