//! What the policy decides, as clients and the engine see it.

use std::time::Duration;

use rkgate::{
    chat::{FinishReason, Request, Sampling, Usage},
    engine::{Completion, EngineError, Progress, Prompt, Started, Withdrawal},
    gateway::{GatewaySettings, Keys, UpstreamSettings},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::kit::{
    client::Client,
    engine::{Jobs, Submission, scripted},
    gateway::{Running, local_rules},
    message::Message,
    upstream::{self, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const LARGE: &str = "qwen3-1.7b";
const SMALL: &str = "qwen3-0.6b";
const MODELS: &[&str] = &["Qwen3-1.7B-w8a8-rk3588", "Qwen3-0.6B-w8a8-rk3588"];

/// The prompt of a title task as Open WebUI sends it.
const TITLE: &str = "### Task:\nGenerate a concise title summarizing the chat history.\n### Output:\nJSON format: { \"title\": \"your concise title here\" }\n### Chat History:\n<chat_history>\nUSER: How do heat pumps work?\nASSISTANT: They move heat.\n</chat_history>";

async fn gateway() -> (Running, Jobs) {
    let (engine, jobs) = scripted(MODELS);
    let gateway = Running::start(GatewaySettings::default(), engine, Vec::new()).await;
    (gateway, jobs)
}

fn said(model: &str, text: &str, more: Value) -> String {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body.to_string()
}

fn title() -> String {
    said(LARGE, TITLE, json!({"stream": false, "temperature": 1.4}))
}

fn prompt(submission: &Submission) -> Request {
    match &submission.job.prompt {
        Prompt::Chat(request) => (**request).clone(),
        other @ (Prompt::Text(_) | Prompt::Embed(_)) => panic!("no chat but {other:?}"),
    }
}

fn started() -> Progress {
    Progress::Started(Started {
        queued: Duration::ZERO,
        sampling: Sampling {
            temperature: Some(0.25),
            top_k: Some(7),
            ..Sampling::default()
        },
    })
}

fn done() -> Progress {
    Progress::Done(Completion {
        finish: FinishReason::Stop,
        usage: Usage::default(),
        prefill: Duration::ZERO,
        decode: Duration::ZERO,
    })
}

fn withdrawn() -> EngineError {
    EngineError::Withdrawn {
        why: Withdrawal::Deadline,
        retry_after: Duration::from_secs(1),
    }
}

/// The answer when the engine says this.
async fn answered(
    gateway: &Running,
    jobs: &Jobs,
    headers: &[&str],
    body: &str,
    says: &str,
) -> Message {
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, headers, body).await;
    let run = jobs.next().await.accept();
    run.send(started()).await;
    run.piece(says).await;
    run.send(done()).await;
    client.answer().await
}

fn content(answer: &Message) -> String {
    let content = &answer.json()["choices"][0]["message"]["content"];
    content.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_title_is_told_from_a_chat_by_header_and_by_words() {
    let (gateway, jobs) = gateway().await;
    let chat = said(LARGE, "Give me a concise title for this chat", json!({}));
    let task = ["X-OpenWebUI-Task: title_generation"];
    for (headers, body, class) in [
        (&[][..], title(), "task/title_generation"),
        (&task, chat.clone(), "task/title_generation"),
        (&[], chat.clone(), "chat"),
        (&["X-OpenWebUI-Task: "], chat, "chat"),
    ] {
        let answer = answered(&gateway, &jobs, headers, &body, "Heat pumps").await;
        assert_eq!(answer.header("x-rkgate-class"), Some(class), "{body}");
        assert_eq!(answer.header("x-rkgate-policy"), Some("1"));
        assert_eq!(answer.header("x-rkgate-queue-ms"), Some("0"));
    }
    let metrics = gateway.metrics.encode().unwrap();
    let counted =
        r#"rkgate_requests_total{class="task/title_generation",model="qwen3-0.6b",status="200"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
    // Also what is answered before anything is decided has the header.
    let mut client = Client::connect(gateway.address).await;
    let list = client.get("/v1/models").await;
    assert_eq!(list.header("x-rkgate-policy"), Some("1"));
}

#[tokio::test]
async fn tasks_go_to_the_small_model_without_thinking_and_chats_do_not() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], title()).await;
    let task = jobs.next().await;
    assert_eq!(task.job.model, SMALL);
    // Those of the answer, and room for thinking that nobody is to see.
    assert_eq!(task.job.max_tokens, Some(64 + 512));
    // The preset's temperature is for its chats.
    assert_eq!(task.job.sampling.temperature, Some(0.7));
    assert_eq!(&*task.job.queue.name, "after-chat");
    assert!(task.job.queue.fallback && task.job.queue.deadline.is_some());
    let request = prompt(&task);
    assert_eq!(request.thinking, Some(false));
    let text = request.messages.last().unwrap().content.text();
    assert!(
        text.contains("How do heat pumps work?") && !text.contains("### Task"),
        "{text}"
    );
    let run = task.accept();
    run.send(started()).await;
    run.piece("Heat pumps").await;
    run.send(done()).await;
    let answer = client.answer().await;
    assert_eq!(answer.header("x-rkgate-model"), Some(SMALL));
    // The client reads the name that it asked for.
    assert_eq!(answer.json()["model"], LARGE);

    let headers = ["X-OpenWebUI-User-Id: u1", "X-OpenWebUI-Chat-Id: c1"];
    client
        .post(CHAT, &headers, said(LARGE, "Hello", json!({})))
        .await;
    let chat = jobs.next().await;
    assert_eq!(chat.job.model, LARGE);
    assert_eq!((&*chat.job.queue.name, chat.job.queue.urgency), ("chat", 0));
    assert_eq!(chat.job.queue.deadline, None);
    assert_eq!(chat.job.origin.user.as_deref(), Some("u1"));
    assert_eq!(chat.job.origin.conversation.as_deref(), Some("c1"));
    assert_eq!(prompt(&chat).thinking, Some(true));
    assert_eq!(chat.job.sampling.temperature, Some(0.6));
}

