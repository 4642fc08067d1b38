//! The service itself: stopping, limits, keys, CORS, malformed requests, the model list.

use std::{path::Path, sync::Arc, time::Duration};

use rkgate::{
    engine::{EngineError, Job, ModelCard, Progress, Run},
    gateway::{
        Gateway, GatewaySettings, Keys, Listener, LocalEngine, ModelAlias, UpstreamSettings,
        Upstreams,
    },
    telemetry::{Metrics, board::Board},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::kit::{
    client::{Client, post},
    engine::{Jobs, ScriptedEngine, scripted},
    gateway::{Running, policy},
    upstream::{self, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str =
    r#"{"model":"qwen3-0.6b","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;

async fn with(settings: GatewaySettings, upstreams: Vec<UpstreamSettings>) -> (Running, Jobs) {
    let (engine, jobs) = scripted(&["Qwen3-0.6B-w8a8-rk3588"]);
    (Running::start(settings, engine, upstreams).await, jobs)
}

#[tokio::test]
async fn stopping_lets_running_answers_finish_and_closes_the_rest() {
    let (gateway, jobs) = with(GatewaySettings::default(), Vec::new()).await;
    let mut idle = Client::connect(gateway.address).await;
    assert_eq!(idle.get("/").await.status(), 200);
    let mut busy = Client::connect(gateway.address).await;
    busy.post(CHAT, &[], BODY).await;
    let run = jobs.next().await.accept();
    run.piece("Hi").await;
    busy.header().await;
    busy.chunk().await;

    gateway.stop();
    assert!(idle.closed().await);
    run.piece(" there").await;
    assert!(busy.chunk().await.unwrap().contains(" there"));
    assert!(TcpStream::connect(gateway.address).await.is_err());
    run.send(Progress::Failed(EngineError::ShuttingDown)).await;
    while busy.chunk().await.is_some() {}
    assert!(busy.closed().await);
    gateway.stopped().await;
}

#[tokio::test]
async fn stopping_cuts_what_still_runs_at_the_deadline() {
    let settings = GatewaySettings {
        drain_deadline: Duration::ZERO,
        ..GatewaySettings::default()
    };
    let (gateway, jobs) = with(settings, Vec::new()).await;
    let mut waiting = Client::connect(gateway.address).await;
    waiting.post(CHAT, &[], BODY).await;
    let run = jobs.next().await.accept();
    let mut reading = Client::connect(gateway.address).await;
    reading.post(CHAT, &[], BODY).await;
    let begun = jobs.next().await.accept();
    begun.piece("Hi").await;
    assert_eq!(reading.header().await.status(), 200);

    let metrics = Arc::clone(&gateway.metrics);
    gateway.stop();
    run.cancelled().await;
    begun.cancelled().await;
    gateway.stopped().await;
    let answer = waiting.answer().await;
    let error = &answer.json()["error"];
    assert_eq!(
        (answer.status(), &error["code"]),
        (503, &json!("shutting_down"))
    );
    assert_eq!(answer.header("retry-after"), Some("5"));
    let mut rest = String::new();
    while let Some(chunk) = reading.chunk().await {
        rest.push_str(&chunk);
    }
    assert!(rest.contains("Hi"), "{rest}");
    assert!(rest.contains(r#""code":"shutting_down""#), "{rest}");
    // What was cut is counted, and so logged.
    let counted = metrics.encode().unwrap();
    for status in [200, 503] {
        let line = format!(
            r#"rkgate_requests_total{{class="chat",model="qwen3-0.6b",status="{status}"}} 1"#
        );
        assert!(counted.contains(&line), "{counted}");
    }
}

#[tokio::test]
async fn stopping_with_nobody_there_takes_no_time() {
    let (gateway, _jobs) = with(GatewaySettings::default(), Vec::new()).await;
    gateway.stop();
    gateway.stopped().await;
}

/// An engine with a fault.
struct Faulty(ScriptedEngine);

#[async_trait::async_trait]
impl LocalEngine for Faulty {
    fn models(&self) -> &[ModelCard] {
        self.0.models()
    }

    fn model(&self, name: &str) -> Option<&ModelCard> {
        self.0.model(name)
    }

    async fn submit(&self, job: Job) -> Result<Run, EngineError> {
        match job.id.as_str() {
            "bad" => panic!("a fault"),
            _ => self.0.submit(job).await,
        }
    }
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let (engine, jobs) = scripted(&["Qwen3-0.6B-w8a8-rk3588"]);
    let gateway = Running::start(GatewaySettings::default(), Faulty(engine), Vec::new()).await;
    let mut other = Client::connect(gateway.address).await;
    other.post(CHAT, &[], BODY).await;
    let run = jobs.next().await.accept();
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &["X-Request-Id: bad"], BODY).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status(), answer.header("x-request-id")),
        (500, Some("bad"))
    );
    assert!(!answer.text().contains("a fault"));
    assert_eq!(client.get("/v1/models").await.status(), 200);
    run.piece("Hi").await;
    assert_eq!(other.header().await.status(), 200);
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (engine, _jobs) = scripted(&[]);
    let gateway = Gateway::new(
        GatewaySettings::default(),
        Arc::new(engine),
        Upstreams::new(Vec::new()).unwrap(),
        policy(Path::new("/nonexistent")),
        Arc::new(Metrics::new(Board::new("/nonexistent"))),
    );
    let stop = CancellationToken::new();
    let served = tokio::spawn(gateway.serve(Listener::unix(&path).unwrap(), stop.clone()));
    let mut client = tokio::net::UnixStream::connect(&path).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    stop.cancel();
    served.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let settings = GatewaySettings {
        body_limit: 1000,
        ..GatewaySettings::default()
    };
    let (gateway, _jobs) = with(settings, Vec::new()).await;
    // By the announced length, before any of it is sent.
    let mut client = Client::connect(gateway.address).await;
    client
        .send(format!("POST {CHAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n"))
        .await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (413, &json!("request_too_large"))
    );
    assert_eq!(answer.header("connection"), Some("close"));
    // By what arrives, where no length is announced.
    let mut client = Client::connect(gateway.address).await;
    client
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        ))
        .await;
    client
        .send(format!("{:x}\r\n{}\r\n", 1001, "x".repeat(1001)))
        .await;
    assert_eq!(client.answer().await.status(), 413);
    // A client that sends all of it before it listens still hears why.
    let body = "x".repeat(5_000_000);
    assert_eq!(post(gateway.address, CHAT, body).await.status(), 413);
}

