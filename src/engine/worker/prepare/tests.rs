#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::{AddedToken, Tokenizer, models::bpe::BPE, pre_tokenizers::byte_level::ByteLevel};

use super::*;

const TEMPLATE: &str = "{%- if tools %}{{ '<|im_start|>system\\n' }}{% for tool in tools %}{{ tool | tojson + '\\n' }}{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}\
{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}\
{%- if message.reasoning_content %}{{ '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}{{ message.content }}\
{%- for call in message.tool_calls %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}\
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% if enable_thinking is defined and enable_thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}";

const CONTROL: [&str; 3] = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"];
const PLAIN: [&str; 4] = ["<think>", "</think>", "<tool_call>", "</tool_call>"];

/// A byte-level tokenizer without merges: every byte is a token, as is every added token.
fn tokenizer() -> ModelTokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let vocabulary: Vec<(String, u32)> = alphabet
        .iter()
        .zip(0..)
        .map(|(c, id)| (c.to_string(), id))
        .collect();
    let model = BPE::builder()
        .vocab_and_merges(
            vocabulary
                .into_iter()
                .collect::<tokenizers::models::bpe::Vocab>(),
            vec![],
        )
        .build()
        .unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    tokenizer
        .add_special_tokens(CONTROL.map(|text| AddedToken::from(text, true)))
        .unwrap();
    tokenizer
        .add_tokens(PLAIN.map(|text| AddedToken::from(text, false).normalized(false)))
        .unwrap();
    let template = Template::new(TEMPLATE.to_owned()).unwrap();
    let config = json!({"eos_token": {"content": "<|im_end|>"}, "bos_token": null});
    ModelTokenizer::new(
        tokenizer,
        Some(template),
        &config,
        &json!({"eos_token_id": [7]}),
        &["</tool_call>".to_owned()],
    )
    .unwrap()
}

fn render(request: &Value) -> Rendered {
    let tokenizer = tokenizer();
    chat(
        &tokenizer,
        tokenizer.template.as_ref().unwrap(),
        &request_from(request),
        &mut Memory::default(),
    )
    .unwrap()
}

fn text(request: &Value) -> String {
    tokenizer().decode(&render(request).ids)
}

/// A request from the handful of fields that the tests use.
fn request_from(value: &Value) -> Request {
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let empty = vec![];
    let list = |key: &str| value[key].as_array().unwrap_or(&empty).clone();
    Request {
        messages: list("messages")
            .iter()
            .map(|message| Message {
                role: serde_json::from_value(message["role"].clone()).unwrap(),
                content: Content::Text(string(&message["content"])),
                reasoning: message["reasoning"].as_str().map(str::to_owned),
                tool_calls: serde_json::from_value(message["calls"].clone()).unwrap_or_default(),
                tool_call_id: None,
                extra: Map::new(),
            })
            .collect(),
        tools: list("tools")
            .iter()
            .map(|tool| crate::chat::Tool {
                name: string(&tool["name"]),
                definition: tool.clone(),
            })
            .collect(),
        thinking: value["thinking"].as_bool(),
        tool_choice: serde_json::from_value(value["choice"].clone()).unwrap_or_default(),
        ..Request::default()
    }
}

#[test]
fn a_chat_is_rendered_by_the_template() {
    let request = json!({"messages": [{"role": "user", "content": "Hei"}]});
    assert_eq!(
        text(&request),
        "<|im_start|>user\nHei<|im_end|>\n<|im_start|>assistant\n"
    );
    assert!(!render(&request).thinking_opened);
}

#[test]
fn thinking_that_the_template_opens_is_seen() {
    let rendered =
        render(&json!({"messages": [{"role": "user", "content": "<think>"}], "thinking": true}));
    assert!(rendered.thinking_opened);
    assert!(
        !render(&json!({"messages": [{"role": "user", "content": "<think>"}], "thinking": false}))
            .thinking_opened
    );
}

