//! Upstreams that refuse, reset, stall, talk nonsense or lose their clients.

use std::time::Duration;

use rkgate::gateway::{GatewaySettings, UpstreamSettings};

use crate::kit::{
    client::{Client, post},
    engine::scripted,
    gateway::Running,
    message::Message,
    upstream::{self, EVENTS, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"stream":true,"model":"m"}"#;

async fn with(upstream: UpstreamSettings) -> Running {
    let (engine, _) = scripted(&[]);
    Running::start(GatewaySettings::default(), engine, vec![upstream]).await
}

fn assert_error(answer: &Message, status: u16, code: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let error = &answer.json()["error"];
    assert_eq!(error["code"], code);
    assert!(
        error["message"].as_str().unwrap().contains("`up`"),
        "{error}"
    );
}

/// An address where nobody listens.
async fn deserted() -> url::Url {
    Upstream::start().await.url()
}

#[tokio::test]
async fn an_upstream_that_refuses() {
    let gateway = with(UpstreamSettings::new("up", vec![deserted().await])).await;
    let answer = post(gateway.address, CHAT, BODY).await;
    assert_error(&answer, 502, "upstream_unreachable");
    let metrics = gateway.metrics.encode().unwrap();
    assert!(
        metrics.contains("rkgate_upstream_errors_total{upstream=\"up\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_next_address_is_tried_and_remembered() {
    let upstream = Upstream::start().await;
    let urls = vec![deserted().await, upstream.url()];
    let gateway = with(UpstreamSettings::new("up", urls)).await;
    upstream.serve(|request| upstream::answer(&request.body));
    for _ in 0..2 {
        assert_eq!(post(gateway.address, CHAT, BODY).await.text(), BODY);
    }
}

#[tokio::test]
async fn a_reset_of_a_reused_connection_is_tried_again_with_the_whole_body() {
    let upstream = Upstream::start().await;
    let gateway = with(UpstreamSettings::new("up", vec![upstream.url()])).await;
    let mut client = Client::connect(gateway.address).await;
    let body = format!(r#"{{"model":"m","pad":"{}"}}"#, "x".repeat(100_000));
    client.post(CHAT, &[], &body).await;
    let mut call = upstream.accept().await;
    for round in 0..4 {
        call.request().await;
        call.send(upstream::answer("ok")).await;
        assert_eq!(client.answer().await.text(), "ok", "{round}");
        client.post(CHAT, &[], &body).await;
        // The gateway uses the kept connection; it sees the reset only after it has begun to send.
        call.reader.header().await.unwrap();
        call.reset();
        call = upstream.accept().await;
    }
    assert_eq!(call.request().await.text(), body);
    call.send(upstream::answer("at last")).await;
    assert_eq!(client.answer().await.text(), "at last");
}

#[tokio::test]
async fn a_new_connection_that_is_reset_is_not_tried_again() {
    let upstream = Upstream::start().await;
    let gateway = with(UpstreamSettings::new("up", vec![upstream.url()])).await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], BODY).await;
    let mut call = upstream.accept().await;
    call.request().await;
    call.reset();
    assert_error(&client.answer().await, 502, "upstream_closed");
}

#[tokio::test]
async fn nonsense_instead_of_http() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "\0\x01\x02\x03",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let upstream = Upstream::start().await;
        let gateway = with(UpstreamSettings::new("up", vec![upstream.url()])).await;
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[], BODY).await;
        let mut call = upstream.accept().await;
        call.request().await;
        call.send(nonsense).await;
        assert_error(&client.answer().await, 502, "upstream_invalid_response");
    }
}

#[tokio::test]
async fn an_upstream_that_stalls() {
    let upstream = Upstream::start().await;
    let mut settings = UpstreamSettings::new("up", vec![upstream.url()]);
    settings.first_byte_timeout = Some(Duration::from_millis(50));
    settings.read_timeout = Duration::from_millis(50);
    let gateway = with(settings).await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], BODY).await;
    let mut call = upstream.accept().await;
    call.request().await;
    assert_error(&client.answer().await, 504, "upstream_timeout");
    assert!(call.closed().await);

    client.post(CHAT, &[], BODY).await;
    let mut call = upstream.accept().await;
    call.request().await;
    call.send(EVENTS).await;
    call.chunk("data: 1\n\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 200);
    assert_ends_with_error(&answer, "upstream_timeout");
}