#[tokio::test]
async fn slow_requests_are_given_up() {
    let settings = GatewaySettings {
        header_timeout: Duration::from_millis(50),
        body_timeout: Duration::from_millis(50),
        keep_alive: Duration::from_millis(50),
        ..GatewaySettings::default()
    };
    let (gateway, _jobs) = with(settings, Vec::new()).await;
    for part in [
        "POST /v1/chat/com",
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.send(part).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 408, "{part}");
        assert!(client.closed().await);
    }
    let mut client = Client::connect(gateway.address).await;
    assert_eq!(client.get("/").await.status(), 200);
    assert!(client.closed().await);
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let settings = GatewaySettings {
        header_limit: 4000,
        ..GatewaySettings::default()
    };
    let (gateway, _jobs) = with(settings, Vec::new()).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n",
        "x".repeat(5000)
    );
    for (request, status) in [
        ("nonsense\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (long.as_str(), 431),
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), status, "{request}");
        assert!(answer.json()["error"]["message"].is_string());
        assert!(client.closed().await);
    }
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_and_too_many_connections_wait() {
    let settings = GatewaySettings {
        max_requests: 1,
        max_connections: 2,
        ..GatewaySettings::default()
    };
    let (gateway, jobs) = with(settings, Vec::new()).await;
    let mut first = Client::connect(gateway.address).await;
    first.post(CHAT, &[], BODY).await;
    let run = jobs.next().await.accept();
    let mut second = Client::connect(gateway.address).await;
    second.post(CHAT, &[], BODY).await;
    let answer = second.answer().await;
    assert_eq!(
        (answer.status(), answer.header("retry-after")),
        (503, Some("1"))
    );
    assert!(second.closed().await);
    // The list of models is never refused.
    let mut second = Client::connect(gateway.address).await;
    assert_eq!(second.get("/v1/models").await.status(), 200);

    let mut third = Client::connect(gateway.address).await;
    third.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    drop(second);
    assert_eq!(third.answer().await.status(), 200);
    drop(first);
    run.cancelled().await;
}