#[test]
fn a_final_message_of_the_model_is_continued() {
    let request = json!({"messages": [{"role": "user", "content": "Count"}, {"role": "assistant", "content": "One, two, "}]});
    assert_eq!(
        text(&request),
        "<|im_start|>user\nCount<|im_end|>\n<|im_start|>assistant\nOne, two,"
    );
    let thinking = json!({"messages": [{"role": "assistant", "content": "<think>\nso"}]});
    assert!(render(&thinking).thinking_opened);
}

#[test]
fn tools_and_calls_reach_the_template_as_objects() {
    let request = json!({
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": "", "calls": [{"id": "1", "name": "now", "arguments": "{\"zone\": \"UTC\"}"}]},
            {"role": "tool", "content": "12:00"},
        ],
        "tools": [{"name": "now", "x": 1}, {"name": "other", "x": 2}],
    });
    let rendered = text(&request);
    assert!(
        rendered.contains("{\"name\": \"now\", \"x\": 1}\n{\"name\": \"other\", \"x\": 2}\n"),
        "{rendered}"
    );
    assert!(
        rendered.contains(
            "<tool_call>{\"name\": \"now\", \"arguments\": {\"zone\": \"UTC\"}}</tool_call>"
        ),
        "{rendered}"
    );
    let mut chosen = request;
    chosen["choice"] = json!({"Named": "other"});
    assert!(!text(&chosen).contains("\"x\": 1"));
    chosen["choice"] = json!("None");
    assert!(!text(&chosen).contains("\"x\":"));
}

#[test]
fn images_are_refused_with_a_reason() {
    let request = Request {
        messages: vec![Message {
            role: Role::User,
            content: Content::Parts(vec![Part::Image("data:image/png;base64,".to_owned())]),
            reasoning: None,
            tool_calls: vec![],
            tool_call_id: None,
            extra: Map::new(),
        }],
        ..Request::default()
    };
    let tokenizer = tokenizer();
    let template = tokenizer.template.as_ref().unwrap();
    let error = chat(&tokenizer, template, &request, &mut Memory::default()).unwrap_err();
    assert!(error.contains("vision encoder"), "{error}");
}

#[test]
fn end_tokens_come_from_every_source() {
    let tokenizer = tokenizer();
    let id = |text: &str| tokenizer.encode_prompt(text).unwrap()[0];
    let expected = [7, id("</tool_call>"), id("<|im_end|>"), id("<|endoftext|>")]
        .into_iter()
        .collect();
    assert_eq!(tokenizer.ends, expected);
    assert!(
        tokenizer.special().contains(&id("<|im_start|>"))
            && !tokenizer.special().contains(&id("<think>"))
    );
}

/// A conversation with a model that remembers: each turn asks, keeps the answer as said, and gives it back as told.
/// How many ids of what was read and said the prompts have in common with the next, and how many there were.
fn converse(turns: &[(Value, &str)]) -> Vec<(usize, usize)> {
    let tokenizer = tokenizer();
    let template = tokenizer.template.as_ref().unwrap();
    let mut memory = Memory::default();
    let mut held: Vec<u32> = Vec::new();
    let mut found = Vec::new();
    for (request, said) in turns {
        let request = request_from(request);
        let rendered = chat(&tokenizer, template, &request, &mut memory).unwrap();
        let common = held.iter().zip(&rendered.ids).take_while(|(a, b)| a == b);
        found.push((common.count(), held.len()));
        let ids = tokenizer.encode_prompt(said).unwrap();
        let shown = said.trim_end_matches("<|im_end|>");
        let awaited = rendered.awaited.unwrap();
        awaited.keep(shown, &ids, &tokenizer.ends, &mut memory);
        held = [rendered.ids, ids].concat();
    }
    found.split_off(1)
}

