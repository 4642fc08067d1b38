#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

//! Estimates held against a real tokenizer: what the stages let through fits.

use std::{path::Path, sync::LazyLock};

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::*;
use crate::{
    chat::{Content, Part, Request},
    policy::{Excess, Facts, History, ModelFact, ModelSettings, ToolLimits, tools},
    wire::openai,
};

const CONTEXT: u32 = 4096;
const RESERVE: u32 = 1024;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    rkllm_sim::shipped::install(dir.path()).unwrap();
    let folder = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut qwen: Vec<_> = folder
        .filter(|path| path.to_string_lossy().contains("wen3-1.7"))
        .collect();
    Tokenizer::from_file(qwen.pop().unwrap().join("tokenizer.json")).unwrap()
});

fn count(text: &str) -> u32 {
    TOKENIZER.encode_fast(text, false).unwrap().len() as u32
}

/// The prompt of ChatML models, tools as `json.dumps` writes them.
fn prompt(request: &Request) -> u32 {
    let mut prompt = String::new();
    let mut images = 0;
    if !request.tools.is_empty() {
        prompt += "<|im_start|>system\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>";
        for tool in &request.tools {
            prompt += &format!("\n{}", spaced(&tool.definition));
        }
        prompt += "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n";
    }
    for message in &request.messages {
        prompt += &format!(
            "<|im_start|>{}\n{}",
            message.role.as_str(),
            message.content.text()
        );
        for call in &message.tool_calls {
            prompt += &format!(
                "\n<tool_call>\n{{\"name\": \"{}\", \"arguments\": {}}}\n</tool_call>",
                call.name, call.arguments
            );
        }
        if message.role == Role::Tool {
            prompt += "\n<tool_response>\n\n</tool_response>";
        }
        prompt += "<|im_end|>\n";
        if let Content::Parts(parts) = &message.content {
            images += parts
                .iter()
                .filter(|part| matches!(part, Part::Image(_)))
                .count() as u32;
        }
    }
    count(&(prompt + "<|im_start|>assistant\n<think>\n\n</think>\n\n")) + images * 196
}

fn spaced(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("\"{name}\": {}", spaced(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(spaced).collect::<Vec<_>>().join(", ")
        ),
        value => value.to_string(),
    }
}

fn limited(request: &Request, chars_per_token: f32) -> Request {
    let mut facts = Facts::example();
    facts.models[0].chars_per_token = chars_per_token;
    let settings = ModelSettings {
        context: Some(CONTEXT),
        reserve: Some(RESERVE),
        history: History {
            window_chars: Some(12_000),
            keep_chars: Some(6_000),
            keep_turns: Some(2),
            assistant_cap_chars: None,
        },
        tools: Some(ToolLimits {
            max_tokens: 600,
            on_excess: Excess::Prune,
            builtin: Vec::new(),
        }),
        ..ModelSettings::default()
    };
    let context = Context {
        original: request,
        labels: &[],
        model: facts.models.first(),
        settings: &settings,
    };
    let mut rewriter = Rewriter::new(request);
    tools::apply(&mut rewriter, &context);
    apply(&mut rewriter, &context);
    rewriter.finish().unwrap_or_else(|| request.clone())
}

/// Every kind of request that Open WebUI sends.
#[test]
fn what_open_webui_sends_fits() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openwebui");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let exchange: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let body = exchange["body_raw"].as_str().unwrap();
        let Ok(request) = openai::decode_chat(body.as_bytes()) else {
            continue;
        };
        let tokens = prompt(&limited(&request, ModelFact::CHARS_PER_TOKEN));
        assert!(tokens <= CONTEXT - 512, "{}: {tokens}", path.display());
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

/// Long chats in several scripts, with code and numbers.
#[test]
fn long_chats_of_all_kinds_fit() {
    for sample in [
        "The quick brown fox jumps over the lazy dog, and nobody in the whole village knows why it does so. ",
        "Die Wärmepumpe überträgt Wärme aus der Außenluft; größere Anlagen benötigen Geräuschdämpfung. ",
        "Тепловой насос переносит тепло из наружного воздуха в дом, даже если на улице холодно. ",
        "热泵把室外空气中的热量带到室内，即使天气很冷也能工作。",
        "ヒートポンプは外気の熱を室内に運びます。寒い日でも動作します。",
        "히트펌프는 바깥 공기의 열을 실내로 옮깁니다. ",
        "المضخة الحرارية تنقل الحرارة من الهواء الخارجي إلى المنزل. ",
        "हीट पंप बाहरी हवा से गर्मी को घर में लाता है। ",
        "let x_17 = foo(&bar[3], |y| y.map(|z| z + 0x1f))?; // {{}} => !=\n",
        "2026-11-22 16:23:21, 3.14159, 1,234,567.89; 0800-555-0199\n",
        "😀👍🏽🇩🇪👨‍👩‍👧‍👦🎉",
        "aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQ5kQ2Fz",
    ] {
        let long = sample.repeat(400 / sample.chars().count() + 1);
        let mut messages = vec![json!({"role": "system", "content": "You are Bob."})];
        for _ in 0..30 {
            messages.push(json!({"role": "user", "content": sample}));
            messages.push(json!({"role": "assistant", "content": long}));
        }
        messages.push(json!({"role": "user", "content": "And now?"}));
        let body = json!({"model": "qwen3-1.7b", "messages": messages});
        // After some turns the gateway knows how many characters this model's tokens have; a script that the vocabulary
        // does not know shows there.
        let exact = long.chars().count() as f32 / count(&long) as f32;
        let learned = if exact < 1.0 {
            exact
        } else {
            ModelFact::CHARS_PER_TOKEN
        };
        let rewritten = limited(
            &openai::decode_chat(body.to_string().as_bytes()).unwrap(),
            learned,
        );
        let tokens = prompt(&rewritten);
        assert!(tokens <= CONTEXT - 512, "{sample}: {tokens}");
        // Care must not cost most of the context.
        assert!(tokens >= 1000, "{sample}: {tokens}");
    }
}

#[test]
fn definitions_of_tools_are_not_underestimated() {
    let exchange = include_str!("../../../tests/fixtures/openwebui/chat-native-tools.json");
    let exchange: Value = serde_json::from_str(exchange).unwrap();
    let request = openai::decode_chat(exchange["body_raw"].as_str().unwrap().as_bytes()).unwrap();
    let facts = Facts::example();
    let settings = ModelSettings::default();
    let context = Context {
        original: &request,
        labels: &[],
        model: facts.models.first(),
        settings: &settings,
    };
    for tool in &request.tools {
        let estimate = tools::tokens(&tool.definition, &context);
        let exact = count(&spaced(&tool.definition));
        assert!(
            estimate >= exact && estimate <= exact * 2,
            "{}: {estimate} for {exact}",
            tool.name
        );
    }
}
