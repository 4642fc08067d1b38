//! Rules that change while requests are answered.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::kit::{
    client::Client,
    message::Message,
    process::Process,
    soon,
    upstream::{self, Upstream},
};

const CHAT: &str = "/v1/chat/completions";

/// The real binary before an upstream that answers with what it was asked.
async fn gateway(dir: &Path, more: &str) -> Process {
    let upstream = Upstream::start().await;
    let url = upstream.url();
    upstream.serve(|request| upstream::answer(&request.body));
    let config = format!("[[upstream]]\nname = \"up\"\nurls = [\"{url}\"]\n{more}");
    Process::start(dir, &config, &[], 1024).await
}

fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // As editors do, so that nobody reads half a file.
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A rule that puts this at the beginning of every chat.
fn greeting(text: &str) -> String {
    format!(
        "schema = 1\n[[rewrite]]\nid = \"local\"\non = [\"chat\"]\nop = \"prepend\"\nto = \"system\"\ntext = \"{text}\"\n"
    )
}

fn body(text: &str) -> String {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string()
}

fn generation(answer: &Message) -> u64 {
    answer.header("x-rkgate-policy").unwrap().parse().unwrap()
}

/// The first words that the model was given.
fn system(answer: &Message) -> String {
    answer.json()["messages"][0]["content"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn metric(gateway: &Process, name: &str) -> u64 {
    let metrics = Client::connect(gateway.admin).await.get("/metrics").await;
    let line = metrics.text().lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {}", metrics.text()));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// A record of the prompt log, once it is there.
async fn logged(gateway: &Process, number: u32) -> Value {
    let mut admin = Client::connect(gateway.admin).await;
    soon("the record", async {
        loop {
            let answer = admin.get(&format!("/api/log/{number}")).await;
            if answer.status() == 200 {
                return answer.json();
            }
        }
    })
    .await
}

/// Asks until the rules of this generation answer.
async fn until(client: &mut Client, wanted: u64) -> Message {
    soon("the new rules", async {
        loop {
            client.post(CHAT, &[], body("Hi")).await;
            let answer = client.answer().await;
            if generation(&answer) >= wanted {
                return answer;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_edited_file_is_followed_by_the_next_chat() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = gateway(dir.path(), "").await;
    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], body("Hi")).await;
    let answer = client.answer().await;
    assert_eq!(
        (generation(&answer), answer.text()),
        (1, body("Hi").as_str())
    );
    write(dir.path(), "rules/90-local.toml", &greeting("You are Bob."));
    let answer = until(&mut client, 2).await;
    assert_eq!(system(&answer), "You are Bob.");
    write(dir.path(), "rules/90-local.toml", &greeting("You are Eve."));
    let answer = until(&mut client, 3).await;
    assert_eq!(system(&answer), "You are Eve.");
    assert_eq!(metric(&gateway, "rkgate_policy_generation").await, 3);
    assert_eq!(metric(&gateway, "rkgate_policy_reload_ok").await, 1);
}

#[tokio::test]
async fn a_broken_file_leaves_the_old_rules_and_is_reported_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "rules/90-local.toml", &greeting("You are Bob."));
    let gateway = gateway(dir.path(), "[policy]\nwatch = false\n").await;
    let broken = greeting("You are Eve.") + "colour = 1\n";
    write(dir.path(), "rules/90-local.toml", &broken);
    let mut admin = Client::connect(gateway.admin).await;
    admin.post("/api/policy/reload", &[], "").await;
    let answer = admin.answer().await;
    assert_eq!(answer.status(), 422);
    let told = answer.json();
    assert_eq!(
        (&told["generation"], &told["ok"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(told["problems"][0]["code"], "P002");
    let place = &told["problems"][0]["places"][0];
    assert!(
        place["file"].as_str().unwrap().ends_with("90-local.toml"),
        "{place}"
    );
    assert_eq!((&place["line"], &place["column"]), (&json!(8), &json!(1)));
    let error = told["error"].as_str().unwrap();
    assert!(error.contains("90-local.toml:8:1"), "{error}");
    let kept = admin.get("/api/policy").await.json();
    for field in ["generation", "ok", "error", "problems"] {
        assert_eq!(kept[field], told[field], "{field}");
    }
    assert_eq!(metric(&gateway, "rkgate_policy_reload_ok").await, 0);

    let mut client = Client::connect(gateway.address).await;
    client.post(CHAT, &[], body("Hi")).await;
    let answer = client.answer().await;
    assert_eq!(
        (generation(&answer), system(&answer)),
        (1, "You are Bob.".to_owned())
    );

    write(dir.path(), "rules/90-local.toml", &greeting("You are Eve."));
    admin.post("/api/policy/reload", &[], "").await;
    let answer = admin.answer().await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(
        (&answer.json()["generation"], &answer.json()["ok"]),
        (&json!(2), &json!(true))
    );
    client.post(CHAT, &[], body("Hi")).await;
    assert_eq!(system(&client.answer().await), "You are Eve.");
    assert_eq!(
        metric(&gateway, "rkgate_policy_reloads_total{result=\"failed\"}").await,
        1
    );
}

#[tokio::test]
async fn hangup_loads_the_files_where_nobody_watches_them() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = gateway(dir.path(), "[policy]\nwatch = false\n").await;
    write(dir.path(), "rules/90-local.toml", &greeting("You are Bob."));
    gateway.signal("HUP");
    let mut client = Client::connect(gateway.address).await;
    let answer = until(&mut client, 2).await;
    assert_eq!(
        (generation(&answer), system(&answer)),
        (2, "You are Bob.".to_owned())
    );
}

#[tokio::test]
async fn nothing_is_served_with_rules_that_are_broken_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "rules/90-local.toml",
        "schema = 1\n[[label]]\nid = \"x\"\n",
    );
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .args([
            "serve",
            "--library",
            "sim",
            "--api",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ])
        .current_dir(dir.path())
        .kill_on_drop(true)
        .output();
    let output = soon("the end of the process", output).await.unwrap();
    assert_eq!(output.status.code(), Some(78));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("error[P004]") && stderr.contains("90-local.toml:2:1"),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
}

/// What one answer showed of the two files: the marks that each of them left in it.
type Marks = (u64, u64);

/// The files with these marks: a rule file that marks every request in three places, and a policy file that does so in
/// two.
fn marked(rules: u64, policies: u64) -> (String, String) {
    let rules = format!(
        "{}[[rewrite]]\nid = \"local.end\"\non = [\"chat\"]\nop = \"append\"\nto = \"last_user\"\ntext = \"mark-{rules}\"\n\
         [[deny]]\nid = \"local.deny\"\nwhen = {{ last_user_has = [[\"refuse me\"]] }}\nmessage = \"mark-{rules}\"\n",
        greeting(&format!("mark-{rules}"))
    );
    let policies = format!(
        "schema = 1\n[[model]]\nmatch = \"m\"\nprofile = {{ \"*\" = \"local\" }}\nmax_tokens = {{ chat = {} }}\n\
         [profile.local]\ntop_k = {policies}\n",
        policies + 1000
    );
    (rules, policies)
}

/// The marks of an answer, which must all be of the same files.
fn marks(answer: &Message) -> Option<Marks> {
    let mark = |text: &str| -> u64 { text.rsplit("mark-").next().unwrap().parse().unwrap() };
    let body = answer.json();
    if answer.status() == 403 {
        let rules = mark(body["error"]["message"].as_str().unwrap());
        return Some((rules, 0));
    }
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let messages = body["messages"].as_array().unwrap();
    let [first, last] = messages.as_slice() else {
        // Before the first edit.
        return None;
    };
    let rules = mark(first["content"].as_str().unwrap());
    assert_eq!(mark(last["content"].as_str().unwrap()), rules, "{body}");
    let policies = body["top_k"].as_u64().unwrap();
    assert_eq!(body["max_tokens"], policies + 1000, "{body}");
    Some((rules, policies))
}

/// Several clients ask while the files change every 100 ms, one time in three to something broken. Every answer is
/// wholly of one set of rules, and of the one that its header names; none is lost; whatever is broken is reported with
/// its place. `RKGATE_RELOAD_SECONDS` sets for how long the requests are enough at their rate; on a busy machine they
/// take longer, which is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "the findings of the long run are read")]
async fn no_answer_is_lost_or_mixed_while_files_change() {
    const CLIENTS: u64 = 4;
    const PER_SECOND: u64 = 200;
    let seconds = std::env::var("RKGATE_RELOAD_SECONDS").map_or(3, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let gateway = gateway(dir.path(), "[telemetry]\nlog_level = \"error\"\n").await;
    let began = Instant::now();
    let each = PER_SECOND * seconds / CLIENTS;
    let asking = Arc::new(AtomicU64::new(CLIENTS));
    let seen: Arc<Mutex<HashMap<u64, Marks>>> = Arc::default();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let (address, seen) = (gateway.address, Arc::clone(&seen));
        let asking = Arc::clone(&asking);
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            let mut pace =
                tokio::time::interval(Duration::from_secs(1) / PER_SECOND as u32 * CLIENTS as u32);
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (mut latest, mut longest) = (0, Duration::ZERO);
            for asked in 0..each {
                pace.tick().await;
                let text = if asked % 5 == number {
                    "refuse me"
                } else {
                    "Hi"
                };
                let sent = Instant::now();
                client.post(CHAT, &[], body(text)).await;
                let answer = client.answer().await;
                longest = longest.max(sent.elapsed());
                let generation = generation(&answer);
                assert!(generation >= latest, "{generation} after {latest}");
                latest = generation;
                let Some(mut marks) = marks(&answer) else {
                    continue;
                };
                let mut seen = seen.lock().unwrap();
                let known = seen.entry(generation).or_insert(marks);
                // A refusal shows the rule file only.
                if known.1 == 0 {
                    known.1 = marks.1;
                } else if marks.1 == 0 {
                    marks.1 = known.1;
                }
                assert_eq!(*known, marks, "generation {generation}");
            }
            asking.fetch_sub(1, Ordering::Relaxed);
            longest
        });
    }
    let mut admin = Client::connect(gateway.admin).await;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let (mut edits, mut broken) = (0, 0);
    let patience = began + Duration::from_secs(60 + 4 * seconds);
    while asking.load(Ordering::Relaxed) > 0 && Instant::now() < patience {
        pace.tick().await;
        edits += 1;
        let (rules, policies) = marked(edits, edits + 1);
        if edits % 3 == 0 {
            broken += 1;
            write(
                dir.path(),
                "rules/90-local.toml",
                &rules.replace("prepend", "preppend"),
            );
            write(dir.path(), "policies/90-local.toml", &policies);
        } else {
            write(dir.path(), "rules/90-local.toml", &rules);
            write(dir.path(), "policies/90-local.toml", &policies);
        }
        admin.post("/api/policy/reload", &[], "").await;
        let answer = admin.answer().await;
        let told: Value = answer.json();
        assert_eq!(told["ok"], edits % 3 != 0, "{told}");
        if edits % 3 == 0 {
            assert_eq!(answer.status(), 422);
            assert_eq!(told["problems"][0]["places"][0]["line"], 5, "{told}");
        }
    }
    let mut longest = Duration::ZERO;
    while let Some(client) = soon("the clients", clients.join_next()).await {
        longest = longest.max(client.unwrap());
    }
    let sets = seen.lock().unwrap().len();
    println!(
        "{} answers in {:.1} s, none lost or mixed; {edits} edits, {broken} broken and reported with their place; \
         {sets} sets of rules seen in answers; longest answer {longest:?}",
        each * CLIENTS,
        began.elapsed().as_secs_f64()
    );
    assert!(sets > 2, "{sets} of {edits}");
    // The watcher reads the files as well, and meets broken ones too.
    let failed = metric(&gateway, "rkgate_policy_reloads_total{result=\"failed\"}").await;
    assert!(failed >= broken, "{failed}");
}

#[tokio::test]
async fn a_title_may_come_without_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let policy = r#"schema = 1
[[change]]
id = "fallback.title"
set = { answer = '{"title": "{first_message}"}', instead = true }
"#;
    write(dir.path(), "policies/local.toml", policy);
    let gateway = gateway(dir.path(), "[log]\nflush = \"20ms\"\n").await;
    let mut client = Client::connect(gateway.address).await;
    let task =
        "A title\n<chat_history>\nUSER: How do \"heat pumps\" work?\nASSISTANT: \n</chat_history>";
    let headers = ["X-OpenWebUI-Task: title_generation"];
    for stream in [false, true] {
        let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": task}]});
        client.post(CHAT, &headers, body.to_string()).await;
        let answer = client.answer().await;
        assert_eq!(answer.header("x-rkgate-model"), Some("rkgate"));
        let title = r#"{\"title\": \"How do \\\"heat pumps\\\" work?\"}"#;
        assert!(answer.text().contains(title), "{}", answer.text());
    }
    for number in 1..=2 {
        let record = logged(&gateway, number).await;
        let content = &record["content"];
        assert_eq!(
            (&record["kept"], &record["finish"], &record["provider"]),
            (&json!("full"), &json!("stop"), &json!("rkgate"))
        );
        assert_eq!(content["before"]["messages"][0]["content"], task);
        assert_eq!(
            content["answer"]["content"],
            r#"{"title": "How do \"heat pumps\" work?"}"#
        );
        let trace = content["trace"].to_string();
        assert!(trace.contains("answered without the model"), "{trace}");
    }
    // What would become of them with the answer as a fallback only.
    let file = policy.replace("instead = true", "instead = false");
    let trial = json!({"files": [{"id": "policies/local.toml", "text": file}]});
    let mut admin = Client::connect(gateway.admin).await;
    admin.post("/api/replay", &[], trial.to_string()).await;
    let report = admin.answer().await.json();
    assert_eq!(
        (&report["requests"], &report["model"]),
        (&json!(2), &json!(2)),
        "{report}"
    );
    assert_eq!(report["before"]["prompt_tokens"], 0);
    assert_eq!(report["examples"][0]["before"]["model"], "rkgate");
    // Without a chat to make a title of the model is asked.
    client.post(CHAT, &headers, body("A title, please")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 200);
    assert_ne!(answer.header("x-rkgate-model"), Some("rkgate"));
}
