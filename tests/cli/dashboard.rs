//! The dashboard and the metrics of a gateway that has served.

use std::{collections::BTreeSet, fs, path::Path};

use super::server::{Server, call, get};

/// What only a board's kernel tells, and what only a mishap that no test can order leaves behind.
const ELSEWHERE: [&str; 3] = [
    "rkgate_board_",
    "rkgate_prefix_misses_total",
    "rkgate_prefix_lost_tokens_total",
];

#[test]
fn the_dashboard_asks_for_metrics_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dashboard = fs::read_to_string(root.join("deploy/grafana/rkgate.json")).unwrap();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let asked: BTreeSet<&str> = dashboard
        .split(|c: char| !is_name(c))
        .filter(|word| word.starts_with("rkgate_") || word.starts_with("gen_ai_server_"))
        .collect();
    assert!(asked.len() > 30, "{asked:?}");

    let dir = tempfile::tempdir().unwrap();
    let upstream = "[[upstream]]\nname = \"gone\"\nurls = [\"http://127.0.0.1:1/v1\"]\nmodels = [{ as = \"far\", model = \"far\" }]\n";
    fs::write(dir.path().join("rkgate.toml"), upstream).unwrap();
    let collector = ("RKGATE_TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:1");
    let server = Server::start(dir.path(), &["serve"], &[collector]);
    for (model, status) in [("qwen3-0.6b", 200), ("far", 502)] {
        let body = format!(
            r#"{{"model":"{model}","max_tokens":4,"messages":[{{"role":"user","content":"Hello"}}]}}"#
        );
        let answer = call(&server.api, "POST /v1/chat/completions HTTP/1.1", &body);
        assert_eq!(answer.0, status, "{}", answer.2);
    }
    let (_, metrics) = get(&server.admin, "/metrics", "");
    let there: BTreeSet<&str> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let missing: Vec<_> = asked
        .iter()
        .filter(|name| !there.contains(*name) && !ELSEWHERE.iter().any(|it| name.starts_with(it)))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {there:?}");
}
