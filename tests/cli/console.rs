//! The console's pages and who may use them, as a browser and as another site's page would try.

use std::{
    fs,
    io::BufRead,
    time::{Duration, Instant},
};

use rkgate::policy::shipped;
use serde_json::{Value, json};

use crate::{
    serve::add_key,
    server::{Server, call, get, send},
};

#[test]
fn every_page_is_served_with_a_policy_that_allows_nothing_inline() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    for path in [
        "/",
        "/log",
        "/log/12",
        "/log/request/some-id",
        "/policies",
        "/policies/rules/90-local.toml",
        "/models",
        "/setup",
    ] {
        let (status, head, body) = call(&server.admin, &format!("GET {path} HTTP/1.1"), "");
        assert_eq!(status, 200, "{path}");
        let policy = head
            .lines()
            .find_map(|line| line.strip_prefix("content-security-policy: "))
            .unwrap_or_else(|| panic!("{head}"));
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(body.contains("src=\"/app.js\""), "{path}: {body}");
    }
    for (path, media) in [
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/editor.js", "text/javascript; charset=utf-8"),
        ("/app.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let (status, head, body) = call(&server.admin, &format!("GET {path} HTTP/1.1"), "");
        assert_eq!(status, 200, "{path}");
        assert!(head.contains(&format!("content-type: {media}")), "{head}");
        for elsewhere in ["//cdn", "fonts.g", "unpkg", "jsdelivr"] {
            assert!(!body.contains(elsewhere), "{path} needs {elsewhere}");
        }
    }
}

#[test]
fn a_key_opens_a_session_and_signing_out_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    add_key(dir.path());
    let server = Server::start(dir.path(), &[], &[]);
    let admin = &server.admin;
    let asked = |cookie: &str| {
        let (status, body) = get(admin, "/api/session", cookie);
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&body).unwrap()
    };
    assert_eq!(asked(""), json!({ "key_needed": true, "signed_in": false }));
    let post = "POST /api/session HTTP/1.1\r\nContent-Type: application/json";
    assert_eq!(call(admin, post, r#"{"key":"open-barley"}"#).0, 401);
    let (status, head, _) = call(admin, post, r#"{"key":"open-sesame"}"#);
    assert_eq!(status, 204);
    let cookie = head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    assert!(!cookie.contains("open-sesame"));
    let cookie = format!("\r\nCookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(asked(&cookie)["signed_in"], true);
    assert_eq!(get(admin, "/api/state", &cookie).0, 200);
    assert_eq!(
        get(admin, "/api/state", "\r\nCookie: rkgate_session=guess").0,
        401
    );

    let leave = format!("DELETE /api/session HTTP/1.1{cookie}");
    assert_eq!(
        call(admin, &leave, "").0,
        403,
        "without the console's header"
    );
    let leave = format!("{leave}\r\nX-Rkgate-Console: 1");
    assert_eq!(call(admin, &leave, "").0, 204);
    assert_eq!(get(admin, "/api/state", &cookie).0, 401);
}

#[test]
fn other_sites_pages_get_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    let admin = &server.admin;
    for (headers, status) in [
        ("\r\nHost: evil.example:3589", 421),
        ("\r\nSec-Fetch-Site: cross-site", 403),
        ("\r\nSec-Fetch-Site: same-origin", 200),
        ("", 200),
    ] {
        assert_eq!(get(admin, "/api/state", headers).0, status, "{headers}");
    }
    let change = "DELETE /api/session HTTP/1.1";
    for (headers, status) in [
        ("\r\nOrigin: http://evil.example", 403),
        ("\r\nOrigin: null\r\nX-Rkgate-Console: 1", 403),
        ("\r\nOrigin: http://localhost", 403),
        ("\r\nOrigin: http://localhost\r\nX-Rkgate-Console: 1", 204),
        ("", 204),
    ] {
        let (got, head, _) = call(admin, &format!("{change}{headers}"), "");
        assert_eq!(got, status, "{headers}");
        assert!(!head.to_lowercase().contains("access-control"), "{head}");
    }
}

#[test]
fn models_are_loaded_and_pinned_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    let post = |model: &str, what: &str, headers: &str| {
        let head = format!("POST /api/engine/models/{model}/{what} HTTP/1.1{headers}");
        let (status, _, body) = call(&server.admin, &head, "");
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let is = |residency: &str, pinned: bool| {
        let model = json!({ "model": "qwen3-0.6b", "residency": residency, "pinned": pinned });
        (200, model)
    };
    assert_eq!(post("qwen3-0.6b", "load", ""), is("loaded", false));
    assert_eq!(post("Qwen3-0.6B", "pin", ""), is("loaded", true));
    let (status, refused) = post("qwen3-0.6b", "unload", "");
    let message = refused["error"]["message"].as_str().unwrap();
    assert_eq!(
        (status, message),
        (409, "`qwen3-0.6b` is pinned; unpin it first")
    );
    assert_eq!(post("qwen3-0.6b", "unpin", ""), is("loaded", false));
    assert_eq!(post("qwen3-0.6b", "unload", ""), is("absent", false));
    assert_eq!(post("nobody", "load", "").0, 404);
    let foreign = "\r\nOrigin: http://evil.example\r\nX-Rkgate-Console: 1";
    assert_eq!(post("qwen3-0.6b", "load", foreign).0, 403);
    let (_, state) = get(&server.admin, "/api/engine", "");
    let state: Value = serde_json::from_str(&state).unwrap();
    let models = state["residency"].as_array().unwrap();
    assert!(models.contains(&is("absent", false).1), "{state}");
}

#[test]
fn a_request_appears_in_the_stream_of_events() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[], &[]);
    let mut events = send(&server.admin, "GET /api/events HTTP/1.1", "");
    let mut next = |name: &str| -> Value {
        let mut line = String::new();
        while line.trim() != format!("event: {name}") {
            line.clear();
            assert!(events.read_line(&mut line).unwrap() > 0, "no {name} came");
        }
        line.clear();
        events.read_line(&mut line).unwrap();
        serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()
    };
    assert_eq!(next("requests")["running"], json!([]));
    assert!(next("board")["engine"]["models"].is_array());
    let chat = r#"{"model":"qwen3-0.6b","messages":[{"role":"user","content":"The secret sea. /no_think"}]}"#;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\n\
                X-OpenWebUI-Task: ";
    assert_eq!(call(&server.api, head, chat).0, 200);
    let ended = loop {
        let requests = next("requests");
        assert!(
            !requests.to_string().contains("secret"),
            "no text of prompts"
        );
        if let Some(ended) = requests["ended"].get(0) {
            break ended.clone();
        }
    };
    assert_eq!(ended["status"], 200);
    assert_eq!(ended["model"], "qwen3-0.6b");
    assert_eq!(ended["webui_headers"], json!(["x-openwebui-task"]));
    assert!(ended["completion_tokens"].as_u64().unwrap() > 0);
    server.signal("TERM");
    assert_eq!(
        server.wait().code(),
        Some(0),
        "an open stream holds nothing up"
    );
}

