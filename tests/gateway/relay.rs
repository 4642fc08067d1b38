//! What passes through to an upstream and back.

use std::path::{Path, PathBuf};

use rkgate::gateway::{GatewaySettings, UpstreamSettings};
use serde_json::Value;

use crate::kit::{
    client::{Client, post},
    engine::scripted,
    gateway::{Running, no_rules},
    upstream::{self, EVENTS, Upstream},
};

const CHAT: &str = "/v1/chat/completions";

/// A gateway before an upstream that answers with the body that it got.
async fn echo() -> Running {
    let upstream = Upstream::start().await;
    let url = upstream.url();
    upstream.serve(|request| upstream::answer(&request.body));
    Running::relaying(url).await
}

fn body_of(size: usize) -> Vec<u8> {
    let mut body =
        br#"{"stream":false,"model":"m","n":1.50,"z":[],"a":"\u00e9","messages":[{"content":""#
            .to_vec();
    body.extend((0..size).map(|i| b"abcdefghij"[i % 10]));
    body.extend(br#""}]}"#);
    body
}

#[tokio::test]
async fn bodies_of_all_sizes_pass_byte_for_byte_on_one_connection() {
    let gateway = echo().await;
    let mut client = Client::connect(gateway.address).await;
    for size in [0, 1, 8_000, 60_000, 65_536, 300_000, 5_000_000, 20_000_000] {
        let body = body_of(size);
        client.post(CHAT, &[], &body).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 200, "{size}");
        assert!(answer.body == body, "{size}");
    }
}

#[tokio::test]
async fn what_no_rule_changes_passes_byte_for_byte() {
    let upstream = Upstream::start().await;
    let settings = UpstreamSettings::new("up", vec![upstream.url()]);
    upstream.serve(|request| upstream::answer(&request.body));
    let gateway = Running::with_files(
        no_rules().path(),
        GatewaySettings::default(),
        scripted(&[]).0,
        vec![settings],
    )
    .await;
    let mut client = Client::connect(gateway.address).await;
    let mut sent = captured();
    for name in ["openwebui", "openwebui/embeddings"] {
        sent.extend(recorded(name));
    }
    assert_eq!(sent.len(), 67 + 17 + 4);
    for Sent { name, path, body } in sent {
        client.post(&path, &[], &body).await;
        assert_eq!(client.answer().await.text(), body, "{name}");
    }
}

/// A body of Open WebUI's.
struct Sent {
    name: String,
    path: String,
    body: String,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn read(file: impl AsRef<Path>) -> String {
    std::fs::read_to_string(fixtures().join(file)).unwrap()
}

/// All chats and tasks that were captured. Open WebUI writes JSON without spaces and escapes as few letters as it can, as
/// we do here.
fn captured() -> Vec<Sent> {
    let tools: Value = serde_json::from_str(&read("policy/tools.json")).unwrap();
    let definitions = tools["definitions"].as_array().unwrap();
    let named = |name: &Value| {
        let mut all = definitions.iter();
        all.find(|tool| tool["function"]["name"] == *name).unwrap()
    };
    let request = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let mut body = line["request"].take();
        if let Some(set) = line["tools"].as_str() {
            let names = tools["sets"][set].as_array().unwrap();
            body["tools"] = names.iter().map(named).cloned().collect();
        }
        Sent {
            name: line["name"].as_str().unwrap().to_owned(),
            path: CHAT.to_owned(),
            body: body.to_string(),
        }
    };
    read("policy/captures.jsonl").lines().map(request).collect()
}

/// Requests of a directory, as they were on the wire.
fn recorded(directory: &str) -> Vec<Sent> {
    let files = std::fs::read_dir(fixtures().join(directory)).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let requests = files.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    let request = |path: PathBuf| {
        let request: Value = serde_json::from_str(&read(&path)).unwrap();
        let field = |name: &str| request[name].as_str().unwrap().to_owned();
        Sent {
            name: path.display().to_string(),
            path: field("path"),
            body: field("body_raw"),
        }
    };
    requests.map(request).collect()
}