#[tokio::test]
async fn keys_are_asked_for_where_there_are_any() {
    let keys = Keys::new([("right", Sha256::digest("sk-right").into())]);
    let settings = GatewaySettings {
        keys: Some(keys),
        ..GatewaySettings::default()
    };
    let (gateway, jobs) = with(settings, Vec::new()).await;
    let mut client = Client::connect(gateway.address).await;
    for headers in [
        &[][..],
        &["Authorization: Bearer sk-wrong"],
        &["Authorization: Basic sk-right"],
    ] {
        client.post(CHAT, headers, BODY).await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status(), &answer.json()["error"]["code"]),
            (401, &json!("invalid_api_key"))
        );
        client = Client::connect(gateway.address).await;
    }
    assert_eq!(client.get("/v1/models").await.status(), 401);
    assert_eq!(client.get("/").await.status(), 200);
    client
        .post(CHAT, &["Authorization: Bearer sk-right"], BODY)
        .await;
    jobs.next().await.accept();
}

#[tokio::test]
async fn browsers_are_let_in_by_origin() {
    let settings = GatewaySettings {
        cors: vec!["http://owui.test".to_owned()],
        ..GatewaySettings::default()
    };
    let (gateway, _jobs) = with(settings, Vec::new()).await;
    let mut client = Client::connect(gateway.address).await;
    for (origin, allowed) in [
        ("http://owui.test", Some("http://owui.test")),
        ("http://evil.test", None),
    ] {
        client
            .send(format!(
                "OPTIONS {CHAT} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, content-type\r\n\r\n"
            ))
            .await;
        let header = client.header().await;
        assert_eq!(
            (
                header.status(),
                header.header("access-control-allow-origin")
            ),
            (204, allowed)
        );
        let headers = allowed.map(|_| "authorization, content-type");
        assert_eq!(header.header("access-control-allow-headers"), headers);
        // Errors can be read by the page as well.
        client
            .send(format!(
                "GET /nothing HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n\r\n"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!(
            (
                answer.status(),
                answer.header("access-control-allow-origin")
            ),
            (404, allowed)
        );
    }
}

#[tokio::test]
async fn methods_that_a_path_does_not_take() {
    let (gateway, _jobs) = with(GatewaySettings::default(), Vec::new()).await;
    let mut client = Client::connect(gateway.address).await;
    let answer = client.get(CHAT).await;
    assert_eq!(
        (answer.status(), answer.header("allow")),
        (405, Some("POST, OPTIONS"))
    );
    client
        .send("HEAD /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    let header = client.header().await;
    assert_eq!(header.status(), 200);
    assert_ne!(header.header("content-length"), Some("0"));
    let model = client.get("/v1/models/qwen3-0.6b").await.json();
    assert_eq!(model["object"], "model");
    assert!(
        model["created"].as_u64() > Some(1_600_000_000),
        "the file's time: {model}"
    );
    assert_eq!(client.get("/v1/models/nobody").await.status(), 404);
}

#[tokio::test]
async fn the_model_list_joins_all_upstreams_and_asks_each_once() {
    let (lists, broken, silent) = (
        Upstream::start().await,
        Upstream::start().await,
        Upstream::start().await,
    );
    let mut aliased = UpstreamSettings::new("aliased", vec![silent.url()]);
    aliased.models = vec![ModelAlias {
        alias: "small".to_owned(),
        model: "org/tiny:latest".to_owned(),
    }];
    let upstreams = vec![
        UpstreamSettings::new("lists", vec![lists.url()]),
        UpstreamSettings::new("broken", vec![broken.url()]),
        aliased,
    ];
    let (gateway, _jobs) = with(GatewaySettings::default(), upstreams).await;
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    lists.serve(move |request| {
        assert_eq!(request.first_line, "GET /v1/models HTTP/1.1");
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        upstream::answer(r#"{"data":[{"id":"big","meta":{"n_ctx":8192}},{"id":"qwen3-0.6b","owned_by":"them"}]}"#)
    });
    broken.serve(|_| b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec());
    let mut client = Client::connect(gateway.address).await;
    for _ in 0..3 {
        let list = client.get("/v1/models").await.json();
        let ids: Vec<&str> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, ["qwen3-0.6b", "big", "small"]);
        assert_eq!(list["data"][0]["owned_by"], "rkllm");
        assert_eq!(list["data"][1]["meta"]["n_ctx"], 8192);
        assert_eq!(list["data"][2]["object"], "model");
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(
        client.get("/v1/models/big").await.json()["owned_by"],
        "lists"
    );

    // An alias changes the name in the body and nothing else.
    client
        .post(CHAT, &[], r#"{"n":1.50 , "model" : "small","z":1}"#)
        .await;
    let mut call = silent.accept().await;
    assert_eq!(
        call.request().await.text(),
        r#"{"n":1.50 , "model" : "org/tiny:latest","z":1}"#
    );
    call.send(upstream::answer("ok")).await;
    assert_eq!(
        client.answer().await.header("x-rkgate-model"),
        Some("org/tiny:latest")
    );
    // With several upstreams to choose from, a name that none lists is unknown.
    client.post(CHAT, &[], r#"{"model":"nobody"}"#).await;
    assert_eq!(client.answer().await.status(), 404);
}

#[tokio::test]
async fn an_upstream_that_stalls_delays_the_model_list_by_two_seconds_at_most() {
    let stalled = Upstream::start().await;
    let (gateway, _jobs) = with(
        GatewaySettings::default(),
        vec![UpstreamSettings::new("stalled", vec![stalled.url()])],
    )
    .await;
    let mut client = Client::connect(gateway.address).await;
    let before = std::time::Instant::now();
    assert_eq!(
        client.get("/v1/models").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(
        before.elapsed() < Duration::from_secs(4),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn a_key_of_the_gateways_own_goes_to_no_upstream() {
    let up = Upstream::start().await;
    let settings = GatewaySettings {
        keys: Some(Keys::new([("right", Sha256::digest("sk-right").into())])),
        ..GatewaySettings::default()
    };
    let upstreams = vec![UpstreamSettings::new("up", vec![up.url()])];
    let (gateway, _jobs) = with(settings, upstreams).await;
    let mut client = Client::connect(gateway.address).await;
    let key = "Authorization: Bearer sk-right";
    client.post(CHAT, &[key], r#"{"model":"m"}"#).await;
    let request = up.accept().await.request().await;
    let mut names = request.headers.iter().map(|(name, _)| name.as_str());
    assert!(names.all(|name| name != "authorization"));
}

#[tokio::test]
async fn an_upstream_with_a_key_gets_it_instead_of_the_clients() {
    let up = Upstream::start().await;
    let mut settings = UpstreamSettings::new("up", vec![up.url()]);
    settings.api_key = Some("sk-ours".to_owned());
    let (gateway, _jobs) = with(GatewaySettings::default(), vec![settings]).await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(CHAT, &["Authorization: Bearer theirs"], r#"{"model":"m"}"#)
        .await;
    let mut call = up.accept().await;
    let request = call.request().await;
    let keys: Vec<&(String, String)> = request
        .headers
        .iter()
        .filter(|(name, _)| name == "authorization")
        .collect();
    assert_eq!(
        keys,
        [&("authorization".to_owned(), "Bearer sk-ours".to_owned())]
    );
}