#[test]
fn set_up_says_what_to_enter_and_what_doctor_finds() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    let (status, body) = get(&server.admin, "/api/setup", "");
    assert_eq!(status, 200);
    let setup: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(setup["open_webui"]["url"], format!("{}/v1", server.api));
    let headers = setup["open_webui"]["headers"].as_str().unwrap();
    let headers: Value = serde_json::from_str(headers).unwrap();
    assert_eq!(headers["X-OpenWebUI-User-Id"], "{{USER_ID}}");
    let findings = setup["findings"].as_array().unwrap();
    assert!(
        findings
            .iter()
            .any(|it| it["about"] == "board" && it["status"] == "ok")
    );
}

#[test]
fn set_up_gives_no_address_that_nobody_can_reach() {
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", dir.path().join("api.sock").display());
    for address in ["0.0.0.0:0", socket.as_str()] {
        let env = [
            ("RKGATE_LISTEN__API", address),
            ("RKGATE_AUTH__ALLOW_ANONYMOUS", "true"),
        ];
        let server = Server::start(dir.path(), &[], &env);
        let (_, body) = get(&server.admin, "/api/setup", "");
        let setup: Value = serde_json::from_str(&body).unwrap();
        let expected = match server.api.strip_prefix("http://0.0.0.0:") {
            Some(port) => format!("http://<this machine>:{port}/v1"),
            None => format!("(through a proxy to {}) /v1", &socket["unix:".len()..]),
        };
        assert_eq!(setup["open_webui"]["url"], expected);
    }
}

