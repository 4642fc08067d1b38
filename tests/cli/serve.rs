//! `rkgate serve`: its lines, its admin port, its log and its end.

use std::{fs, io::BufRead, net::TcpListener, path::Path, process::Command};

use serde_json::Value;

use crate::server::{Server, get, metric, send};

const CHAT: &str = r#"{"model":"qwen3-0.6b","stream":true,"messages":[{"role":"user","content":"Tell me about the sea. /no_think"}]}"#;

fn chat(api: &str) -> impl BufRead + use<> {
    send(
        api,
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json",
        CHAT,
    )
}

#[test]
fn no_command_serves_and_sigterm_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let temporary = dir.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let files = || fs::read_dir(&temporary).unwrap().count();
    let env = [("TMPDIR", temporary.to_str().unwrap())];
    let mut server = Server::start(dir.path(), &[], &env);
    assert_eq!(get(&server.admin, "/healthz", ""), (200, "ok\n".into()));
    assert_eq!(get(&server.admin, "/readyz", ""), (200, "ready\n".into()));
    assert_eq!(get(&server.admin, "/nothing", "").0, 404);
    let (status, models) = get(&server.api, "/v1/models", "");
    assert_eq!(status, 200);
    assert!(models.contains("qwen3-0.6b"), "{models}");
    assert!(files() > 0, "the simulator's models");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(files(), 0);
}

#[test]
fn requests_appear_in_metrics_state_and_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["serve"], &[]);
    let answer: Vec<String> = chat(&server.api).lines().map(Result::unwrap).collect();
    assert!(
        answer.iter().any(|line| line == "data: [DONE]"),
        "{answer:#?}"
    );
    let requests = r#"rkgate_requests_total{class="chat",model="qwen3-0.6b",status="200"}"#;
    assert!((metric(&server.admin, requests) - 1.0).abs() < f64::EPSILON);
    assert!((metric(&server.admin, "rkgate_engine_loads_total") - 1.0).abs() < f64::EPSILON);
    let (_, engine) = get(&server.admin, "/api/engine", "");
    let engine: Value = serde_json::from_str(&engine).unwrap();
    assert_eq!(engine["library"], "simulator");
    assert_eq!(engine["workers"][0]["model"], "qwen3-0.6b");
    assert_eq!(engine["workers"][0]["loaded"], true);
    let (_, state) = get(&server.admin, "/api/state", "");
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["api"], server.api.as_str());
    assert_eq!(state["version"], env!("CARGO_PKG_VERSION"));
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
    let log = fs::read_to_string(dir.path().join("stderr")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let answered = lines
        .iter()
        .find(|line| line["span"]["name"] == "request")
        .unwrap_or_else(|| panic!("{log}"));
    assert_eq!(answered["span"]["class"], "chat");
    assert!(!log.contains("the sea"), "prompts are not logged");
}

#[test]
fn two_hundred_clients_at_once_share_one_npu() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &["serve"], &[]);
    let clients: Vec<_> = (0..200).map(|_| chat(&server.api)).collect();
    for (n, client) in clients.into_iter().enumerate() {
        let lines: Vec<String> = client.lines().map(Result::unwrap).collect();
        let done = lines.iter().any(|line| line == "data: [DONE]");
        let stopped = lines
            .iter()
            .any(|line| line.contains(r#""finish_reason":"stop""#));
        assert!(done && stopped, "client {n}: {lines:#?}");
    }
    assert!((metric(&server.admin, "rkgate_engine_loads_total") - 1.0).abs() < f64::EPSILON);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_running_answer_is_finished_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    // Slow enough to be running when the signal comes, fast enough for a test.
    let mut server = Server::start(dir.path(), &[], &[("RKLLM_SIM_SPEED", "10")]);
    let mut answer = chat(&server.api);
    let mut line = String::new();
    while !line.contains("content") {
        line.clear();
        assert!(answer.read_line(&mut line).unwrap() > 0, "no token came");
    }
    server.signal("TERM");
    let rest: Vec<String> = answer.lines().map(Result::unwrap).collect();
    assert!(
        rest.iter()
            .any(|line| line.contains(r#""finish_reason":"stop""#)),
        "{rest:#?}"
    );
    assert!(rest.iter().any(|line| line == "data: [DONE]"), "{rest:#?}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[], &[("RKLLM_SIM_SPEED", "0.01")]);
    let mut answer = chat(&server.api);
    let mut line = String::new();
    // The answer begins with a heartbeat while the model loads, for minutes at this speed.
    while !line.starts_with(':') {
        line.clear();
        assert!(
            answer.read_line(&mut line).unwrap() > 0,
            "no heartbeat came"
        );
    }
    server.signal("TERM");
    while get(&server.admin, "/readyz", "").0 != 503 {}
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(128 + 15));
}

#[test]
fn an_address_in_use_is_said_and_exits_with_69() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--api", "--admin"] {
        let output = Command::new(env!("CARGO_BIN_EXE_rkgate"))
            .args([
                "serve",
                "--library",
                "sim",
                "--api",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
            ])
            .args([
                "--set",
                &format!("listen.{}={address}", flag.trim_start_matches('-')),
            ])
            .current_dir(dir.path())
            .env_clear()
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains(&format!(
                "cannot listen on {address}: Address already in use"
            )),
            "{stderr}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_full_disk_for_the_log_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(
        dir.path(),
        &[],
        &[("RKGATE_TELEMETRY__LOG_FILE", "/dev/full")],
    );
    for _ in 0..3 {
        assert_eq!(get(&server.api, "/v1/models/none", "").0, 404);
    }
    while metric(&server.admin, "rkgate_log_lines_dropped_total") < 3.0 {}
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let stderr = fs::read_to_string(dir.path().join("stderr")).unwrap();
    let told = stderr
        .lines()
        .filter(|line| line.contains("cannot write the log: No space left on device"))
        .count();
    assert_eq!(told, 1, "{stderr}");
}

#[test]
fn a_log_file_that_cannot_be_opened_exits_with_74() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .args([
            "--library",
            "sim",
            "--api",
            "127.0.0.1:0",
            "--set",
            "telemetry.log_file=/no/such/dir/log",
        ])
        .current_dir(dir.path())
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("/no/such/dir/log")
    );
}

