//! The dashboard and the metrics of a gateway that has served.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use regex::Regex;
use serde_json::Value;

use super::{
    server::{Server, call, get},
    shared::query,
};

/// What only a board's kernel tells.
const ELSEWHERE: &str = "rkgate_board_";

/// The labels of each metric, as `name="value"`.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// What a gateway tells after it has served, shared an answer and met an upstream that is gone.
fn metrics() -> Metrics {
    let dir = tempfile::tempdir().unwrap();
    let upstream = "[[upstream]]\nname = \"gone\"\nurls = [\"http://127.0.0.1:1/v1\"]\nmodels = [{ as = \"far\", model = \"far\" }]\n";
    fs::write(dir.path().join("rkgate.toml"), upstream).unwrap();
    let collector = ("RKGATE_TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:1");
    let server = Server::start(dir.path(), &["serve"], &[collector]);
    let hello = |model: &str| {
        format!(
            r#"{{"model":"{model}","max_tokens":4,"messages":[{{"role":"user","content":"Hello"}}]}}"#
        )
    };
    for (body, status) in [
        (hello("qwen3-0.6b"), 200),
        (hello("far"), 502),
        (query(), 200),
        (query(), 200),
    ] {
        let answer = call(&server.api, "POST /v1/chat/completions HTTP/1.1", &body);
        assert_eq!(answer.0, status, "{}", answer.2);
    }
    let (_, text) = get(&server.admin, "/metrics", "");
    let sample = Regex::new(r"^(\w+)(?:\{(.*)\})? ").unwrap();
    let label = Regex::new(r#"\w+="[^"]*""#).unwrap();
    let mut metrics = Metrics::new();
    for sample in text.lines().filter_map(|line| sample.captures(line)) {
        let labels = sample.get(2).map_or("", |labels| labels.as_str());
        let known = metrics.entry(sample[1].to_owned()).or_default();
        known.extend(
            label
                .find_iter(labels)
                .map(|label| label.as_str().to_owned()),
        );
    }
    metrics
}

/// The queries of the panels and the annotations.
fn queries() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/rkgate.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let list = |of: &Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
    let panels = list(&dashboard, "panels");
    let targets = panels.iter().flat_map(|panel| list(panel, "targets"));
    let annotations = list(&dashboard["annotations"], "list");
    let exprs = targets
        .chain(annotations)
        .map(|it| it["expr"].as_str().unwrap().to_owned());
    exprs.collect()
}

#[test]
fn the_dashboard_asks_for_metrics_and_labels_that_are_there() {
    let metrics = metrics();
    let queries = queries();
    assert!(queries.len() > 40, "{}", queries.len());
    let metric = Regex::new(r"\b((?:rkgate|gen_ai_server|gen_ai_client)_\w+)\{([^}]*)\}").unwrap();
    let matcher = Regex::new(r#"(\w+)(=~|!=|!~|=)("[^"]*")"#).unwrap();
    let groups = Regex::new(r"by \(([^)]*)\)").unwrap();
    for query in queries {
        let asked: Vec<_> = metric.captures_iter(&query).collect();
        assert!(!asked.is_empty(), "{query}");
        let mut told = BTreeSet::new();
        for asked in asked
            .iter()
            .filter(|asked| !asked[1].starts_with(ELSEWHERE))
        {
            let there = metrics.get(&asked[1]);
            let labels = there.unwrap_or_else(|| panic!("no {} for {query}", &asked[1]));
            told.extend(labels);
            for wanted in matcher.captures_iter(&asked[2]) {
                let (name, value) = (&wanted[1], &wanted[3]);
                let is_there = match &wanted[2] {
                    "=" => labels.contains(&format!("{name}={value}")),
                    // Prometheus adds the instance.
                    _ => name == "instance" || has(labels, name),
                };
                assert!(is_there, "no {name} of {} for {query}", &asked[1]);
            }
        }
        for group in groups.captures_iter(&query) {
            for name in group[1].split(", ").filter(|name| *name != "instance") {
                assert!(has(told.iter().copied(), name), "no {name} for {query}");
            }
        }
    }
}

fn has<'l>(labels: impl IntoIterator<Item = &'l String>, name: &str) -> bool {
    let begins = format!("{name}=");
    labels.into_iter().any(|label| label.starts_with(&begins))
}