/// As when rkgate is started where its sources are.
#[test]
fn copies_of_the_shipped_files_count_as_shipped() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["rules", "policies"] {
        fs::create_dir(dir.path().join(kind)).unwrap();
    }
    for file in shipped::files() {
        let name = file.path.strip_suffix(" (shipped)").unwrap();
        fs::write(dir.path().join(name), file.text).unwrap();
    }
    let server = Server::start(dir.path(), &[], &[("RKGATE_POLICY__WATCH", "false")]);
    let overview = || {
        let (_, body) = get(&server.admin, "/api/policy", "");
        let overview: Value = serde_json::from_str(&body).unwrap();
        let files = overview["files"].as_array().unwrap().clone();
        (overview["tests"].as_u64().unwrap(), files)
    };
    let (tests, files) = overview();
    assert!(tests > 0, "their tests run");
    for file in &files {
        assert_eq!(file["held"], "shipped", "{file}");
    }
    let changed = dir.path().join("rules/60-tasks.toml");
    let text = fs::read_to_string(&changed).unwrap();
    fs::write(&changed, text + "# mine\n").unwrap();
    let replaced: Vec<Value> = overview()
        .1
        .into_iter()
        .filter(|file| file["held"] == "replaced")
        .collect();
    assert_eq!(replaced.len(), 1);
    assert_eq!(replaced[0]["id"], "rules/60-tasks.toml");
}

#[test]
fn a_policy_is_edited_followed_and_returned_from() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    let admin = &server.admin;
    let put = |text: &str, base: &str| {
        let body = json!({ "text": text, "base": base }).to_string();
        let head = "PUT /api/policy/files/rules/90-local.toml HTTP/1.1\r\n\
                    Content-Type: application/json";
        let (status, _, body) = call(admin, head, &body);
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let generation = || {
        let chat = r#"{"model":"qwen3-0.6b","max_tokens":1,"messages":[{"role":"user","content":"Hello"}]}"#;
        let head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json";
        let (status, head, _) = call(&server.api, head, chat);
        let generation = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("x-rkgate-policy: ")
                .map(str::to_owned)
        });
        (status, generation.unwrap_or_default())
    };
    let deny = "schema = 1\n[[deny]]\nid = \"local.no\"\nmessage = \"Not today.\"\n";
    assert_eq!(generation(), (200, "1".to_owned()));
    let (status, saved) = put(deny, "");
    assert_eq!((status, &saved["generation"]), (200, &json!(2)), "{saved}");
    assert_eq!(generation().0, 403);

    let (status, refused) = put(
        "schema = 1\n[[deny]]\nid = \"\u{fc}\"\nmesage = \"x\"\n",
        "",
    );
    assert_eq!(status, 409, "the file has come meanwhile: {refused}");
    let (_, file) = get(admin, "/api/policy/files/rules/90-local.toml", "");
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["text"], deny);
    let version = file["version"].as_str().unwrap();
    let (status, refused) = put(
        "schema = 1\n[[deny]]\nid = \"\u{fc}\"\nmesage = \"x\"\n",
        version,
    );
    assert_eq!(status, 422, "{refused}");
    let place = refused["problems"]
        .as_array()
        .unwrap()
        .iter()
        .find(|problem| problem["code"] == "P002")
        .map(|problem| problem["places"][0].clone())
        .unwrap_or_else(|| panic!("{refused}"));
    assert_eq!(place["id"], "rules/90-local.toml");
    assert_eq!((&place["line"], &place["column"]), (&4.into(), &1.into()));

    let undo = "POST /api/policy/undo HTTP/1.1\r\nContent-Type: application/json";
    assert_eq!(call(admin, undo, r#"{"generation":1}"#).0, 200);
    assert_eq!(generation(), (200, "3".to_owned()));
    assert!(!dir.path().join("rules/90-local.toml").exists());
}

#[test]
fn only_rule_and_policy_files_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[]);
    for path in [
        "rules/..%2frkgate.toml",
        "rules/%2e%2e%2fx.toml",
        "etc/x.toml",
        "rules/x.sh",
        "rules/.x.toml",
    ] {
        let head =
            format!("PUT /api/policy/files/{path} HTTP/1.1\r\nContent-Type: application/json");
        let (status, ..) = call(&server.admin, &head, r#"{"text":"schema = 1\n","base":""}"#);
        assert_eq!(status, 404, "{path}");
    }
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.contains("toml") || name == "rules")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The newest record of the log, once there is one.
fn newest(server: &Server) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (status, body) = get(&server.admin, "/api/log?limit=1", "");
        let page = serde_json::from_str::<Value>(&body).unwrap();
        match page.pointer("/records/0") {
            Some(record) => return record.clone(),
            None => assert!(Instant::now() < deadline, "{status} {body}"),
        }
    }
}

