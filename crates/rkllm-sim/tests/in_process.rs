//! The built-in runtime through the safe wrapper.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

use rkllm::{
    Input, ModelOptions, RunOptions,
    abi::Abi::{self, V1_2_0, V1_2_1, V1_3_0},
};
use rkllm_sim::shipped::{self, MODELS};

/// The runtime reads its environment from the process, so a test that needs one runs `inner` in a process of its own.
fn in_environment(inner: &str, variables: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", inner, "--ignored", "--nocapture"]);
    test.env("RKLLM_SIM_NPU", dir.path().join("npu"));
    test.envs(variables.iter().copied());
    let output = test.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{}\n{log}",
        String::from_utf8_lossy(&output.stdout)
    );
    log
}

#[test]
fn every_shipped_model_answers_on_every_runtime() {
    in_environment(
        "all_models",
        &[("RKLLM_SIM_SPEED", "0"), ("RKLLM_SIM_LOG", "stderr")],
    );
}

#[test]
#[ignore = "run by every_shipped_model_answers_on_every_runtime"]
fn all_models() {
    let dir = tempfile::tempdir().unwrap();
    shipped::install(dir.path()).unwrap();
    for shipped in MODELS {
        let path = dir
            .path()
            .join(shipped.file_stem)
            .join(format!("{}.rkllm", shipped.file_stem));
        let answers = [V1_2_0, V1_2_1, V1_3_0].map(|abi| answer(abi, &path));
        assert!(
            answers[0].chars().count() > 20,
            "{}: {answers:?}",
            shipped.file_stem
        );
        assert_eq!(answers[1], answers[2], "{}", shipped.file_stem);
    }
}

fn answer(abi: Abi, path: &std::path::Path) -> String {
    let mut model = rkllm_sim::runtime(abi)
        .load(&ModelOptions::new(path, 2048, 512))
        .unwrap();
    let text = "What is the capital of France?";
    let mut answer = String::new();
    let input = Input::Prompt {
        text,
        turn: rkllm::Turn::default(),
    };
    let report = model
        .run(input, &RunOptions::default(), &mut |piece| {
            answer.extend(piece.text().map(|text| text.into_owned()))
        })
        .unwrap();
    assert!(report.finished && !report.aborted);
    assert_eq!(report.perf.is_some(), abi != V1_2_0);
    answer
}

#[test]
fn the_log_is_that_of_the_real_library() {
    let log = in_environment(
        "one_model",
        &[
            ("RKLLM_SIM_SPEED", "0"),
            ("RKLLM_SIM_LOG", "stderr"),
            ("RKLLM_LOG_LEVEL", "2"),
        ],
    );
    for line in [
        "I rkllm: rkllm-runtime version: 1.2.3, rknpu driver version: 0.9.8, platform: RK3588\n",
        "I rkllm: Enabled cpus: [4, 5, 6, 7]\nI rkllm: Enabled cpus num: 4\n",
        "I rkllm: Top-K: 40\n",
        "I rkllm: prompt text: \"<|im_start|>user\\nWhat is the capital of France?<|im_end|>\\n",
        "I rkllm: prompt tokens: [ '<|im_start|>':",
        "I rkllm: kv cache matches 0 / ",
        "I rkllm:  Stage         Total Time (ms)  Tokens    Time per Token (ms)      Tokens per Second",
        "I rkllm:  Init          ",
        "I rkllm:  Prefill       ",
        "I rkllm:  Peak Memory Usage (GB)\n",
        "I rkllm: In this conversation: the newly added user cache size is ",
    ] {
        assert!(log.contains(line), "{line:?} in\n{log}");
    }
}

#[test]
#[ignore = "run by the_log_is_that_of_the_real_library"]
fn one_model() {
    let dir = tempfile::tempdir().unwrap();
    shipped::install(dir.path()).unwrap();
    answer(
        V1_2_1,
        &dir.path()
            .join("Qwen3-0.6B-rk3588-w8a8/Qwen3-0.6B-rk3588-w8a8.rkllm"),
    );
}