/// Makes a key as the manual says.
pub(crate) fn add_key(dir: &Path) {
    let manual =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md"))
            .unwrap();
    let script = manual
        .split("```sh\n")
        .find(|block| block.contains("sha256sum"))
        .unwrap();
    let script = script
        .split("```")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("KEY="));
    let script = format!("KEY=open-sesame\n{}", script.collect::<Vec<_>>().join("\n"));
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .current_dir(dir)
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn keys_made_as_the_manual_says_guard_the_api_and_the_state() {
    let dir = tempfile::tempdir().unwrap();
    add_key(dir.path());
    let server = Server::start(dir.path(), &[], &[("RKGATE_LISTEN__API", "0.0.0.0:0")]);
    let api = server.api.replace("0.0.0.0", "127.0.0.1");
    for (base, path) in [
        (&api, "/v1/models"),
        (&server.admin, "/api/state"),
        (&server.admin, "/api/engine"),
    ] {
        assert_eq!(get(base, path, "").0, 401, "{path}");
        assert_eq!(
            get(base, path, "\r\nAuthorization: Bearer open-barley").0,
            401,
            "{path}"
        );
        assert_eq!(
            get(base, path, "\r\nAuthorization: Bearer open-sesame").0,
            200,
            "{path}"
        );
    }
    assert_eq!(get(&server.admin, "/healthz", "").0, 200);
    assert_eq!(get(&server.admin, "/metrics", "").0, 200);
}

#[test]
fn unix_sockets_serve_both_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (api, admin) = (dir.path().join("api.sock"), dir.path().join("admin.sock"));
    let env = [
        ("RKGATE_LISTEN__API", format!("unix:{}", api.display())),
        ("RKGATE_LISTEN__ADMIN", format!("unix:{}", admin.display())),
    ];
    let mut server = Server::start(
        dir.path(),
        &[],
        &env.each_ref().map(|(name, value)| (*name, value.as_str())),
    );
    assert_eq!(get(&server.api, "/v1/models", "").0, 200);
    assert_eq!(get(&server.admin, "/readyz", "").0, 200);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(!api.exists() && !admin.exists());
}

#[test]
fn a_wrong_configuration_exits_with_78_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("rkgate.toml"),
        "[listen]\napi = \"0.0.0.0:0\"\n",
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .current_dir(dir.path())
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error[C007]: listen.api is open to the network"),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn a_runtime_of_unknown_version_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("librkllmrt.so");
    fs::write(&library, "\0RKLLM SDK (version: 1.9.9 | target: Linux)\0").unwrap();
    fs::create_dir(dir.path().join("models")).unwrap();
    fs::write(dir.path().join("models/Qwen3-0.6B-w8a8-rk3588.rkllm"), "").unwrap();
    let env = [("RKGATE_ENGINE__LIBRARY", library.to_str().unwrap())];
    let ready = |server: &Server| get(&server.admin, "/readyz", "");
    let server = Server::start(dir.path(), &["serve"], &env);
    let (status, why) = ready(&server);
    assert_eq!(status, 503);
    assert!(why.contains("1.9.9") && why.contains("engine.abi"), "{why}");
    let stderr = fs::read_to_string(dir.path().join("stderr")).unwrap();
    assert!(stderr.contains("no model can be loaded"), "{stderr}");
    // What was put right is right.
    fs::write(&library, "\0RKLLM SDK (version: 1.2.3 | target: Linux)\0").unwrap();
    assert_eq!(ready(&server).0, 200);
}
