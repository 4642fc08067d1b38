//! What the chat templates render to.

use minijinja::{
    Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig, value::Serde,
};
use serde_json::json;

use crate::{
    Family,
    author::{Faults, fixtures::say},
    shipped::MODELS,
};

/// Renders the template of the model with this file name as Hugging Face's libraries would.
fn render(
    file_stem: &str,
    messages: &serde_json::Value,
    tools: &serde_json::Value,
    thinking: Option<bool>,
) -> Result<String, Error> {
    let model = MODELS
        .iter()
        .find(|model| model.file_stem.starts_with(file_stem))
        .unwrap();
    let mut environment = Environment::new();
    // As Python's libraries set it.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(syntax.unwrap());
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<(), Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_filter("tojson", |value: Value| {
        serde_json::to_string(&value).unwrap()
    });
    let thinking = thinking.map_or(Value::UNDEFINED, Value::from);
    environment
        .template_from_str(model.chat_template)?
        .render(context! {
            messages => Value::from(Serde(messages)),
            tools => Value::from(Serde(tools)),
            add_generation_prompt => true,
            enable_thinking => thinking,
            bos_token => model.vocabulary.bos,
        })
}

fn plain(file_stem: &str, messages: &serde_json::Value) -> String {
    render(file_stem, messages, &json!(null), None).unwrap()
}

fn chat() -> serde_json::Value {
    json!([
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "<think>\nA greeting.\n</think>\n\nHello!"},
        {"role": "user", "content": "Bye"},
    ])
}

#[test]
fn qwen3_drops_the_thinking_of_earlier_turns() {
    let expected = "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n\
                    <|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(plain("Qwen3-1.7B", &chat()), expected);
    let thinking = |on| render("Qwen3-1.7B", &chat(), &json!(null), Some(on)).unwrap();
    assert_eq!(thinking(true), expected);
    assert_eq!(
        thinking(false),
        format!("{expected}<think>\n\n</think>\n\n")
    );
}

#[test]
fn qwen3_puts_tools_into_the_system_part_and_results_into_one_user_turn() {
    let tools = json!([{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]);
    let messages = json!([
        {"role": "user", "content": "1+2 and 3+4?"},
        {"role": "assistant", "content": "", "reasoning_content": "Two sums.", "tool_calls": [
            {"function": {"name": "add", "arguments": {"a": 1, "b": 2}}},
            {"function": {"name": "add", "arguments": "{\"a\": 3}"}},
        ]},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "7"},
    ]);
    let expected = "<|im_start|>system\n# Tools\n\nThese functions can help with the request. Their signatures, one per line:\n\
        <tools>\n{\"type\":\"function\",\"function\":{\"name\":\"add\",\"parameters\":{\"type\":\"object\"}}}\n</tools>\n\n\
        To call one, answer with its name and arguments as a JSON object inside the tags:\n\
        <tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n\
        <|im_start|>user\n1+2 and 3+4?<|im_end|>\n\
        <|im_start|>assistant\n<think>\nTwo sums.\n</think>\n\n\
        <tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\":1,\"b\":2}}\n</tool_call>\n\
        <tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 3}}\n</tool_call><|im_end|>\n\
        <|im_start|>user\n<tool_response>\n3\n</tool_response>\n<tool_response>\n7\n</tool_response><|im_end|>\n\
        <|im_start|>assistant\n";
    assert_eq!(
        render("Qwen3-1.7B", &messages, &tools, None).unwrap(),
        expected
    );
}

#[test]
fn qwen3_vl_puts_images_where_they_stand_and_never_thinks() {
    let messages = json!([{"role": "user", "content": [
        {"type": "text", "text": "Look: "},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "text", "text": " What is it?"},
    ]}]);
    let expected = "<|im_start|>user\nLook: <|vision_start|><|image_pad|><|vision_end|> What is it?<|im_end|>\n\
                    <|im_start|>assistant\n";
    assert_eq!(
        render("Qwen3-VL-2B", &messages, &json!(null), Some(false)).unwrap(),
        expected
    );
}

#[test]
fn gemma_opens_the_first_user_turn_with_the_system_text() {
    let expected = "<bos><start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n\
                    <start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n";
    let mut chat = chat();
    chat[2]["content"] = json!("Hello!");
    assert_eq!(plain("Gemma-3-4B", &chat), expected);
    assert_eq!(plain("Gemma-3n-E2B", &chat), expected);
    let alone = json!([{"role": "system", "content": "Be kind."}]);
    assert_eq!(
        plain("Gemma-3-4B", &alone),
        "<bos><start_of_turn>user\nBe kind.<end_of_turn>\n<start_of_turn>model\n"
    );
}

#[test]
fn phi3_and_minicpm4_tag_each_turn_with_its_role() {
    let chat = json!([
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": null},
        {"role": "tool", "content": "3"},
    ]);
    assert_eq!(
        plain("Phi-3-mini", &chat),
        "<|system|>\nBe kind.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n<|end|>\n<|user|>\n3<|end|>\n<|assistant|>\n"
    );
    assert_eq!(
        plain("MiniCPM4", &chat),
        "<s><|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n\
         <|im_start|>assistant\n<|im_end|>\n<|im_start|>user\n3<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn a_role_that_nobody_knows_is_an_error() {
    let messages = json!([{"role": "wizard", "content": "Abracadabra"}]);
    for model in MODELS {
        let error = render(model.file_stem, &messages, &json!(null), None).unwrap_err();
        assert!(error.to_string().contains("wizard"), "{error}");
    }
}

#[test]
fn what_a_template_renders_is_read_back_by_the_model() {
    let messages = json!([{"role": "system", "content": "S"}, {"role": "user", "content": "Say the word alpha."}]);
    for (model, family) in [
        ("Qwen3-VL", Family::Qwen3Vl),
        ("Gemma-3-4B", Family::Gemma),
        ("Phi-3", Family::Phi3),
        ("MiniCPM4", Family::MiniCpm),
    ] {
        let answer = say(family, &plain(model, &messages), Faults::default());
        assert_eq!(answer, "Alpha", "{model}");
    }
    let tools = json!([{"type": "function", "function": {"name": "rec_add", "description": "Add two integers.",
        "parameters": {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}}]);
    let messages =
        json!([{"role": "user", "content": "USETOOL Use the rec_add tool to add 2 and 3."}]);
    let prompt = render("Qwen3-1.7B", &messages, &tools, Some(false)).unwrap();
    assert_eq!(
        say(Family::Qwen3, &prompt, Faults::default()),
        "<tool_call>\n{\"name\": \"rec_add\", \"arguments\": {\"a\": 2, \"b\": 3}}\n</tool_call>"
    );
}