#[test]
fn a_logged_request_is_charted_explained_again_and_tried_with_other_rules() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[], &[("RKGATE_LOG__FLUSH", "20ms")]);
    let chat = json!({
        "model": "qwen3-0.6b",
        "max_tokens": 4,
        "messages": [
            { "role": "user", "content": "Hello" },
            { "role": "assistant", "content": "<think>Who is there?</think>\n\nGood day." },
            { "role": "user", "content": "And now? /no_think" },
        ],
    });
    let head = "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json";
    assert_eq!(call(&server.api, head, &chat.to_string()).0, 200);
    let id = newest(&server)["id"].clone();
    let of_log = |path: &str| {
        let (status, body) = get(&server.admin, &format!("/api/log/{path}"), "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str::<Value>(&body).unwrap()
    };

    let series = of_log("series?since=1h&spans=12");
    let requests = series["buckets"].as_array().unwrap().iter();
    let requests: u64 = requests.map(|it| it["requests"].as_u64().unwrap()).sum();
    assert_eq!(requests, 1, "{series}");
    assert_eq!(series["groups"][0]["model"], "qwen3-0.6b");

    let logged = of_log(&id.to_string());
    let explained = of_log(&format!("{id}/explain"));
    assert_eq!(explained["generation"], 1);
    assert_eq!(explained["decision"]["class"], logged["class"]);
    assert_eq!(
        explained["rewritten"], true,
        "the thinking goes: {explained}"
    );
    let post = "POST /api/explain HTTP/1.1\r\nContent-Type: application/json";
    let ask = |asked: Value| {
        let (status, _, body) = call(&server.admin, post, &asked.to_string());
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, told) = ask(json!({ "headers": {}, "body": chat }));
    assert_eq!((status, &told["prompt"]), (200, &explained["prompt"]));
    let header = json!({ "X-OpenWebUI-Task": "title_generation" });
    let (_, told) = ask(json!({ "headers": header, "body": chat }));
    assert_eq!(told["decision"]["class"], "task/title_generation");
    let (status, told) = ask(json!({ "body": { "model": "m" } }));
    assert_eq!(status, 400, "{told}");
    let error = told["error"]["message"].as_str().unwrap();
    assert!(error.contains("messages"), "{error}");

    let post = "POST /api/replay HTTP/1.1\r\nContent-Type: application/json";
    let trial = |text: &str| {
        let files = json!([{ "id": "rules/90-local.toml", "text": text }]);
        let (status, _, body) = call(&server.admin, post, &json!({ "files": files }).to_string());
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let deny = "schema = 1\n[[deny]]\nid = \"local.no\"\nmessage = \"Not today.\"\n";
    let (status, report) = trial(deny);
    assert_eq!(status, 200, "{report}");
    assert_eq!(
        (&report["requests"], &report["refused"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(report["examples"][0]["after"]["refused_by"], "local.no");
    let (_, report) = trial("schema = 1\n");
    assert_eq!(report["changed"], 0);
    for (asked, requests) in [
        (json!({ "since": "1h", "class": "chat" }), 1),
        (json!({ "class": "task/*" }), 0),
        (json!({ "failed": true, "last": 5 }), 0),
    ] {
        let (status, _, body) = call(&server.admin, post, &asked.to_string());
        let report: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &report["requests"]),
            (200, &json!(requests)),
            "{asked}"
        );
    }
    let (status, _, body) = call(&server.admin, post, r#"{"klass":"chat"}"#);
    assert_eq!(status, 422, "{body}");
    assert!(body.contains("klass"), "{body}");
    assert_eq!(call(&server.admin, post, r#"{"since":"yesterday"}"#).0, 400);
    let (status, report) = trial("schema = 2\n");
    assert_eq!(status, 422);
    assert!(
        report["problems"][0]["places"][0]["line"].is_number(),
        "{report}"
    );
    assert_eq!(
        call(&server.api, head, &chat.to_string()).0,
        200,
        "nothing is in force"
    );
}
