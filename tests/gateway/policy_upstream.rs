//! What the policy decides, as upstreams see it, and what becomes of their answers.

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use rkgate::{
    gateway::{GatewaySettings, ModelAlias, UpstreamSettings},
    wire::openai::ThinkSwitch,
};
use serde_json::{Value, json};

use crate::kit::{
    client::Client,
    engine::scripted,
    gateway::{Running, local_rules},
    message::Message,
    upstream::{self, EVENTS, Upstream},
};

const CHAT: &str = "/v1/chat/completions";

/// A gateway before an upstream that lists a Qwen3 and a model that nobody knows, and says this of everything else.
async fn gateway(
    switch: ThinkSwitch,
    rules: &str,
    policies: &str,
    says: impl Fn(Message) -> Vec<u8> + Send + Sync + 'static,
) -> (Running, tempfile::TempDir) {
    let upstream = Upstream::start().await;
    let settings = UpstreamSettings {
        thinking: switch,
        ..UpstreamSettings::new("up", vec![upstream.url()])
    };
    upstream.serve(move |request| match request.first_line.as_str() {
        "GET /v1/models HTTP/1.1" => {
            upstream::answer(r#"{"data":[{"id":"Qwen/Qwen3-8B"},{"id":"unknown-70b"}]}"#)
        }
        _ => says(request),
    });
    let dir = local_rules(rules, policies);
    let (engine, _) = scripted(&[]);
    let running = Running::with_files(
        dir.path(),
        GatewaySettings::default(),
        engine,
        vec![settings],
    )
    .await;
    // The policy knows a listed model from here on.
    Client::connect(running.address)
        .await
        .get("/v1/models")
        .await;
    (running, dir)
}

/// One that says what it was asked.
async fn echo(switch: ThinkSwitch) -> (Running, tempfile::TempDir) {
    gateway(switch, "", "", |request| upstream::answer(request.body)).await
}

async fn asked(gateway: &Running, headers: &[&str], body: &str) -> Message {
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, headers, body).await;
    client.answer().await
}

fn saying(content: &str) -> Vec<u8> {
    let message = json!({"role": "assistant", "content": content});
    let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    upstream::answer(json!({"id": "x", "model": "theirs", "choices": choices}).to_string())
}

#[tokio::test]
async fn a_model_that_nobody_knows_gets_a_chat_byte_for_byte() {
    let (gateway, _dir) = echo(ThinkSwitch::None).await;
    let body = r#"{ "model":"unknown-70b","n":1, "temperature":1.20,"x":1e3,"messages":[{"role":"user","content":"h\u00e9"}]}"#;
    let answer = asked(&gateway, &["Accept-Encoding: gzip"], body).await;
    assert_eq!(answer.text(), body);
    assert_eq!(answer.header("x-rkgate-model"), Some("unknown-70b"));
    // A body that nobody can read is the upstream's to judge.
    let odd = r#"{"model":"unknown-70b","messages":"none"}"#;
    assert_eq!(asked(&gateway, &[], odd).await.text(), odd);
}

