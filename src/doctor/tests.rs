#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::fs;

use super::*;
use crate::config::Inputs;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

const GOOD: [(&str, &str); 14] = [
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
        "Limit   Soft Limit Hard Limit Units\nMax open files            65536 524288 files\n",
    ),
    (
        "usr/lib/librkllmrt.so",
        "\x7fELF..RKLLM SDK (version: 1.2.3 | target: Linux)\0...",
    ),
    ("usr/lib/aarch64-linux-gnu/libgomp.so.1", ""),
    ("sys/module/rknpu/version", "0.9.8\n"),
    ("sys/class/devfreq/fdab0000.npu/governor", "performance\n"),
    ("sys/class/devfreq/fdab0000.npu/cur_freq", "1000000000\n"),
    ("sys/class/devfreq/dmc/governor", "performance\n"),
    ("sys/class/devfreq/dmc/cur_freq", "2112000000\n"),
    (
        "sys/class/devfreq/dmc/available_frequencies",
        "528000000 2112000000\n",
    ),
    ("dev/dri/renderD128", ""),
    ("dev/rknpu", ""),
    ("dev/dma_heap/system", ""),
];

fn look(files: &[(&str, &str)], toml: &str) -> Vec<Finding> {
    let root = tree(files);
    let file = root.path().join("rkgate.toml");
    fs::write(&file, toml).unwrap();
    let config = Inputs::new(Some(file), []).load().unwrap().config;
    machine(&Board::new(root.path()), Some(&config))
}

/// The board of [`GOOD`] with one file changed, or taken away.
fn look_with(path: &str, text: Option<&str>) -> Vec<Finding> {
    let others = GOOD.iter().filter(|(other, _)| *other != path).copied();
    let files: Vec<_> = others.chain(text.map(|text| (path, text))).collect();
    look(&files, "")
}

fn status(findings: &[Finding], about: &str) -> Vec<Status> {
    findings
        .iter()
        .filter(|finding| finding.about == about)
        .map(|finding| finding.status)
        .collect()
}

#[test]
fn a_board_in_order_has_no_complaints() {
    let findings = look(&GOOD, "");
    assert!(
        findings.iter().all(|finding| finding.status == Status::Ok),
        "{findings:#?}"
    );
    assert!(
        findings
            .iter()
            .any(|finding| finding.message.ends_with("librkllmrt.so 1.2.3"))
    );
}

#[test]
fn a_machine_without_a_board_runs_the_simulator() {
    let files: Vec<_> = GOOD
        .iter()
        .filter(|(path, _)| path.starts_with("proc/me") || path.contains("limits"))
        .copied()
        .collect();
    let findings = look(&files, "");
    assert!(
        findings.iter().all(|finding| finding.status == Status::Ok),
        "{findings:#?}"
    );
    assert!(
        findings
            .iter()
            .any(|finding| finding.message == "the simulator")
    );
    let findings = look(&files, "[engine]\nlibrary = \"/usr/lib/librkllmrt.so\"\n");
    assert_eq!(status(&findings, "board"), [Status::Fail]);
}

