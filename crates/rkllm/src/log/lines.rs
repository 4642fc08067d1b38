//! The texts of the library's lines.

use super::Fault;

const SHIFTED: &str = "context to be full[";

/// Who wrote a line, and how serious it is.
enum Mark {
    Error,
    Warning,
    /// Some texts come without a mark.
    None,
}

pub(super) fn classify(line: &str) -> Option<Fault> {
    let line = line.trim();
    let (mark, text) = split(line)?;
    known(text).or_else(|| match mark {
        Mark::Error if !text.is_empty() => Some(Fault::Other {
            text: text.to_owned(),
        }),
        _ => None,
    })
}

/// Parts a line from its mark. `None` for lines of information, which may quote prompts.
fn split(line: &str) -> Option<(Mark, &str)> {
    for library in ["rkllm:", "RKNN:"] {
        for (letter, mark) in [("E ", Mark::Error), ("W ", Mark::Warning)] {
            if let Some(text) = line
                .strip_prefix(letter)
                .and_then(|rest| rest.strip_prefix(library))
            {
                return Some((mark, after_time(text.trim_start())));
            }
        }
    }
    // The one piece of information that means a loss: the context was shifted.
    if let Some(text) = line
        .strip_prefix("I rkllm: ")
        .filter(|text| text.starts_with(SHIFTED))
    {
        return Some((Mark::None, text));
    }
    if line.starts_with("I ") || line.starts_with("D ") {
        None
    } else {
        Some((Mark::None, line))
    }
}

/// Lines of the driver library begin with the time in brackets.
fn after_time(text: &str) -> &str {
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((time, rest))
            if time
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b":.".contains(&byte)) =>
        {
            rest.trim_start()
        }
        _ => text,
    }
}

fn known(text: &str) -> Option<Fault> {
    loading(text)
        .or_else(|| options(text))
        .or_else(|| running(text))
}

/// Faults of the board and of the model file.
fn loading(text: &str) -> Option<Fault> {
    let has = |part| text.contains(part);
    // Before memory: out of file numbers, allocations fail as well.
    if has("errno: 24") || has("Too many open files") {
        return Some(Fault::TooManyOpenFiles);
    }
    if has("failed to open rknpu module")
        || has("failed to open rknn device")
        || has("Get device properties failed")
    {
        return Some(Fault::DriverMissing);
    }
    if let Some(wanted) = after(text, "rknpu driver version is too low, please upgrade to ") {
        return Some(Fault::DriverTooOld {
            wanted: wanted.to_owned(),
        });
    }
    if has("target_platform does not match the real platform") {
        return Some(Fault::WrongPlatform);
    }
    if let Some(platform) = after(text, "Your platform is ").filter(|_| has("Platform error")) {
        return Some(Fault::UnknownPlatform {
            platform: platform.to_owned(),
        });
    }
    if let Some((path, reason)) =
        after(text, "failed to open '").and_then(|rest| rest.split_once("': '"))
    {
        let reason = reason.strip_suffix('\'').unwrap_or(reason);
        return Some(Fault::FileMissing {
            path: path.to_owned(),
            reason: reason.to_owned(),
        });
    }
    if has("invalid magic number") || has("invalid rkllm model") {
        return Some(Fault::NotAModel);
    }
    if has("failed to read tensor data")
        || has("failed to read header")
        || has("failed to initialize context")
    {
        return Some(Fault::Truncated);
    }
    if let Some(needed) = between(text, "Please update rkllm-runtime to ", " or higher") {
        return Some(Fault::RuntimeTooOld {
            needed: needed.to_owned(),
        });
    }
    if has("the model version is too old") {
        return Some(Fault::ModelTooOld);
    }
    if let Some(name) = between(text, "the model architecture ", " is not supported") {
        return Some(Fault::UnsupportedArchitecture {
            name: name.to_owned(),
        });
    }
    if has("failed to malloc npu memory") || has("failed to allocate handle") {
        return Some(Fault::OutOfNpuMemory {
            bytes: number(text, "size: "),
        });
    }
    (has("rkllm_init failed") || has("load model file error")).then_some(Fault::InitFailed)
}

/// Options that the library refuses.
fn options(text: &str) -> Option<Fault> {
    let has = |part| text.contains(part);
    if has("must be less than the model's max_context_limit") {
        return Some(Fault::ContextAboveLimit {
            asked: number(text, "max_context[")?,
            limit: number(text, "max_context_limit[")?,
        });
    }
    if has("must be greater than or equal to the number of NPU cores") {
        return Some(Fault::TooFewCpus);
    }
    if has("Mismatch between enabled CPUs mask and expected count") {
        return Some(Fault::CpuMaskMismatch);
    }
    if has("The number of enabled CPUs between") {
        return Some(Fault::CpuCountOutOfRange {
            asked: number(text, "but got ")?,
        });
    }
    if has("n_keep must be less than the max_context_len") {
        return Some(Fault::NKeepTooLarge);
    }
    if has("The n_batch must be between") {
        return Some(Fault::BatchOutOfRange {
            asked: number(text, "but got ")?,
        });
    }
    has("base_domain_id must >= 0").then_some(Fault::NegativeDomain)
}

/// Faults of a run and of the calls that prepare it.
fn running(text: &str) -> Option<Fault> {
    let has = |part| text.contains(part);
    if has("the length of prompt is greater than max context") {
        return Some(Fault::PromptTooLong {
            tokens: number(text, "prompt: ")?,
            max: number(text, "max context: ")?,
        });
    }
    if has("the context is not enough!") {
        return Some(Fault::ContextFull);
    }
    if has(SHIFTED) {
        return Some(Fault::ContextShifted);
    }
    if has("does not support saving prompt cache") {
        return Some(Fault::PromptCacheUnsupported);
    }
    // Both spellings: the library's own and the right one.
    if has("the prompt dose not match the current model")
        || has("the prompt does not match the current model")
    {
        return Some(Fault::PromptCacheOfAnotherModel);
    }
    if has("prompt") && has("cache") && has("does not exist") {
        return Some(Fault::PromptCacheMissing);
    }
    if has("prompt") && has("cache") && has("is empty") {
        return Some(Fault::PromptCacheEmpty);
    }
    if has("multimodal input") || has("multimodal_input") || has("n_image_token[") {
        return Some(Fault::MultiModalMisuse {
            detail: text.to_owned(),
        });
    }
    if let Some(name) = between(text, "Lora adapter '", "' is already initialized") {
        return Some(Fault::LoraLoaded {
            name: name.to_owned(),
        });
    }
    if has("Lora adapter path does not exist") {
        return Some(Fault::LoraFileMissing);
    }
    after(text, "Not Found Lora adapter named: ").map(|name| Fault::LoraUnknown {
        name: name.to_owned(),
    })
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest.trim_end())
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    after(text, before)?
        .split_once(behind)
        .map(|(found, _)| found)
}

/// The number right behind `mark`.
fn number<T: std::str::FromStr>(text: &str, mark: &str) -> Option<T> {
    let rest = after(text, mark)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '-')
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}
