#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use super::*;

/// The lines as runtimes print them.
fn samples() -> Vec<(&'static str, Fault)> {
    vec![
        (
            "E rkllm: max_context[16384] must be less than the model's max_context_limit[4096]",
            Fault::ContextAboveLimit { asked: 16384, limit: 4096 },
        ),
        (
            "E rkllm: The number of enabled CPUs must be greater than or equal to the number of NPU cores.",
            Fault::TooFewCpus,
        ),
        (
            "E rkllm: Mismatch between enabled CPUs mask and expected count. Please check the configuration.",
            Fault::CpuMaskMismatch,
        ),
        (
            "E rkllm: Expected The number of enabled CPUs between 1 and 8 for RK3588, but got 9.",
            Fault::CpuCountOutOfRange { asked: 9 },
        ),
        ("E rkllm: The n_keep must be less than the max_context_len", Fault::NKeepTooLarge),
        ("E rkllm: The n_batch must be between 1 and 100, but got 0", Fault::BatchOutOfRange { asked: 0 }),
        ("E rkllm: base_domain_id must >= 0", Fault::NegativeDomain),
        (
            "E rkllm: failed to open '/models/a b.rkllm': 'No such file or directory'",
            Fault::FileMissing { path: "/models/a b.rkllm".into(), reason: "No such file or directory".into() },
        ),
        ("E rkllm: invalid rkllm model!", Fault::NotAModel),
        ("E rkllm: invalid magic number, got 73726576", Fault::NotAModel),
        ("E rkllm: failed to read tensor data", Fault::Truncated),
        ("E rkllm: failed to read header", Fault::Truncated),
        ("E rkllm: failed to initialize context", Fault::Truncated),
        ("E rkllm: the model's target_platform does not match the real platform", Fault::WrongPlatform),
        (
            "Platform error, must be either RK3588, RK3576, RV1126B or RK3562. Your platform is rockchip,rk3399",
            Fault::UnknownPlatform { platform: "rockchip,rk3399".into() },
        ),
        (
            "E rkllm: The rkllm-runtime version is lower than the rkllm-toolkit version. \
             Please update rkllm-runtime to 1.3.0 or higher.",
            Fault::RuntimeTooOld { needed: "1.3.0".into() },
        ),
        (
            "W rkllm: the model version is too old, please use the latest toolkit to reconvert the model",
            Fault::ModelTooOld,
        ),
        (
            "E rkllm: the model architecture mamba is not supported by rkllm",
            Fault::UnsupportedArchitecture { name: "mamba".into() },
        ),
        (
            "W rkllm: Warning: Your rknpu driver version is too low, please upgrade to 0.9.7",
            Fault::DriverTooOld { wanted: "0.9.7".into() },
        ),
        ("E RKNN: [08:11:52.123] failed to open rknpu module, need to insmod rknpu dirver!", Fault::DriverMissing),
        ("E RKNN: [08:11:52.123] failed to open rknn device!", Fault::DriverMissing),
        ("Get device properties failed", Fault::DriverMissing),
        (
            "E RKNN: [08:11:52.123] failed to allocate handle, ret: -1, errno: 14, errstr: Bad address",
            Fault::OutOfNpuMemory { bytes: None },
        ),
        (
            "E RKNN: [08:11:52.123] failed to malloc npu memory, size: 4022272000, flags: 0x2",
            Fault::OutOfNpuMemory { bytes: Some(4_022_272_000) },
        ),
        ("E RKNN: [08:11:52.123] load model file error!", Fault::InitFailed),
        ("E rkllm: rkllm_init failed", Fault::InitFailed),
        (
            "E RKNN: [08:11:52.123] failed to convert handle(1020) to fd, ret: -1, errno: 24, \
             errstr: Too many open files",
            Fault::TooManyOpenFiles,
        ),
        (
            "E rkllm: the length of prompt is greater than max context (prompt: 5012 tokens, max context: 4096)",
            Fault::PromptTooLong { tokens: 5012, max: 4096 },
        ),
        ("E rkllm: the context is not enough! history_s: 4000", Fault::ContextFull),
        (
            "I rkllm: context to be full[4000 + 200], delete the kv cache in [10, 510), total: 4096",
            Fault::ContextShifted,
        ),
        ("E rkllm: prompt cache file '/tmp/a.bin' does not exist", Fault::PromptCacheMissing),
        ("E rkllm: prompt cache file '/tmp/a.bin' is empty", Fault::PromptCacheEmpty),
        ("E rkllm: the prompt dose not match the current model[qwen3]", Fault::PromptCacheOfAnotherModel),
        ("W rkllm: The qwen35 model does not support saving prompt cache!", Fault::PromptCacheUnsupported),
        (
            "E rkllm: patch_h[14] * patch_w[14] != n_image_token[144]!",
            Fault::MultiModalMisuse { detail: "patch_h[14] * patch_w[14] != n_image_token[144]!".into() },
        ),
        (
            "E rkllm: multimodal input must contain the <image> tag, for plain text input, please use prompt_input",
            Fault::MultiModalMisuse {
                detail: "multimodal input must contain the <image> tag, for plain text input, please use prompt_input"
                    .into(),
            },
        ),
        ("E rkllm: Lora adapter 'x' is already initialized!", Fault::LoraLoaded { name: "x".into() }),
        ("E rkllm: Lora adapter path does not exist!", Fault::LoraFileMissing),
        ("E rkllm: Not Found Lora adapter named: x", Fault::LoraUnknown { name: "x".into() }),
        ("E rkllm: something new", Fault::Other { text: "something new".into() }),
    ]
}