#[test]
fn each_fault_is_found_and_has_a_cure() {
    for (path, text, about, expected) in [
        (
            "proc/device-tree/compatible",
            Some("x\0rockchip,rk3399\0"),
            "board",
            Status::Fail,
        ),
        (
            "proc/meminfo",
            Some("MemTotal: 2000000 kB\nMemAvailable: 500000 kB\n"),
            "memory",
            Status::Warn,
        ),
        (
            "proc/self/limits",
            Some("Max open files  1024 524288 files\n"),
            "files",
            Status::Warn,
        ),
        (
            "usr/lib/librkllmrt.so",
            Some("nothing"),
            "runtime",
            Status::Fail,
        ),
        (
            "usr/lib/librkllmrt.so",
            Some("RKLLM SDK (version: 1.4.0 | target"),
            "runtime",
            Status::Fail,
        ),
        ("usr/lib/librkllmrt.so", None, "runtime", Status::Warn),
        (
            "usr/lib/aarch64-linux-gnu/libgomp.so.1",
            None,
            "libgomp",
            Status::Fail,
        ),
        (
            "sys/module/rknpu/version",
            Some("v0.9.6\n"),
            "npu",
            Status::Warn,
        ),
        ("sys/module/rknpu/version", None, "npu", Status::Warn),
        (
            "sys/class/devfreq/dmc/governor",
            Some("dmc_ondemand"),
            "ddr",
            Status::Ok,
        ),
        (
            "sys/class/devfreq/dmc/cur_freq",
            Some("528000000"),
            "ddr",
            Status::Ok,
        ),
    ] {
        let findings = look_with(path, text);
        let worst = status(&findings, about).into_iter().max();
        assert_eq!(worst, Some(expected), "{path} {text:?}: {findings:#?}");
        for finding in findings {
            assert_eq!(
                finding.fix.is_none(),
                finding.status == Status::Ok,
                "{finding:?}"
            );
        }
    }
}

#[test]
fn slow_memory_is_named_with_the_command_that_speeds_it_up() {
    let mut files = GOOD.to_vec();
    for file in &mut files {
        match file.0 {
            "sys/class/devfreq/dmc/governor" => file.1 = "dmc_ondemand\n",
            "sys/class/devfreq/dmc/cur_freq" => file.1 = "528000000\n",
            _ => {}
        }
    }
    let findings = look(&files, "");
    let ddr = findings
        .iter()
        .find(|finding| finding.about == "ddr")
        .unwrap();
    assert_eq!(ddr.status, Status::Warn);
    assert_eq!(ddr.message, "dmc: governor dmc_ondemand, 528 of 2112 MHz");
    assert_eq!(
        ddr.fix.as_deref(),
        Some("echo performance | sudo tee /sys/class/devfreq/dmc/governor")
    );
}

#[test]
fn an_npu_without_a_device_is_a_failure() {
    let files: Vec<_> = GOOD
        .iter()
        .filter(|(path, _)| !path.starts_with("dev/"))
        .copied()
        .collect();
    assert_eq!(status(&look(&files, ""), "devices"), [Status::Fail]);
}

#[tokio::test]
async fn ports_and_upstreams_are_tried() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken_at, free_at) = (taken.local_addr().unwrap(), free.local_addr().unwrap());
    drop(free);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rkgate.toml");
    let toml = format!(
        "[listen]\napi = \"{taken_at}\"\nadmin = \"127.0.0.1:0\"\n\
         [[upstream]]\nname = \"up\"\nurls = [\"http://{taken_at}/v1\", \"http://{free_at}/v1\"]\n"
    );
    fs::write(&file, toml).unwrap();
    let config = Inputs::new(Some(file), []).load().unwrap().config;
    let mut findings = listeners(&config).await;
    findings.extend(upstreams(&config).await);
    assert_eq!(status(&findings, "ports"), [Status::Warn, Status::Ok]);
    assert_eq!(status(&findings, "upstream"), [Status::Ok, Status::Fail]);
}

#[test]
fn a_prompt_log_that_cannot_be_written_is_told_with_its_cure() {
    let root = tree(&[("garbage.sqlite", "this is no database ")]);
    let finding = |name: &str| prompt_log(&LogStore::Sqlite(root.path().join(name)));
    let new = finding("new.sqlite");
    assert_eq!(new.status, Status::Ok, "{new:?}");
    assert!(!root.path().join("new.sqlite").exists());
    let garbage = finding("garbage.sqlite");
    assert_eq!(garbage.status, Status::Fail, "{garbage:?}");
    assert!(garbage.fix.unwrap().starts_with("move the file away"));
    let nowhere = finding("missing/new.sqlite");
    assert_eq!(nowhere.status, Status::Fail, "{nowhere:?}");
}
