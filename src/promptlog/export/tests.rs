use serde_json::{Value, json};

use super::Format;
use crate::{
    chat::{Role, ToolCall},
    engine::Miss,
    promptlog::{
        Record,
        tests::{NOW, chat, message},
    },
};

fn json_of(format: Format, record: &Record) -> Value {
    serde_json::from_str(&format.line(7, record).unwrap()).unwrap()
}

fn with_tool_call() -> Record {
    let mut record = chat(NOW, "What is the weather in Oslo?", "It rains.");
    let content = record.content.as_mut().unwrap();
    let mut request = (*content.before).clone();
    let mut asked = message(Role::Assistant, "");
    asked.tool_calls = vec![ToolCall {
        id: "call-1".to_owned(),
        name: "weather".to_owned(),
        arguments: "{\"city\":\"Oslo\"}".to_owned(),
    }];
    let mut result = message(Role::Tool, "rain");
    result.tool_call_id = Some("call-1".to_owned());
    request.messages.extend([asked, result]);
    content.after = Some(request.into());
    record
}

#[test]
fn training_formats_have_what_the_model_saw_and_said() {
    let record = with_tool_call();
    let openai = json_of(Format::OpenAi, &record);
    let messages = openai["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages
        .iter()
        .map(|it| it["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant"]);
    assert_eq!(messages[2]["tool_calls"][0]["function"]["name"], "weather");
    assert_eq!(messages[4]["content"], "It rains.");
    let sharegpt = json_of(Format::ShareGpt, &record);
    let turns = sharegpt["conversations"].as_array().unwrap();
    let from: Vec<&str> = turns
        .iter()
        .map(|it| it["from"].as_str().unwrap())
        .collect();
    assert_eq!(
        from,
        ["system", "human", "function_call", "observation", "gpt"]
    );
    assert_eq!(
        turns[2]["value"],
        r#"{"name":"weather","arguments":{"city":"Oslo"}}"#
    );
}

#[test]
fn nobody_learns_from_what_went_wrong() {
    let failed = Record {
        status: 504,
        ..chat(NOW, "hello", "hi")
    };
    let cut = Record {
        error: Some("gone".to_owned()),
        ..chat(NOW, "hello", "hi")
    };
    let silent = chat(NOW, "hello", "");
    let without = Record {
        content: None,
        ..chat(NOW, "hello", "hi")
    };
    let too_long = Record {
        finish: Some("length".into()),
        ..chat(NOW, "hello", "hi and")
    };
    let mut unread = chat(NOW, "hello", "<html>");
    unread.content.as_mut().unwrap().unread = Some("it is no JSON".to_owned());
    for record in [failed, cut, silent, without, too_long, unread] {
        assert_eq!(Format::OpenAi.line(1, &record), None);
        assert_eq!(Format::ShareGpt.line(1, &record), None);
        assert!(Format::Jsonl.line(1, &record).is_some());
    }
}

#[test]
fn a_line_of_json_has_requests_in_openais_form() {
    let value = json_of(Format::Jsonl, &with_tool_call());
    assert_eq!(value["id"], 7);
    assert_eq!(value["time"], "2026-11-18T11:06:40.000Z");
    assert_eq!(value["timings"]["first_token_ms"], 300.0);
    let before = &value["content"]["before"];
    assert_eq!(
        before["messages"][1],
        json!({"role": "user", "content": "What is the weather in Oslo?"})
    );
    assert_eq!(
        value["content"]["after"]["messages"][3]["tool_call_id"],
        "call-1"
    );
}

#[test]
fn a_table_keeps_its_columns_whatever_a_value_holds() {
    let record = Record {
        asked: "a \"model\", or two\nlines".to_owned(),
        instance: Some("north".to_owned()),
        miss: Some(Miss::SystemChanged),
        user: Some("=HYPERLINK(\"http://example.org\")".to_owned()),
        ..chat(NOW, "hello", "hi")
    };
    let columns = Format::Csv.header().unwrap().split(',').count();
    let line = Format::Csv.line(7, &record).unwrap();
    assert!(line.ends_with(",north,system_changed"), "{line}");
    let quoted = line.split('"').step_by(2).collect::<String>();
    assert_eq!(quoted.matches(',').count() + 1, columns);
    assert!(line.contains(r#""a ""model"", or two"#), "{line}");
    assert!(line.contains(r#""'=HYPERLINK("#), "{line}");
}