#[tokio::test]
async fn headers_pass_less_those_of_the_connection() {
    let upstream = Upstream::start().await;
    let gateway = Running::relaying(upstream.url()).await;
    let mut client = Client::connect(gateway.address).await;
    let headers = [
        "Authorization: Bearer theirs",
        "X-Custom-CASE: kept  as is",
        "Accept-Encoding: gzip, br",
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Proxy-Authorization: Basic x",
    ];
    client
        .post("/v1/chat/completions?a=b%20c", &headers, r#"{"model":"m"}"#)
        .await;
    let mut call = upstream.accept().await;
    let request = call.request().await;
    assert_eq!(
        request.first_line,
        "POST /v1/chat/completions?a=b%20c HTTP/1.1"
    );
    let names: Vec<&str> = request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "host",
        "content-type",
        "authorization",
        "x-custom-case",
        "accept-encoding",
        "content-length",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        request.header("host"),
        Some(upstream.address().to_string().as_str())
    );
    assert_eq!(request.header("authorization"), Some("Bearer theirs"));
    assert_eq!(request.header("x-custom-case"), Some("kept  as is"));

    call.send("HTTP/1.1 418 I'm a teapot\r\nX-Up: 1\r\nConnection: X-Gone\r\nX-Gone: 1\r\nContent-Length: 2\r\n\r\nno").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text()), (418, "no"));
    assert_eq!(answer.header("x-up"), Some("1"));
    assert_eq!(answer.header("x-gone"), None);
    assert_eq!(answer.header("x-rkgate-class"), Some("chat"));
    assert_eq!(answer.header("x-rkgate-model"), Some("m"));
    assert_eq!(answer.header("x-rkgate-policy"), Some("1"));
    assert!(
        answer
            .header("x-request-id")
            .is_some_and(|id| id.starts_with("req-"))
    );
}

