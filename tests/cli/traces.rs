//! Traces of requests, as a collector gets them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use super::server::{Server, call};

/// A collector that takes a number of calls; gives head and body of each.
fn collector(calls: usize) -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().take(calls) {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let begin = head.len();
                assert!(stream.read_line(&mut head).unwrap() > 0, "{head:?}");
                let line = head[begin..].to_ascii_lowercase();
                if let Some(number) = line.strip_prefix("content-length:") {
                    length = number.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            sender
                .send((head, serde_json::from_slice(&body).unwrap()))
                .unwrap();
        }
    });
    (url, receiver)
}

fn ask(server: &Server, headers: &str, content: &str) -> u16 {
    let body = json!({
        "model": "qwen3-0.6b",
        "max_tokens": 8,
        "messages": [{ "role": "user", "content": content }],
    });
    let head = format!("POST /v1/chat/completions HTTP/1.1{headers}");
    call(&server.api, &head, &body.to_string()).0
}

/// An attribute's value in whatever form it has.
fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|it| it["key"] == key);
    let found = found.unwrap_or_else(|| panic!("no {key} in {span}"));
    found["value"].as_object().unwrap().values().next().unwrap()
}

fn time(span: &Value, key: &str) -> u64 {
    span[key].as_str().unwrap().parse().unwrap()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn a_collector_gets_a_trace_of_a_chat_without_its_text() {
    let (url, calls) = collector(1);
    let dir = tempfile::tempdir().unwrap();
    let env = [
        ("RKGATE_TELEMETRY__OTLP_ENDPOINT", url.as_str()),
        ("RKGATE_TELEMETRY__OTLP_HEADERS_ENV", "OTLP_HEADERS"),
        ("RKGATE_TELEMETRY__OTLP_SAMPLE_RATIO", "0.0"),
        ("OTLP_HEADERS", "x-collector-key=secret,x-tenant=kitchen"),
    ];
    let mut server = Server::start(dir.path(), &["serve"], &env);
    // Neither says that it is to be traced.
    assert_eq!(ask(&server, "", "quiet"), 200);
    let unsampled = format!("\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-00");
    assert_eq!(ask(&server, &unsampled, "quiet"), 200);
    let sampled =
        format!("\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\nX-OpenWebUI-Chat-Id: chat-7");
    assert_eq!(ask(&server, &sampled, "The secret is marzipan."), 200);
    // What has come is sent before the end.
    server.signal("TERM");
    assert!(server.wait().success());
    let (head, body) = calls.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let lower = head.to_ascii_lowercase();
    for header in [
        "x-collector-key: secret",
        "x-tenant: kitchen",
        "content-type: application/json",
    ] {
        assert!(lower.contains(header), "{header} in {head}");
    }
    assert!(!body.to_string().contains("marzipan"), "{body}");
    let resource = &body["resourceSpans"][0];
    assert_eq!(attribute(&resource["resource"], "service.name"), "rkgate");
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    let names: Vec<_> = spans
        .iter()
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["chat qwen3-0.6b", "queue", "prefill", "decode"]);
    let root = &spans[0];
    assert_eq!(root["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(root["kind"], 2);
    for (key, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("rkllm")),
        ("gen_ai.request.model", json!("qwen3-0.6b")),
        ("gen_ai.response.model", json!("qwen3-0.6b")),
        ("gen_ai.conversation.id", json!("chat-7")),
        ("gen_ai.request.max_tokens", json!("8")),
        ("gen_ai.usage.output_tokens", json!("8")),
        (
            "gen_ai.response.finish_reasons",
            json!({"values": [{"stringValue": "length"}]}),
        ),
        ("http.response.status_code", json!("200")),
        ("rkgate.class", json!("chat")),
    ] {
        assert_eq!(attribute(root, key), &value, "{key}");
    }
    assert!(attribute(root, "gen_ai.request.temperature").is_number());
    for span in spans {
        assert_eq!(span["traceId"], TRACE);
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
        let (begin, end) = (
            time(span, "startTimeUnixNano"),
            time(span, "endTimeUnixNano"),
        );
        let whole = time(root, "startTimeUnixNano")..=time(root, "endTimeUnixNano");
        assert!(
            begin <= end && whole.contains(&begin) && whole.contains(&end),
            "{span}"
        );
    }
    for part in &spans[1..] {
        assert_eq!(part["parentSpanId"], root["spanId"]);
    }
}

#[test]
fn without_a_collector_nothing_is_said_of_traces() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[]);
    let (_, metrics) = super::server::get(&server.admin, "/metrics", "");
    assert!(!metrics.contains("rkgate_traces"), "{metrics}");
}