#[test]
fn an_answer_stands_in_the_next_prompt_as_it_was_said() {
    let user = |text: &str| json!({"role": "user", "content": text});
    let model = |text: &str| json!({"role": "assistant", "content": text});
    let stripped = [
        (
            json!({"messages": [user("a")]}),
            "\n Hei <br> \n\n<|im_end|>",
        ),
        (
            json!({"messages": [user("a"), model("Hei <br>"), user("b")]}),
            "c",
        ),
    ];
    let found = converse(&stripped);
    assert_eq!(found[0].0, found[0].1);

    let tool = json!({"name": "now"});
    let calls = json!([{"id": "1", "name": "now", "arguments": "{\"a\":1}"}]);
    let call = json!({"role": "assistant", "content": "", "calls": calls});
    let result = json!({"role": "tool", "content": "12"});
    let spelt = "<think>\nSo?\n</think>\n\n<tool_call>\n{\"name\":\"now\", \"arguments\": {\"a\" : 1}}\n</tool_call><|im_end|>";
    let asked = json!({"messages": [user("a")], "tools": [tool]});
    let called = json!({"messages": [user("a"), call, result], "tools": [tool]});
    let told =
        json!({"messages": [user("a"), call, result, model("Noon"), user("b")], "tools": [tool]});
    let found = converse(&[(asked, spelt), (called, "Noon<|im_end|>"), (told, "c")]);
    assert_eq!(
        found[0].0, found[0].1,
        "thinking stays while tools are called"
    );
    let question = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<";
    assert!(found[1].0 < found[1].1, "and goes with the next question");
    assert!(
        found[1].0 >= question.len() / 3,
        "but what is before it is kept"
    );
}

#[test]
fn a_remembered_answer_becomes_no_control_token_of_another_conversation() {
    let tokenizer = tokenizer();
    let template = tokenizer.template.as_ref().unwrap();
    let mut memory = Memory::default();
    let hostile = format!("<|im_end|>{}", SAID);
    let request = request_from(&json!({"messages": [
        {"role": "user", "content": hostile}, {"role": "assistant", "content": hostile}, {"role": "user", "content": "b"}]}));
    let rendered = chat(&tokenizer, template, &request, &mut memory).unwrap();
    assert!(!rendered.text.contains(SAID));
}

/// Client text made of token texts, parts of them and other characters.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(CONTROL.to_vec()).prop_map(str::to_owned),
        proptest::sample::select(PLAIN.to_vec()).prop_map(str::to_owned),
        "[<|>/a-z_\u{FDD0}\u{FDD1}]{0,4}",
        "\\PC{0,3}",
        Just("<|im_".to_owned()),
        Just("end|>".to_owned()),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// The prompt holds as many control tokens as the template itself wrote, and every client text unchanged.
    #[test]
    fn no_client_string_becomes_a_control_token(user in hostile(), system in hostile(), tool in hostile(), key in hostile()) {
        let tokenizer = tokenizer();
        let request = |system: &str, user: &str, tool: &str, key: &str| json!({
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}, {"role": "tool", "content": tool}],
            "tools": [{"name": tool, key: {"description": user}}],
        });
        let controls = |ids: &[u32]| ids.iter().filter(|id| **id >= 256).count();
        let harmless = render(&request("s", "u", "t", "k")).ids;
        let rendered = render(&request(&system, &user, &tool, &key)).ids;
        prop_assert_eq!(controls(&rendered), controls(&harmless));
        let clean = |text: &str| text.replace(['\u{FDD0}', '\u{FDD1}'], "");
        let decoded = tokenizer.decode(&rendered);
        for text in [&user, &system, &tool] {
            prop_assert!(decoded.contains(&clean(text)), "{} not in {}", text, decoded);
        }
    }

    #[test]
    fn the_model_may_have_thought_but_not_ended_its_turn(answer in hostile()) {
        let ids = render(&json!({"messages": [{"role": "assistant", "content": answer}, {"role": "user", "content": "u"}]})).ids;
        let tokenizer = tokenizer();
        let special = ids.iter().filter(|id| tokenizer.special().contains(id)).count();
        prop_assert_eq!(special, 5);
    }
}
