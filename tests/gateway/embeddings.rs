//! `/v1/embeddings`: what goes to the engine in which order, what comes back, and who is in whose way.

use std::{collections::HashSet, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};
use rkgate::{
    chat::{FinishReason, Passage, Sampling, Usage},
    engine::{Completion, EngineError, Progress, Prompt, QueueClass, Started},
    gateway::{GatewaySettings, ModelAlias, UpstreamSettings},
    telemetry::activity::Phase,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::kit::{
    client::{Client, post},
    engine::{Jobs, Running as RunningJob, Submission, scripted},
    gateway::Running,
    message::Message,
    process::Process,
    soon,
    upstream::{self, Upstream},
};

const PATH: &str = "/v1/embeddings";
const MODEL: &str = "qwen3-embedding-0.6b";
const SPEEDY: [(&str, &str); 1] = [("RKLLM_SIM_SPEED", "0")];

async fn gateway() -> (Running, Jobs) {
    let (engine, jobs) = scripted(&["Qwen3-Embedding-0.6B-w8a8-rk3588", "Qwen3-0.6B-w8a8-rk3588"]);
    let running = Running::start(GatewaySettings::default(), engine, Vec::new()).await;
    (running, jobs)
}

/// The real binary on a simulated board that takes no time, with its directory.
async fn board() -> (Process, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let npu = dir.path().join("npu").display().to_string();
    let env = [SPEEDY[0], ("RKLLM_SIM_NPU", &npu)];
    (Process::start(dir.path(), "", &env, 1024).await, dir)
}

fn body(input: Value, more: Value) -> String {
    let mut body = json!({"model": MODEL, "input": input});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    body.to_string()
}

fn texts(submission: &Submission) -> &str {
    match &submission.job.prompt {
        Prompt::Embed(Passage::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// Ends a run with a vector.
async fn give(run: &RunningJob, vector: &[f32]) {
    run.send(Progress::Started(Started {
        queued: Duration::ZERO,
        sampling: Sampling::default(),
    }))
    .await;
    run.send(Progress::Embedding(vector.to_vec())).await;
    run.send(Progress::Done(Completion {
        finish: FinishReason::Stop,
        usage: Usage::default(),
        prefill: Duration::ZERO,
        decode: Duration::ZERO,
    }))
    .await;
}

fn vectors(answer: &Message) -> Vec<Vec<f64>> {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let answer = answer.json();
    let data = answer["data"].as_array().unwrap();
    assert!(
        data.iter()
            .enumerate()
            .all(|(index, entry)| entry["index"] == index && entry["object"] == "embedding")
    );
    let numbers = |entry: &Value| serde_json::from_value(entry["embedding"].clone()).unwrap();
    data.iter().map(numbers).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn vectors_stand_in_the_order_of_their_inputs_whichever_runs_first() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(PATH, &[], body(json!(["a", "ccc", "bb"]), json!({})))
        .await;
    // The longest first; and of these two the second ends first.
    let (first, second) = (jobs.next().await, jobs.next().await);
    assert_eq!((texts(&first), texts(&second)), ("ccc", "bb"));
    let class = &first.job.queue;
    assert_eq!(
        (&*class.name, class.urgency, class.fallback),
        ("embeddings", QueueClass::PERSON_WAITS, false)
    );
    assert!(class.urgency > QueueClass::default().urgency);
    let (first, second) = (first.accept(), second.accept());
    give(&second, &[0.0, 1.0]).await;
    let third = jobs.next().await;
    assert_eq!(texts(&third), "a");
    give(&third.accept(), &[1.0, 0.0]).await;
    give(&first, &[0.6, 0.8]).await;
    let answer = client.answer().await;
    assert_eq!(answer.header("x-rkgate-class"), Some("embeddings"));
    assert_eq!(answer.header("x-rkgate-model"), Some(MODEL));
    assert_eq!(
        answer.json(),
        json!({
            "object": "list",
            "data": [
                {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]},
                {"object": "embedding", "index": 1, "embedding": [0.6, 0.8]},
                {"object": "embedding", "index": 2, "embedding": [0.0, 1.0]},
            ],
            "model": MODEL,
            "usage": {"prompt_tokens": 30, "total_tokens": 30},
        })
    );
}

#[tokio::test]
async fn who_watches_sees_when_the_npu_works_for_it() {
    let (gateway, jobs) = gateway().await;
    let shows = async |wanted: Phase| {
        soon("the phase", async {
            let is_wanted = || {
                gateway
                    .activity
                    .running()
                    .first()?
                    .phase
                    .eq(&wanted)
                    .then_some(())
            };
            while is_wanted().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    let started = || {
        Progress::Started(Started {
            queued: Duration::ZERO,
            sampling: Sampling::default(),
        })
    };
    let queued = |ahead| Progress::Queued {
        ahead,
        wait: Duration::ZERO,
    };
    let mut client = Client::connect(gateway.address).await;
    client
        .post(PATH, &[], body(json!(["aa", "b"]), json!({})))
        .await;
    let (first, second) = (jobs.next().await.accept(), jobs.next().await.accept());
    first.send(Progress::Loading).await;
    shows(Phase::Loading).await;
    first.send(started()).await;
    shows(Phase::Running).await;
    // That the second waits for the first is no wait of the request.
    second.send(queued(1)).await;
    first.send(queued(1)).await;
    shows(Phase::Queued).await;
    give(&first, &[1.0]).await;
    give(&second, &[1.0]).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 200);
    assert!(answer.header("x-rkgate-queue-ms").is_some());
    let ended = soon("the end", async {
        loop {
            if let (ended, 1) = gateway.activity.ended(0) {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let stretches = &ended.first().unwrap().stretches;
    let phases: Vec<Phase> = stretches.iter().map(|it| it.phase).collect();
    assert_eq!(phases, [Phase::Loading, Phase::Running, Phase::Running]);
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_runs_and_what_has_not_begun() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(PATH, &[], body(json!(["a", "b", "c", "d"]), json!({})))
        .await;
    let (first, second) = (jobs.next().await.accept(), jobs.next().await.accept());
    give(&first, &[1.0]).await;
    let third = jobs.next().await;
    drop(client);
    second.cancelled().await;
    third.given_up().await;
    // The fourth never came: this is the next job that the engine sees.
    let mut other = Client::connect(gateway.address).await;
    other.post(PATH, &[], body(json!("other"), json!({}))).await;
    assert_eq!(texts(&jobs.next().await), "other");
}

#[tokio::test]
async fn one_input_that_fails_fails_the_request_and_ends_the_others() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(PATH, &[], body(json!(["a", "long"]), json!({})))
        .await;
    let (long, short) = (jobs.next().await, jobs.next().await);
    let short = short.accept();
    long.refuse(EngineError::ContextLength {
        prompt: 5000,
        limit: 4096,
    });
    let answer = client.answer().await;
    assert_eq!(answer.status(), 400);
    let error = &answer.json()["error"];
    assert_eq!(
        (&error["code"], &error["param"]),
        (&json!("context_length_exceeded"), &json!("input"))
    );
    let message = error["message"].as_str().unwrap();
    assert!(
        ["input[1]", "5000", "4095", "Chunk Size"]
            .iter()
            .all(|word| message.contains(word)),
        "{message}"
    );
    short.cancelled().await;
}

#[tokio::test]
async fn more_values_than_the_model_has_are_refused() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(PATH, &[], body(json!("a"), json!({"dimensions": 3})))
        .await;
    give(&jobs.next().await.accept(), &[0.6, 0.8]).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status(), &answer.json()["error"]["param"]),
        (400, &json!("dimensions"))
    );
}

#[tokio::test]
async fn upstreams_get_the_request_byte_for_byte_but_for_an_alias() {
    let upstream = Upstream::start().await;
    let mut settings = UpstreamSettings::new("up", vec![upstream.url()]);
    settings.models = vec![ModelAlias {
        alias: "rag".to_owned(),
        model: "bge-m3".to_owned(),
    }];
    upstream.serve(|request| {
        assert_eq!(request.first_line, "POST /v1/embeddings HTTP/1.1");
        upstream::answer(&request.body)
    });
    let (engine, _jobs) = scripted(&[]);
    let gateway = Running::start(GatewaySettings::default(), engine, vec![settings]).await;
    let sent = r#"{"input": ["a\u00e9"], "n":1.50, "model":  "rag" ,"encoding_format":"x"}"#;
    let answer = post(gateway.address, PATH, sent).await;
    assert_eq!(answer.text(), sent.replace("\"rag\"", "\"bge-m3\""));
    assert_eq!(answer.header("x-rkgate-class"), Some("embeddings"));
}

#[tokio::test]
async fn six_requests_at_once_as_open_webui_sends_them() {
    let (board, _dir) = board().await;
    let chunks = (0..6).map(|number| {
        // One text each, in the spelling of Python's json module.
        let text = format!(
            "Fact {number}: the island number {number} has {} lighthouses and a mayor.",
            7 * number
        );
        post(
            board.address,
            PATH,
            format!(r#"{{"input": ["{text}"], "model": "{MODEL}"}}"#),
        )
    });
    let answers = futures::future::join_all(chunks).await;
    let mut seen = HashSet::new();
    for answer in &answers {
        let vectors = vectors(answer);
        assert_eq!((vectors.len(), vectors[0].len()), (1, 1024));
        assert!((cosine(&vectors[0], &vectors[0]) - 1.0).abs() < 1e-5);
        seen.insert(answer.text().to_owned());
    }
    assert_eq!(seen.len(), 6, "answers were mixed up");
}

#[tokio::test]
async fn what_is_asked_is_nearest_to_the_text_that_answers_it() {
    let (board, _dir) = board().await;
    let documents = [
        "The lighthouse on the northern cape was built in 1887 and is still lit every night.",
        "Sourdough bread needs flour, water, salt and a starter that is fed every day.",
        "The council will vote on the new bicycle lanes in the city centre next month.",
    ];
    let questions = [
        "When was the lighthouse on the cape built?",
        "What does sourdough bread need?",
        "When is the vote on the bicycle lanes?",
    ];
    let all: Vec<&str> = documents.iter().chain(&questions).copied().collect();
    let answer = post(board.address, PATH, body(json!(all), json!({}))).await;
    let vectors = vectors(&answer);
    let (documents, questions) = vectors.split_at(3);
    for (index, question) in questions.iter().enumerate() {
        let nearest = (0..3).max_by(|a, b| {
            cosine(question, &documents[*a]).total_cmp(&cosine(question, &documents[*b]))
        });
        assert_eq!(nearest, Some(index));
    }
}

#[tokio::test]
async fn shorter_vectors_and_base64() {
    let (board, _dir) = board().await;
    let ask = |more| post(board.address, PATH, body(json!("some words"), more));
    let whole = vectors(&ask(json!({})).await).remove(0);
    let short = vectors(&ask(json!({"dimensions": 256})).await).remove(0);
    assert_eq!(short.len(), 256);
    assert!((cosine(&short, &short) - 1.0).abs() < 1e-5);
    let head = &whole[..256];
    let scale = cosine(head, head).sqrt();
    assert!(
        head.iter()
            .zip(&short)
            .all(|(whole, short)| (whole / scale - short).abs() < 1e-6)
    );
    let encoded = ask(json!({"encoding_format": "base64"})).await.json();
    let encoded = encoded["data"][0]["embedding"].as_str().unwrap();
    assert_eq!(encoded.len(), (1024_usize * 4).div_ceil(3) * 4);
}

#[tokio::test]
async fn each_kind_of_model_says_what_it_is_for() {
    let (board, _dir) = board().await;
    let chat = format!(
        r#"{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"Hi"}}]}}"#
    );
    let text_model = r#"{"model":"qwen3-0.6b","input":"Hi"}"#.to_owned();
    for (path, body, words) in [
        ("/v1/chat/completions", chat, "/v1/embeddings"),
        (PATH, text_model, "gives no embeddings"),
    ] {
        let answer = post(board.address, path, body).await;
        assert_eq!(answer.status(), 400, "{}", answer.text());
        let error = answer.json()["error"]["message"].to_string();
        assert!(error.contains(words), "{error}");
    }
    let models = Client::connect(board.address)
        .await
        .get("/v1/models")
        .await
        .json();
    let kind = |id: &str| {
        let models = models["data"].as_array().unwrap();
        models.iter().find(|model| model["id"] == id).unwrap()["kind"].clone()
    };
    assert_eq!(
        (kind(MODEL), kind("qwen3-0.6b")),
        (json!("embedding"), json!("text"))
    );
}

#[test]
fn a_batch_gives_what_its_texts_give_one_by_one() {
    let runtime = Runtime::new().unwrap();
    let (board, _dir) = runtime.block_on(board());
    // Texts that begin alike are those that a cache could mix up.
    let text = prop_oneof![
        "[a-d ]{0,12}",
        "the same beginning [a-c]{0,3}",
        "\\PC{0,20}",
        Just("<|endoftext|>".to_owned()),
    ];
    let batches = proptest::collection::vec(text, 1..8);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(12));
    let embed = |input| {
        let answer = runtime.block_on(post(board.address, PATH, body(input, json!({}))));
        let tokens = answer.json()["usage"]["total_tokens"].as_u64();
        (vectors(&answer), tokens.unwrap())
    };
    runner
        .run(&batches, |batch| {
            let (together, all) = embed(json!(batch));
            let singles: Vec<(Vec<Vec<f64>>, u64)> =
                batch.iter().map(|text| embed(json!(text))).collect();
            let sum: u64 = singles.iter().map(|(_, tokens)| tokens).sum();
            prop_assert_eq!(all, sum);
            let singles: Vec<Vec<f64>> = singles.into_iter().flat_map(|(one, _)| one).collect();
            prop_assert!(together == singles, "{:?}", batch);
            Ok(())
        })
        .unwrap();
}