#[test]
fn each_line_has_its_fault() {
    for (line, fault) in samples() {
        assert_eq!(classify(line), Some(fault), "{line}");
    }
}

#[test]
fn each_fault_has_a_cure_that_reads_as_a_sentence() {
    for (line, fault) in samples() {
        let cure = fault.cure();
        assert!(
            cure.starts_with(char::is_uppercase)
                || cure.starts_with("n_keep")
                || cure.starts_with("base"),
            "{line}"
        );
        assert!(!cure.contains("  "), "{cure}");
    }
    let cure = Fault::ContextAboveLimit {
        asked: 16384,
        limit: 4096,
    }
    .cure();
    assert!(cure.contains("16384") && cure.contains("4096"), "{cure}");
}

/// Lines of information may quote a prompt, which may say anything.
#[test]
fn information_is_no_fault() {
    for line in [
        "I rkllm: rkllm-runtime version: 1.2.3, rknpu driver version: 0.9.8, platform: RK3588",
        "I rkllm: loading rkllm model from /path/model.rkllm",
        "I rkllm: prompt text: \"E rkllm: rkllm_init failed\"",
        "D rkllm: rkllm_input is NULL",
        "W rkllm: Calling rkllm_set_chat_template will disable the internal automatic chat template parsing, including \
         enable_thinking. Make sure your custom prompt is complete and valid.",
        "some other program's line",
        "E rkllm: ",
        "",
    ] {
        assert_eq!(classify(line), None, "{line}");
    }
}

#[test]
fn the_cause_is_told_and_not_its_consequences() {
    let missing = [
        "I rkllm: rkllm-runtime version: 1.2.3, rknpu driver version: 0.9.8, platform: RK3588",
        "E rkllm: failed to open 'm.rkllm': 'No such file or directory'",
        "E rkllm: invalid rkllm model!",
        "E rkllm: rkllm_init failed",
    ];
    assert!(matches!(diagnose(missing), Some(Fault::FileMissing { .. })));
    let memory = [
        "W rkllm: Warning: Your rknpu driver version is too low, please upgrade to 0.9.7",
        "E RKNN: [01:02:03.4] failed to submit",
        "E RKNN: [01:02:03.4] failed to malloc npu memory, size: 1, flags: 0x2",
        "E rkllm: rkllm_init failed",
    ];
    assert_eq!(
        diagnose(memory),
        Some(Fault::OutOfNpuMemory { bytes: Some(1) })
    );
    assert_eq!(
        diagnose(["E rkllm: rkllm_init failed"]),
        Some(Fault::InitFailed)
    );
    assert_eq!(diagnose([]), None);
}

#[test]
fn warnings_are_told_apart() {
    let warnings = samples()
        .into_iter()
        .filter(|(_, fault)| fault.is_warning())
        .count();
    assert_eq!(warnings, 3);
}