fn assert_ends_with_error(answer: &Message, code: &str) {
    let events = answer.events();
    let [.., error, done] = events.as_slice() else {
        panic!("{events:?}")
    };
    let error: serde_json::Value = serde_json::from_str(error).unwrap();
    assert_eq!(error["error"]["code"], code);
    assert_eq!(error.get("choices"), None);
    assert_eq!(done, "[DONE]");
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error_event() {
    for (cut_in, expected) in [
        ("data: {\"a\":1}\n\n", "data: {\"a\":1}"),
        ("data: {\"a\"", "data: {\"a\""),
    ] {
        let upstream = Upstream::start().await;
        let gateway = with(UpstreamSettings::new("up", vec![upstream.url()])).await;
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[], BODY).await;
        let mut call = upstream.accept().await;
        call.request().await;
        call.send(EVENTS).await;
        call.chunk(cut_in).await;
        drop(call);
        let answer = client.answer().await;
        assert_eq!(answer.text().split("\n\n").next(), Some(expected));
        assert_ends_with_error(&answer, "upstream_closed");
        // The stream was ended properly: the connection serves on.
        assert_eq!(client.get("/").await.status(), 200);
    }
}

#[tokio::test]
async fn a_cut_answer_that_is_no_stream_is_visibly_cut() {
    let upstream = Upstream::start().await;
    let gateway = with(UpstreamSettings::new("up", vec![upstream.url()])).await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], BODY).await;
    let mut call = upstream.accept().await;
    call.request().await;
    call.send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\":",
    )
    .await;
    drop(call);
    assert!(client.try_answer().await.is_err());
}

#[tokio::test]
async fn errors_of_the_upstream_pass_as_they_are() {
    let upstream = Upstream::start().await;
    let gateway = with(UpstreamSettings::new("up", vec![upstream.url()])).await;
    let body = r#"{"error":{"message":"slow down","type":"x","param":null,"code":7}}"#;
    let sent = format!(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    upstream.serve(move |_| sent.clone().into_bytes());
    let answer = post(gateway.address, CHAT, BODY).await;
    assert_eq!((answer.status(), answer.text()), (429, body));
    assert_eq!(answer.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_upstream_connection_along() {
    let upstream = Upstream::start().await;
    let gateway = with(UpstreamSettings::new("up", vec![upstream.url()])).await;

    // While it uploads: the upstream never hears of it.
    let mut client = Client::connect(gateway.address).await;
    client
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{\"mo"
        ))
        .await;
    drop(client);

    // While the upstream thinks.
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], BODY).await;
    let mut call = upstream.accept().await;
    assert_eq!(call.request().await.text(), BODY);
    drop(client);
    assert!(call.closed().await);

    // While the answer comes.
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], BODY).await;
    let mut call = upstream.accept().await;
    call.request().await;
    call.send(EVENTS).await;
    call.chunk("data: 1\n\n").await;
    client.header().await;
    client.chunk().await;
    drop(client);
    assert!(call.closed().await);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let upstream = Upstream::start().await;
    let (engine, _) = scripted(&[]);
    let settings = GatewaySettings {
        write_timeout: Duration::from_millis(100),
        ..GatewaySettings::default()
    };
    let up = UpstreamSettings::new("up", vec![upstream.url()]);
    let gateway = Running::start(settings, engine, vec![up]).await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], BODY).await;
    let mut call = upstream.accept().await;
    call.request().await;
    call.send(EVENTS).await;
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    // Ends when the gateway closes; a client that reads nothing keeps no worker busy.
    crate::kit::soon("the upstream to be let go", async {
        use tokio::io::AsyncWriteExt;
        while call.writer.write_all(chunk.as_bytes()).await.is_ok() {}
    })
    .await;
}