#[tokio::test]
async fn a_chunked_upload_arrives_with_its_length() {
    let upstream = Upstream::start().await;
    let gateway = Running::relaying(upstream.url()).await;
    let mut client = Client::connect(gateway.address).await;
    let body = body_of(300_000);
    client
        .send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for piece in body.chunks(70_001) {
        client.send(format!("{:X};ext=1\r\n", piece.len())).await;
        client.send(piece).await;
        client.send("\r\n").await;
    }
    client.send("0\r\nX-Trailer: 1\r\n\r\n").await;
    let mut call = upstream.accept().await;
    let request = call.request().await;
    assert!(request.body == body);
    assert_eq!(request.header("transfer-encoding"), None);
    assert_eq!(
        request.header("content-length"),
        Some(body.len().to_string().as_str())
    );
    call.send(upstream::answer("ok")).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_and_the_upstream_does_not_hear_of_it() {
    let upstream = Upstream::start().await;
    let gateway = Running::relaying(upstream.url()).await;
    let mut client = Client::connect(gateway.address).await;
    let body = r#"{"model":"m"}"#;
    client
        .send(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .await;
    assert_eq!(client.header().await.status(), 100);
    client.send(body).await;
    let mut call = upstream.accept().await;
    let request = call.request().await;
    assert_eq!(request.header("expect"), None);
    assert_eq!(request.text(), body);
    call.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        .await;
    call.send(upstream::answer("ok")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
}

#[tokio::test]
async fn http_1_0_gets_its_answer_without_chunks() {
    let upstream = Upstream::start().await;
    let gateway = Running::relaying(upstream.url()).await;
    for (keep_alive, chunked) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut client = Client::connect(gateway.address).await;
        let connection = if keep_alive {
            "Connection: keep-alive\r\n"
        } else {
            ""
        };
        client
            .send(format!(
                "POST {CHAT} HTTP/1.0\r\n{connection}Content-Length: 13\r\n\r\n{{\"model\":\"m\"}}"
            ))
            .await;
        let mut call = upstream.accept().await;
        assert_eq!(
            call.request().await.first_line,
            format!("POST {CHAT} HTTP/1.1")
        );
        if chunked {
            call.send(EVENTS).await;
            call.chunk("data: 1\n\n").await;
            call.send("0\r\n\r\n").await;
        } else {
            call.send(upstream::answer("data: 1\n\n")).await;
        }
        let answer = client.answer().await;
        assert_eq!(answer.header("transfer-encoding"), None);
        assert_eq!(answer.text(), "data: 1\n\n");
        let kept = keep_alive && !chunked;
        assert_eq!(
            answer.header("connection"),
            Some(if kept { "keep-alive" } else { "close" })
        );
        // Keeps the next round from reusing this connection.
        drop(call);
    }
}

#[tokio::test]
async fn a_stream_comes_piece_by_piece() {
    let upstream = Upstream::start().await;
    let gateway = Running::relaying(upstream.url()).await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(CHAT, &[], r#"{"stream":true,"model":"m"}"#)
        .await;
    let mut call = upstream.accept().await;
    call.request().await;
    call.send(EVENTS).await;
    let header = client.header().await;
    assert_eq!(header.header("content-type"), Some("text/event-stream"));
    assert_eq!(header.header("transfer-encoding"), Some("chunked"));
    for piece in ["data: 1\n\n", "da", "ta: 2\n", "\n", "data: [DONE]\n\n"] {
        call.chunk(piece).await;
        // The upstream sends the next piece only after this one has arrived.
        assert_eq!(client.chunk().await.as_deref(), Some(piece));
    }
    call.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await, None);
    // Both connections serve the next request.
    client.post(CHAT, &[], r#"{"model":"m"}"#).await;
    call.request().await;
    call.send(upstream::answer("again")).await;
    assert_eq!(client.answer().await.text(), "again");
}

#[tokio::test]
async fn a_compressed_answer_passes_untouched() {
    let compressed: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let upstream = Upstream::start().await;
    let gateway = Running::relaying(upstream.url()).await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(CHAT, &["Accept-Encoding: gzip"], r#"{"model":"m"}"#)
        .await;
    let mut call = upstream.accept().await;
    call.request().await;
    call.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n",
        compressed.len()
    ))
    .await;
    call.send(&compressed).await;
    let answer = client.answer().await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.body == compressed);
}

#[tokio::test]
async fn answers_without_a_body_or_a_length() {
    let upstream = Upstream::start().await;
    let gateway = Running::relaying(upstream.url()).await;
    for (sent, status, body) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
            304,
            "",
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end",
            200,
            "to the end",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nto the end", 200, "to the end"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[], r#"{"model":"m"}"#).await;
        let mut call = upstream.accept().await;
        call.request().await;
        call.send(sent).await;
        drop(call);
        let mut header = client.header().await;
        if !matches!(status, 204 | 304) {
            client.reader.body(&mut header, true).await.unwrap();
        }
        assert_eq!((header.status(), header.text()), (status, body), "{sent}");
        // The connection is fit for another request.
        assert_eq!(client.get("/").await.status(), 200, "{sent}");
    }
}

#[tokio::test]
async fn an_upstream_that_answers_before_the_upload_ends_is_heard() {
    let upstream = Upstream::start().await;
    let gateway = Running::relaying(upstream.url()).await;
    let mut client = Client::connect(gateway.address).await;
    // More than the sockets' buffers hold.
    client.post(CHAT, &[], body_of(20_000_000)).await;
    let mut call = upstream.accept().await;
    call.reader.header().await.unwrap();
    call.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text()), (413, "big"));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let gateway = echo().await;
    let mut client = Client::connect(gateway.address).await;
    let mut requests = String::new();
    let bodies: Vec<String> = (0..5)
        .map(|i| format!(r#"{{"model":"m","i":{i}}}"#))
        .collect();
    for body in &bodies {
        requests += &format!(
            "POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
    client.send(requests).await;
    for body in &bodies {
        assert_eq!(client.answer().await.text(), body);
    }
}

#[tokio::test]
async fn two_hundred_clients_at_once() {
    let gateway = echo().await;
    let answers = (0..200).map(|i| {
        let body = format!(r#"{{"model":"m","i":{i},"pad":"{}"}}"#, "x".repeat(i * 100));
        async move {
            let answer = post(gateway.address, CHAT, &body).await;
            assert_eq!(answer.text(), body);
        }
    });
    futures::future::join_all(answers).await;
}