/// By the user the engine takes turns, and knows whose older words a newer request makes pointless.
#[tokio::test]
async fn api_keys_tell_users_apart_where_open_webui_does_not() {
    let key = |name| (name, Sha256::digest(format!("sk-{name}")).into());
    let settings = GatewaySettings {
        keys: Some(Keys::new([key("ann"), key("ben")])),
        ..GatewaySettings::default()
    };
    let (engine, jobs) = scripted(MODELS);
    let gateway = Running::start(settings, engine, Vec::new()).await;
    let autocomplete = "X-OpenWebUI-Task: autocomplete_generation";
    for (name, header, user) in [
        ("ann", "X-OpenWebUI-Chat-Id: ", "key:ann"),
        ("ben", "X-OpenWebUI-User-Id: ", "key:ben"),
        ("ben", "X-OpenWebUI-User-Id: ann", "ann"),
    ] {
        let key = format!("Authorization: Bearer sk-{name}");
        for task in [autocomplete, "X-OpenWebUI-Task: "] {
            let mut client = Client::connect(gateway.address).await;
            let body = said(SMALL, "Why is the", json!({}));
            client.post(CHAT, &[&key, task, header], body).await;
            let job = jobs.next().await.job;
            assert_eq!(job.queue.newest_wins, task == autocomplete);
            assert_eq!(job.origin.user.as_deref(), Some(user));
            assert_eq!(job.origin.conversation, None);
        }
    }
}

#[tokio::test]
async fn what_a_client_says_of_thinking_counts_in_chats() {
    let (gateway, jobs) = gateway().await;
    for (body, thinking, last) in [
        (said(LARGE, "2 + 2? /no_think", json!({})), false, "2 + 2?"),
        (
            said(LARGE, "2 + 2?", json!({"reasoning_effort": "none"})),
            false,
            "2 + 2?",
        ),
        (
            said(
                LARGE,
                "2 + 2?",
                json!({"think": true, "logit_bias": "", "format": "json"}),
            ),
            true,
            "2 + 2?",
        ),
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[], &body).await;
        let request = prompt(&jobs.next().await);
        assert_eq!(request.thinking, Some(thinking), "{body}");
        assert_eq!(request.messages.last().unwrap().content.text(), last);
    }
}

