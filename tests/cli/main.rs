//! The real binary from outside: what its commands print and how they end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod bench;
mod console;
mod dashboard;
mod engine_faults;
mod explain;
mod kv_cache;
mod log;
mod log_commands;
mod log_server;
mod open_webui;
mod request_lines;
mod running;
mod schemas;
mod serve;
mod server;
mod shared;
mod tasks;
mod traces;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn rkgate(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("RKGATE_LISTEN__API", "127.0.0.1:0")
        .env("RKGATE_LISTEN__ADMIN", "127.0.0.1:0")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_version_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let output = rkgate(dir.path(), &["--version"]);
    assert_eq!(
        text(&output.stdout),
        format!("rkgate {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn check_exits_with_1_and_points_at_the_fault() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("rkgate.toml"),
        "[engine]\nlibary = \"sim\"\nqueue_limit = -1\n",
    )
    .unwrap();
    let output = rkgate(dir.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "\
error[C002]: unknown key `libary`
  ┌─ rkgate.toml:2:1
  │
2 │ libary = \"sim\"
  │ ^^^^^^
  │
  = help: did you mean `library`?

error[C003]: invalid value: integer `-1`, expected a whole number from 0 up
  ┌─ rkgate.toml:3:15
  │
3 │ queue_limit = -1
  │               ^^

2 errors
";
    let trimmed: String = text(&output.stdout)
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect();
    assert_eq!(trimmed, expected);
}

#[test]
fn check_speaks_json_to_programs() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("my.toml"), "[limits]\nbody = \"much\"\n").unwrap();
    let output = rkgate(
        dir.path(),
        &["check", "--config", "my.toml", "--format", "json"],
    );
    assert_eq!(output.status.code(), Some(1));
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(problems[0]["code"], "C003");
    assert_eq!(problems[0]["places"][0]["line"], 2);
    assert_eq!(problems[0]["places"][0]["file"], "my.toml");
    assert_eq!(problems.as_array().unwrap().len(), 1);
}

#[test]
fn check_is_content_with_nothing_and_with_the_starter_file() {
    let dir = tempfile::tempdir().unwrap();
    let output = rkgate(dir.path(), &["check"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("rkgate.example.toml");
    fs::copy(starter, dir.path().join("rkgate.toml")).unwrap();
    let output = rkgate(dir.path(), &["check"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    let (config, files) = stdout.split_once('\n').unwrap();
    assert_eq!(config, "rkgate.toml is fine");
    assert!(files.contains("rule and policy files are fine"), "{stdout}");
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = rkgate(dir.path(), &["models", "--config", "none.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text(&output.stderr).contains("cannot read none.toml: No such file"),
        "{output:?}"
    );
}

#[test]
fn models_are_listed_for_people_and_programs() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("models")).unwrap();
    let output = rkgate(dir.path(), &["models", "--library", "/no/such.so"]);
    assert_eq!(text(&output.stdout), "no *.rkllm below models\n");
    let output = rkgate(dir.path(), &["models", "--library", "none"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, "engine.library is none: only upstreams answer\n");
    let output = rkgate(dir.path(), &["models", "--library", "sim"]);
    let table = text(&output.stdout);
    assert!(
        table.starts_with("no *.rkllm below models: the simulator's own models\nMODEL "),
        "{table}"
    );
    assert!(table.contains("\nqwen3-1.7b "), "{table}");
    fs::write(dir.path().join("models/Qwen3-1.7B-rk3588-w8a8.rkllm"), "").unwrap();
    let output = rkgate(dir.path(), &["models"]);
    let table = text(&output.stdout);
    assert!(
        table.starts_with("MODEL       KIND  FAMILY  SIZE  QUANT  CONTEXT"),
        "{table}"
    );
    assert!(
        table.contains("\nqwen3-1.7b  text  Qwen3   1.7B  w8a8   4096 "),
        "{table}"
    );
    assert!(
        table.contains("\nwarning: qwen3-1.7b: no tokenizer.json"),
        "{table}"
    );
    let output = rkgate(dir.path(), &["models", "--format", "json"]);
    let models: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(models[0]["id"], "qwen3-1.7b");
}

#[test]
fn the_schema_is_printed_for_editors() {
    let dir = tempfile::tempdir().unwrap();
    let output = rkgate(dir.path(), &["schema", "config"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn wrong_use_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(rkgate(dir.path(), &["sevre"]).status.code(), Some(2));
    assert_eq!(
        rkgate(dir.path(), &["check", "--set", "nonsense"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn doctor_examines_a_board_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for (path, content) in [
        (
            "proc/device-tree/compatible",
            "radxa,rock-5b\0rockchip,rk3588\0",
        ),
        (
            "proc/meminfo",
            "MemTotal: 16273312 kB\nMemAvailable: 12000000 kB\n",
        ),
        (
            "proc/self/limits",
            "Max open files            65536 524288 files\n",
        ),
        ("sys/class/devfreq/dmc/governor", "dmc_ondemand\n"),
        ("sys/class/devfreq/dmc/cur_freq", "528000000\n"),
        (
            "sys/class/devfreq/dmc/available_frequencies",
            "528000000 2112000000\n",
        ),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let output = rkgate(dir.path(), &["doctor", "--root", "root"]);
    let report = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(1),
        "there is no NPU device: {report}"
    );
    for part in [
        "ok    board     rk3588 (radxa,rock-5b)",
        "warn  runtime   no librkllmrt.so: the simulator answers, not the NPU",
        "FAIL  devices   neither /dev/dri/renderD* nor /dev/rknpu exists",
        "warn  ddr       dmc: governor dmc_ondemand, 528 of 2112 MHz",
        "fix: echo performance | sudo tee /sys/class/devfreq/dmc/governor",
        r#"Headers  {"X-OpenWebUI-Task": "{{TASK}}""#,
    ] {
        assert!(report.contains(part), "missing {part} in\n{report}");
    }
    let output = rkgate(
        dir.path(),
        &["doctor", "--root", "root", "--format", "json"],
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let headers: serde_json::Value =
        serde_json::from_str(report["open_webui"]["headers"].as_str().unwrap()).unwrap();
    assert_eq!(headers["X-OpenWebUI-Task"], "{{TASK}}");
    assert!(
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|finding| finding["status"] == "fail")
    );
}

/// A panel that asks for a metric that nobody writes stays empty without a word.
#[test]
fn the_dashboard_asks_for_metrics_that_the_manual_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dashboard = fs::read_to_string(root.join("deploy/grafana/rkgate.json")).unwrap();
    let manual = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names: std::collections::BTreeSet<&str> = dashboard
        .split(|c: char| !is_name(c))
        .filter(|word| {
            word.starts_with("rkgate_")
                || word.starts_with("gen_ai_server")
                || word.starts_with("gen_ai_client")
        })
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let documented = |name: &str| manual.contains(&format!("`{name}`"));
        let shortened = name == "rkgate_board_memory_available_bytes";
        assert!(
            documented(name) || of_histogram.is_some_and(documented) || shortened,
            "{name}"
        );
    }
}