#[tokio::test]
async fn a_known_family_gets_its_profile_and_the_rest_of_the_body_stays() {
    let (gateway, _dir) = echo(ThinkSwitch::None).await;
    let body = r#"{"model":"Qwen/Qwen3-8B","temperature":0,"x":1e3,"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hi \u00e9"}]}"#;
    let answer = asked(&gateway, &["x-rkgate-sampling: 1"], body).await;
    let sent = answer.text();
    assert!(sent.contains(r#""x":1e3"#), "{sent}");
    assert!(
        sent.contains(r#"{"role":"user","content":"Hi \u00e9"}"#),
        "{sent}"
    );
    let sent = answer.json();
    assert_eq!(
        (&sent["temperature"], &sent["top_p"]),
        (&json!(0.1), &json!(0.95))
    );
    let told: Value = serde_json::from_str(answer.header("x-rkgate-sampling").unwrap()).unwrap();
    assert_eq!(told["temperature"], json!(0.1));
    assert_eq!(told["profile"], "qwen3.thinking");
    // It was not told to think.
    assert_eq!(told.get("thinking"), None);
}

#[tokio::test]
async fn thinking_does_not_go_back_to_an_upstream() {
    let (gateway, _dir) = echo(ThinkSwitch::None).await;
    let body = json!({"model": "unknown-70b", "messages": [
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "<think>\nTwo and two.\n</think>\n\nIt is 4."},
        {"role": "user", "content": "And 3 + 3?"},
    ]});
    let sent = asked(&gateway, &[], &body.to_string()).await.json();
    assert_eq!(sent["messages"][1]["content"], "It is 4.");
}

#[tokio::test]
async fn the_switch_is_told_in_the_upstreams_own_way() {
    let typed = "2 + 2? /no_think";
    for (switch, content, fields) in [
        (
            ThinkSwitch::ChatTemplateKwargs,
            "2 + 2?",
            json!({"chat_template_kwargs": {"enable_thinking": false}}),
        ),
        (ThinkSwitch::Think, "2 + 2?", json!({"think": false})),
        (ThinkSwitch::NoThink, "2 + 2? /no_think", json!({})),
        // Nothing else would tell it.
        (ThinkSwitch::None, typed, json!({})),
    ] {
        let (gateway, _dir) = echo(switch).await;
        let body =
            json!({"model": "Qwen/Qwen3-8B", "messages": [{"role": "user", "content": typed}]});
        let sent = asked(&gateway, &[], &body.to_string()).await.json();
        let last = sent["messages"].as_array().unwrap().last().unwrap();
        assert_eq!(last["content"], content, "{switch:?}");
        for name in ["chat_template_kwargs", "think"] {
            assert_eq!(sent.get(name), fields.get(name), "{switch:?}");
        }
    }
}

#[tokio::test]
async fn answers_to_tasks_are_mended_and_others_are_not_looked_at() {
    let says = "<think>Hm { }</think>Here: {'title': 'Heat'}";
    let (gateway, _dir) = gateway(ThinkSwitch::None, "", "", move |request| {
        let encoding = request.header("accept-encoding").unwrap();
        assert!(["identity", "gzip"].contains(&encoding), "{encoding}");
        saying(&format!("{encoding}|{says}"))
    })
    .await;
    let body = r#"{"model":"unknown-70b","messages":[{"role":"user","content":"A title"}]}"#;
    let content = |answer: &Message| answer.json()["choices"][0]["message"]["content"].clone();
    let task = [
        "X-OpenWebUI-Task: title_generation",
        "Accept-Encoding: gzip",
    ];
    let answer = asked(&gateway, &task, body).await;
    assert_eq!(content(&answer), r#"{"title":"Heat"}"#);
    assert_eq!(answer.json()["model"], "theirs");
    let answer = asked(&gateway, &task[1..], body).await;
    assert_eq!(content(&answer), format!("gzip|{says}"));
}

#[tokio::test]
async fn what_cannot_be_read_passes_as_it_came() {
    let (gateway, _dir) = gateway(ThinkSwitch::None, "", "", |request| {
        let head = match request.header("x-case").unwrap() {
            "encoded" => "200 OK\r\nContent-Type: application/json\r\nContent-Encoding: br",
            "failed" => "500 No\r\nContent-Type: application/json",
            _ => "200 OK\r\nContent-Type: text/plain",
        };
        format!("HTTP/1.1 {head}\r\nContent-Length: 4\r\n\r\n{{\"a\"").into_bytes()
    })
    .await;
    let body = r#"{"model":"unknown-70b","messages":[{"role":"user","content":"A title"}]}"#;
    for (case, status) in [("encoded", 200), ("failed", 500), ("text", 200)] {
        let case = format!("X-Case: {case}");
        let headers = ["X-OpenWebUI-Task: title_generation", &case];
        let answer = asked(&gateway, &headers, body).await;
        assert_eq!(
            (answer.status(), answer.text()),
            (status, "{\"a\""),
            "{case}"
        );
    }
}

/// Packed with gzip, though nobody asked for it.
fn packed(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn what_comes_packed_is_changed_as_well() {
    let (gateway, _dir) = gateway(ThinkSwitch::None, "", "", |request| {
        let message = r#"{"role":"assistant","content":"<think>Hm.</think>{\"title\": \"A walk\"}"}"#;
        let choice = |name: &str| format!(r#"{{"choices":[{{"index":0,"{name}":{message},"finish_reason":"stop"}}]}}"#);
        let (kind, body) = match request.header("x-case").unwrap() {
            "whole" => ("application/json", choice("message")),
            _ => ("text/event-stream", format!("data: {}\n\ndata: [DONE]\n\n", choice("delta"))),
        };
        let body = if request.header("x-case") == Some("broken") { body.into_bytes() } else { packed(&body) };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    })
    .await;
    let body = r#"{"model":"unknown-70b","messages":[{"role":"user","content":"A title"}]}"#;
    for case in ["whole", "stream", "broken"] {
        let header = format!("X-Case: {case}");
        let answer = asked(
            &gateway,
            &["X-OpenWebUI-Task: title_generation", &header],
            body,
        )
        .await;
        assert_eq!(answer.header("content-encoding"), None, "{case}");
        let text = answer.text();
        assert!(!text.contains("Hm."), "{case}: {text}");
        let expected = if case == "broken" {
            "no gzip"
        } else {
            "A walk"
        };
        assert!(text.contains(expected), "{case}: {text}");
    }
}

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"model\":\"theirs\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

#[tokio::test]
async fn thinking_in_a_chats_text_is_told_apart_where_a_rule_says_so() {
    let says = "<think>\nHm\n</think>\n\nHi";
    let rule = "[[answer]]\nid = \"local.think\"\non = [\"chat\"]\nwhen = { upstream = true }\nthink = \"reasoning\"\n";
    for (rule, told) in [("", ("", says)), (rule, ("Hm\n", "Hi"))] {
        let (gateway, _dir) = gateway(ThinkSwitch::None, rule, "", move |request| {
            let asked: Value = serde_json::from_slice(&request.body).unwrap();
            if asked.get("stream").is_none() {
                return saying(says);
            }
            let letters = says.chars().map(|letter| {
                let delta = json!({"content": letter.to_string()});
                chunk(&delta.to_string(), "null")
            });
            let stream =
                letters.collect::<String>() + &chunk("{}", "\"stop\"") + "data: [DONE]\n\n";
            format!("{EVENTS}{:x}\r\n{stream}\r\n0\r\n\r\n", stream.len()).into_bytes()
        })
        .await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let whole = r#"{"model":"unknown-70b","messages":[{"role":"user","content":"Hi"}]}"#;
        let answer = asked(&gateway, &[], whole).await.json();
        let message = &answer["choices"][0]["message"];
        let said = (
            text(&message["reasoning_content"]),
            text(&message["content"]),
        );
        assert_eq!((&*said.0, &*said.1), told);
        let streamed = whole.replacen('{', "{\"stream\":true,", 1);
        let events = asked(&gateway, &[], &streamed).await.events();
        let mut said = (String::new(), String::new());
        for event in events.iter().filter(|event| *event != "[DONE]") {
            let chunk: Value = serde_json::from_str(event).unwrap();
            let delta = &chunk["choices"][0]["delta"];
            said.0 += &text(&delta["reasoning_content"]);
            said.1 += &text(&delta["content"]);
        }
        assert_eq!((&*said.0, &*said.1), told);
    }
}

#[tokio::test]
async fn a_streamed_task_loses_its_thinking_however_it_is_cut() {
    let (gateway, _dir) = gateway(ThinkSwitch::None, "", "", |_| {
        let stream = [
            chunk(r#"{"role":"assistant","reasoning_content":"Hm"}"#, "null"),
            chunk(r#"{"content":"Smi"}"#, "null"),
            chunk(r#"{"content":"le"}"#, "null"),
            chunk("{}", "\"stop\""),
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat();
        let (first, second) = stream.split_at(stream.len() / 2 + 3);
        let pieces = [first, second].map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
        format!("{EVENTS}{}{}0\r\n\r\n", pieces[0], pieces[1]).into_bytes()
    })
    .await;
    let body =
        r#"{"model":"unknown-70b","stream":true,"messages":[{"role":"user","content":"Happy"}]}"#;
    let events = asked(&gateway, &["X-OpenWebUI-Task: emoji_generation"], body)
        .await
        .events();
    let told: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(told, "Smile");
    assert!(
        !events.iter().any(|event| event.contains("Hm")),
        "{events:?}"
    );
    assert_eq!(events.last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn a_rule_that_ends_an_answer_leaves_the_upstream() {
    let rules = "[[answer]]\nid = \"local.stop\"\non = [\"chat\"]\nstop = [\"HALT\"]\n";
    let dir = local_rules(rules, "");
    let upstream = Upstream::start().await;
    let settings = UpstreamSettings::new("up", vec![upstream.url()]);
    let gateway = Running::with_files(
        dir.path(),
        GatewaySettings::default(),
        scripted(&[]).0,
        vec![settings],
    )
    .await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(
            CHAT,
            &[],
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Go"}]}"#,
        )
        .await;
    let mut call = upstream.accept().await;
    call.request().await;
    call.send(EVENTS).await;
    call.chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one HALT two\"}}]}\n\n")
        .await;
    let events = client.answer().await.events();
    assert!(events[0].contains(r#""content":"one ""#), "{events:?}");
    assert!(
        events[1].contains(r#""finish_reason":"stop""#),
        "{events:?}"
    );
    assert_eq!(events[2..], ["[DONE]"]);
    assert!(call.closed().await);
}

#[tokio::test]
async fn another_model_of_the_upstream_answers_under_the_name_that_was_asked_for() {
    let policies = "[[route]]\nid = \"local.all\"\nto = [\"Qwen/Qwen3-8B\"]\n";
    let (gateway, _dir) = gateway(ThinkSwitch::None, "", policies, |request| {
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        saying(sent["model"].as_str().unwrap())
    })
    .await;
    let body = r#"{"model":"unknown-70b","messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = asked(&gateway, &[], body).await;
    assert_eq!(answer.header("x-rkgate-model"), Some("Qwen/Qwen3-8B"));
    assert_eq!(answer.json()["model"], "unknown-70b");
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "Qwen/Qwen3-8B"
    );
}

#[tokio::test]
async fn an_alias_is_judged_by_the_model_behind_it() {
    let upstream = Upstream::start().await;
    let settings = UpstreamSettings {
        models: vec![ModelAlias {
            alias: "clever".to_owned(),
            model: "qwen3:8b".to_owned(),
        }],
        ..UpstreamSettings::new("up", vec![upstream.url()])
    };
    upstream.serve(|request| upstream::answer(&request.body));
    let (engine, _) = scripted(&[]);
    let gateway = Running::start(GatewaySettings::default(), engine, vec![settings]).await;
    let body = r#"{"model":"clever","messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = asked(&gateway, &[], body).await;
    assert_eq!(answer.header("x-rkgate-model"), Some("qwen3:8b"));
    assert_eq!(answer.json()["model"], "qwen3:8b");
    assert_eq!(answer.json()["top_k"], 20);
}

#[tokio::test]
async fn limits_hold_for_a_text_to_go_on_with() {
    let (gateway, _dir) = echo(ThinkSwitch::ChatTemplateKwargs).await;
    let mut client = Client::connect(gateway.address).await;
    let body =
        r#"{"model":"Qwen/Qwen3-8B","prompt":"Once /no_think","temperature":9.0,"max_tokens":16}"#;
    client.post("/v1/completions", &[], body).await;
    let sent = client.answer().await.json();
    assert_eq!(sent["prompt"], "Once /no_think");
    assert_eq!(
        (&sent["temperature"], &sent["max_tokens"]),
        (&json!(1.5), &json!(16))
    );
    assert_eq!(sent.get("messages"), None);
    assert_eq!(sent.get("chat_template_kwargs"), None);
}

#[tokio::test]
async fn a_task_whose_upstream_is_late_gets_the_answer_of_last_resort() {
    let policies = "[[change]]\nid = \"after-chat\"\nset = { deadline = \"50ms\" }\n";
    let dir = local_rules("", policies);
    let upstream = Upstream::start().await;
    let settings = UpstreamSettings {
        first_byte_timeout: Some(Duration::from_secs(30)),
        ..UpstreamSettings::new("up", vec![upstream.url()])
    };
    let gateway = Running::with_files(
        dir.path(),
        GatewaySettings::default(),
        scripted(&[]).0,
        vec![settings],
    )
    .await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"A title"}]}"#;
    for says in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ] {
        let mut client = Client::connect(gateway.address).await;
        client
            .post(CHAT, &["X-OpenWebUI-Task: title_generation"], body)
            .await;
        let mut call = upstream.accept().await;
        call.request().await;
        call.send(says).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(
            answer.json()["choices"][0]["message"]["content"],
            r#"{"title": ""}"#
        );
        assert!(call.closed().await);
    }
}