#[tokio::test]
async fn a_rule_of_the_users_refuses_a_request() {
    let rules = "[[deny]]\nid = \"local.no-poems\"\nwhen = { last_user_has = [[\"poem\"]] }\nmessage = \"No poems here.\"\n";
    let dir = local_rules(rules, "");
    let (engine, _jobs) = scripted(MODELS);
    let gateway =
        Running::with_files(dir.path(), GatewaySettings::default(), engine, Vec::new()).await;
    let mut client = Client::connect(gateway.address).await;
    for stream in [false, true] {
        let body = said(LARGE, "Write a poem", json!({"stream": stream}));
        client.post(CHAT, &[], body).await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 403);
        assert_eq!(answer.header("x-rkgate-class"), Some("chat"));
        let error = &answer.json()["error"];
        assert_eq!(error["message"], "No poems here.");
        assert_eq!(error["code"], "denied_by_policy");
    }
}

#[tokio::test]
async fn a_tasks_json_is_mended_or_replaced() {
    let (gateway, jobs) = gateway().await;
    for (says, told) in [
        (r#"{"title": "Heat Pumps"}"#, r#"{"title": "Heat Pumps"}"#),
        (
            "<think>Hm { }</think>```json\n{'title': 'Heat Pumps',}\n```",
            r#"{"title":"Heat Pumps"}"#,
        ),
        ("{\"title\": \"\"", r#"{"title": ""}"#),
    ] {
        let answer = answered(&gateway, &jobs, &[], &title(), says).await;
        assert_eq!(content(&answer), told, "{says}");
        let message = &answer.json()["choices"][0]["message"];
        assert!(message.get("reasoning_content").is_none(), "{message}");
    }
}

#[tokio::test]
async fn text_that_turns_out_to_be_thinking_is_dropped_from_a_task() {
    let (gateway, jobs) = gateway().await;
    let task = ["X-OpenWebUI-Task: emoji_generation"];
    let body = said(LARGE, "I am happy", json!({}));
    let answer = answered(
        &gateway,
        &jobs,
        &task,
        &body,
        "<think>\nA smile.\n</think>\n\n🙂",
    )
    .await;
    let message = &answer.json()["choices"][0]["message"];
    assert_eq!(message["content"], "🙂");
    assert!(message.get("reasoning_content").is_none(), "{message}");
}

#[tokio::test]
async fn a_job_that_the_engine_gives_up_is_answered_without_it() {
    let (gateway, jobs) = gateway().await;
    let emoji = ["X-OpenWebUI-Task: emoji_generation"];
    let smile = said(LARGE, "I am happy", json!({}));
    for (headers, body, said, told) in [
        (&[][..], title(), None, r#"{"title": ""}"#),
        (
            &[],
            title(),
            Some(r#"{"title": "Heat Pu"#),
            r#"{"title":"Heat"}"#,
        ),
        (&emoji, smile.clone(), None, "🙂"),
        (&emoji, smile.clone(), Some(""), "🙂"),
    ] {
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, headers, &body).await;
        let submission = jobs.next().await;
        match said {
            None => submission.refuse(withdrawn()),
            Some(said) => {
                let run = submission.accept();
                run.piece(said).await;
                run.send(Progress::Failed(withdrawn())).await;
            }
        }
        let answer = client.answer().await;
        assert_eq!(answer.status(), 200);
        assert_eq!(content(&answer), told);
    }
    // The same as a stream.
    let mut client = Client::connect(gateway.address).await;
    client
        .post(
            CHAT,
            &emoji,
            said(LARGE, "I am happy", json!({"stream": true})),
        )
        .await;
    jobs.next().await.refuse(withdrawn());
    let events = client.answer().await.events();
    assert!(
        events.iter().any(|event| event.contains("🙂")),
        "{events:?}"
    );
    assert_eq!(events.last().unwrap(), "[DONE]");
    // What waited in vain has cost nothing.
    client.post(CHAT, &emoji, &smile).await;
    let run = jobs.next().await.accept();
    run.send(Progress::Failed(withdrawn())).await;
    let usage = &client.answer().await.json()["usage"];
    assert_eq!(usage["prompt_tokens"], 0);
    let metrics = gateway.metrics.encode().unwrap();
    assert!(
        !metrics.contains("rkgate_prefill_tokens_total{"),
        "{metrics}"
    );
    // A person's chat has no answer of last resort.
    client
        .post(CHAT, &[], said(LARGE, "Hello", json!({})))
        .await;
    jobs.next().await.refuse(withdrawn());
    assert_eq!(client.answer().await.status(), 503);
}

#[tokio::test]
async fn a_job_that_the_engine_fails_is_answered_without_it() {
    let (gateway, jobs) = gateway().await;
    let model = || SMALL.to_owned();
    let failures = [
        EngineError::Load {
            model: model(),
            reason: "the file is damaged".to_owned(),
        },
        EngineError::Worker {
            model: model(),
            what: "was killed by signal 11".to_owned(),
        },
        EngineError::Run {
            model: model(),
            reason: "out of memory".to_owned(),
        },
    ];
    for failure in failures {
        for queued in [false, true] {
            let mut client = Client::connect(gateway.address).await;
            client.post(CHAT, &[], title()).await;
            let submission = jobs.next().await;
            if queued {
                let run = submission.accept();
                run.send(Progress::Failed(failure.clone())).await;
            } else {
                submission.refuse(failure.clone());
            }
            let answer = client.answer().await;
            assert_eq!(answer.status(), 200, "{failure}");
            assert_eq!(content(&answer), r#"{"title": ""}"#);
        }
        // A person's chat has no answer of last resort.
        let mut client = Client::connect(gateway.address).await;
        client
            .post(CHAT, &[], said(LARGE, "Hello", json!({})))
            .await;
        jobs.next().await.refuse(failure);
        assert!(client.answer().await.status() >= 500);
    }
    // What the client asks for wrongly, it is told.
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], title()).await;
    let unsupported = EngineError::Unsupported("no images".to_owned());
    jobs.next().await.refuse(unsupported);
    assert_eq!(client.answer().await.status(), 400);
}

/// Nothing says of a conversation in advance how many tokens it has; the engine counts them.
#[tokio::test]
async fn a_conversation_that_does_not_fit_is_cut_again() {
    let (gateway, jobs) = gateway().await;
    let words = "a quick brown fox ".repeat(40);
    let mut messages = Vec::new();
    for _ in 0..12 {
        messages.push(json!({"role": "user", "content": words}));
        messages.push(json!({"role": "assistant", "content": words}));
    }
    messages.push(json!({"role": "user", "content": "And now?"}));
    let body = json!({"model": LARGE, "messages": messages}).to_string();
    let too_long = || EngineError::ContextLength {
        prompt: 5000,
        limit: 4096,
    };
    let mut twice = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(gateway.address).await;
        client.post(CHAT, &[], &body).await;
        let first = jobs.next().await;
        let before = prompt(&first).messages;
        first.refuse(too_long());
        let second = jobs.next().await;
        let after = prompt(&second).messages;
        assert!(
            after.len() < before.len(),
            "{} {}",
            after.len(),
            before.len()
        );
        assert_eq!(after.last(), before.last());
        twice.push(after);
        let run = second.accept();
        run.send(started()).await;
        run.send(done()).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    assert_eq!(twice[0], twice[1]);
    // What cannot be cut is refused in the end.
    let mut client = Client::connect(gateway.address).await;
    client
        .post(CHAT, &[], said(LARGE, "Hello", json!({})))
        .await;
    jobs.next().await.refuse(too_long());
    assert_eq!(client.answer().await.status(), 400);
}

#[tokio::test]
async fn a_loop_ends_the_answer() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    client
        .post(CHAT, &[], said(LARGE, "Tell me of the sea", json!({})))
        .await;
    let run = jobs.next().await.accept();
    run.send(started()).await;
    for _ in 0..8 {
        run.piece("The sea is wide and blue, and the waves come and go all day. ")
            .await;
    }
    run.cancelled().await;
    let answer = client.answer().await;
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "stop");
    assert!(content(&answer).len() < 8 * 62);
}

