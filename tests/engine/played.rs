//! What `rkgate bench conversation` plays is what is configured.

use std::{fs, ops::ControlFlow, sync::Arc, time::Duration};

use rkgate::{
    bench::{Script, Setup, conversation},
    config::{Content, LogStore},
    engine::settings::AbiOverride,
    gateway::GatewaySettings,
    policy::{Platform, live::Origin},
    promptlog::{Filter, Limits, PromptLog, Reader, Settings},
};

use crate::bench::Bench;

const SCRIPT: &str = r#"
title = "A question"
model = "qwen3-1.7b"
goals = ["prefill"]

[[people]]
name  = "Ann"
turns = ["Why is the sky blue?"]
"#;

const POLICY: &str = r#"
schema = 1

[profile.mine]
temperature       = 0.31
top_p             = 0.5
top_k             = 7
min_p             = 0.0
repeat_penalty    = 1.0
frequency_penalty = 0.0
presence_penalty  = 0.0

[[model]]
match   = "qwen3-1.7b"
id      = "mine"
like    = "qwen3"
profile = { "*" = "mine" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_played_with_the_profiles_in_force() {
    // A runtime that samples as its model was loaded.
    let bench = Bench::new().abi(AbiOverride::V1_2_1);
    let dir = bench.dir.path();
    fs::create_dir(dir.join("policies")).unwrap();
    fs::write(dir.join("policies/90-mine.toml"), POLICY).unwrap();
    let place = LogStore::Sqlite(dir.join("log.sqlite"));
    let log = PromptLog::start(Settings {
        place: place.clone(),
        instance: None,
        content: Content::Full,
        opt_out: false,
        flush: Duration::from_millis(20),
        limits: Limits {
            retention: Duration::from_secs(86_400),
            max_size: 64 << 20,
        },
    });
    let log = Arc::new(log.unwrap());
    let setup = Setup {
        engine: bench.settings.clone(),
        gateway: GatewaySettings {
            log: Some(Arc::clone(&log)),
            ..GatewaySettings::default()
        },
        policy: Origin {
            rules: dir.join("rules"),
            policies: dir.join("policies"),
            platform: Platform::of_chip(None),
        },
        model: None,
        speed: 100.0,
    };
    let script = Script::parse(SCRIPT).unwrap();
    conversation(script, setup, |_, _| {}).await.unwrap();
    log.close();
    let mut used = Vec::new();
    let mut reader = Reader::open(&place).unwrap();
    let read = reader.each(&Filter::default(), |_, record| {
        let content = record.content.unwrap();
        if record.profile.as_deref() == Some("mine") {
            used.push((content.sampling.temperature, content.sampling.top_k));
        }
        ControlFlow::Continue(())
    });
    read.unwrap();
    assert!(used.len() >= 2, "the warm-up and the question");
    for (temperature, top_k) in used {
        assert!((temperature.unwrap() - 0.31).abs() < 1e-6 && top_k == Some(7));
    }
}