#[tokio::test]
async fn the_sampling_values_in_force_are_told_to_who_asks() {
    let settings = GatewaySettings {
        first_heartbeat: Duration::from_millis(1),
        heartbeat: Duration::from_millis(1),
        ..GatewaySettings::default()
    };
    let (engine, jobs) = scripted(MODELS);
    let gateway = Running::start(settings, engine, Vec::new()).await;
    let in_force = json!({
        "profile": "qwen3.thinking", "thinking": true, "max_tokens": 4096, "temperature": 0.25, "top_k": 7
    });
    let told = |answer: &Message| {
        let value = answer.header("x-rkgate-sampling")?;
        Some(serde_json::from_str::<Value>(value).unwrap())
    };
    for stream in [false, true] {
        let body = said(LARGE, "Hello", json!({"stream": stream}));
        let mut asking = Client::connect(gateway.address).await;
        asking.post(CHAT, &["x-rkgate-sampling: 1"], &body).await;
        let asked = jobs.next().await.accept();
        let mut other = Client::connect(gateway.address).await;
        other.post(CHAT, &[], &body).await;
        let run = jobs.next().await.accept();
        if stream {
            // A stream begins with a heartbeat; the header of the other waits for the values.
            other.header().await;
            other.chunk().await.unwrap();
            other.chunk().await.unwrap();
        }
        asked.send(started()).await;
        asked.piece("Hi").await;
        asked.send(done()).await;
        assert_eq!(told(&asking.answer().await), Some(in_force.clone()));
        run.send(started()).await;
        run.send(done()).await;
        if !stream {
            assert_eq!(told(&other.answer().await), None);
        }
    }
}

#[tokio::test]
async fn a_text_to_go_on_with_keeps_its_words_and_gets_the_profile() {
    let (gateway, jobs) = gateway().await;
    let mut client = Client::connect(gateway.address).await;
    let text = "Once upon a time /no_think";
    let body = json!({"model": LARGE, "prompt": text, "top_k": 1, "max_tokens": 9000});
    client.post("/v1/completions", &[], body.to_string()).await;
    let submission = jobs.next().await;
    assert!(matches!(&submission.job.prompt, Prompt::Text(prompt) if prompt == text));
    assert_eq!(submission.job.max_tokens, Some(4096));
    assert_eq!(submission.job.sampling.top_k, Some(2));
    assert_eq!(submission.job.sampling.temperature, Some(0.7));
    let run = submission.accept();
    run.piece(" <think> there").await;
    run.send(done()).await;
    let answer = client.answer().await;
    assert_eq!(answer.header("x-rkgate-class"), Some("text_completion"));
    assert_eq!(answer.json()["choices"][0]["text"], " <think> there");
}

#[tokio::test]
async fn a_task_of_an_upstreams_model_goes_to_the_small_one_here() {
    let upstream = Upstream::start().await;
    let settings = UpstreamSettings::new("up", vec![upstream.url()]);
    upstream.serve(|request| upstream::answer(&request.body));
    let (engine, jobs) = scripted(MODELS);
    let gateway = Running::start(GatewaySettings::default(), engine, vec![settings]).await;
    let body = said("large-70b", TITLE, json!({"stream": false}));
    let answer = answered(&gateway, &jobs, &[], &body, r#"{"title": "Heat"}"#).await;
    assert_eq!(answer.header("x-rkgate-model"), Some(SMALL));
    assert_eq!(answer.json()["model"], "large-70b");
}
