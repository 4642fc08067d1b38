use serde_json::{Value, json};

use crate::author::fixtures::{ask, chat};

fn system(tools: &Value) -> String {
    let lines: Vec<String> = tools
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    format!("# Tools\n\n<tools>\n{}\n</tools>", lines.join("\n"))
}

fn builtin() -> Value {
    let tool = |name: &str, description: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}});
    let query = json!({"type": "object", "properties": {"query": {"type": "string"}, "count": {"type": "integer"}}, "required": ["query"]});
    json!([
        tool(
            "get_current_timestamp",
            "Get the current Unix timestamp in seconds.",
            json!({"type": "object", "properties": {}})
        ),
        tool(
            "search_notes",
            "Search the user's notes by title and content.",
            query.clone()
        ),
        tool("search_chats", "Search the user's previous chats.", query),
        tool(
            "get_weather",
            "Get the current weather of a city.",
            json!({"type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}, "required": ["city", "unit"]})
        ),
        tool(
            "rec_add",
            "Add two integers.",
            json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]})
        ),
    ])
}

fn call(question: &str) -> Option<Value> {
    let answer = chat(&[("system", &system(&builtin())), ("user", question)]);
    let inside = answer
        .strip_prefix("<tool_call>\n")?
        .strip_suffix("\n</tool_call>")?;
    Some(serde_json::from_str(inside).unwrap())
}

#[test]
fn a_function_that_is_asked_for_is_called_with_arguments_from_the_question() {
    for (question, expected) in [
        (
            "Use the rec_add tool to add 2 and 3.",
            json!({"name": "rec_add", "arguments": {"a": 2, "b": 3}}),
        ),
        (
            "Search my notes for \"garden plans\".",
            json!({"name": "search_notes", "arguments": {"query": "garden plans"}}),
        ),
        (
            "What is the current weather in Lisbon in fahrenheit?",
            json!({"name": "get_weather", "arguments": {"city": "Lisbon", "unit": "fahrenheit"}}),
        ),
    ] {
        assert_eq!(call(question), Some(expected), "{question}");
    }
}

#[test]
fn ordinary_questions_call_nothing() {
    for question in [
        "Please tell me in one short sentence what a proxy server does.",
        "And what is a reverse proxy?",
        "Say hello.",
        "How many lighthouses has island 12?",
        "Tell me about notes in medieval music.",
    ] {
        assert_eq!(call(question), None, "{question}");
    }
}

#[test]
fn a_result_is_told() {
    let after = |result: &str| {
        chat(&[
            ("user", "Add 2 and 3."),
            ("assistant", "<tool_call>\n{}\n</tool_call>"),
            (
                "user",
                &format!("<tool_response>\n{result}\n</tool_response>"),
            ),
        ])
    };
    assert!(after("The sum is 5").starts_with("The sum is 5."));
    assert!(after("5").contains("**5**"));
    assert!(after(r#"{"status":"success","stdout":"42\n","stderr":null}"#).contains("\n42\n"));
    assert!(after(r#"{"city": "Lisbon", "degrees": 21}"#).contains("- **degrees**: 21"));
    assert!(after(r#"{"error": "no such city"}"#).contains("no such city"));
    assert!(after("[]").contains("nothing"));
}

/// The system message and question that Open WebUI sends to choose a tool for a model without native calls.
#[test]
fn a_listed_function_is_chosen_in_the_form_asked_for() {
    let system = r#"Available Tools: [{"name":"rec_add","description":"\n        Add two integers.\n        ","parameters":{"properties":{"a":{"description":"first","type":"integer"},"b":{"description":"second","type":"integer"}},"required":["a","b"],"type":"object"}}]

Your task is to choose and return the correct tool(s) from the list of available tools based on the query."#;
    let choose = |query: &str| -> Value {
        serde_json::from_str(&chat(&[("system", system), ("user", query)])).unwrap()
    };
    assert_eq!(
        choose("Query: USETOOL add 2 and 3."),
        json!({"tool_calls": [{"name": "rec_add", "parameters": {"a": 2, "b": 3}}]})
    );
    assert_eq!(choose("Query: Who wrote Faust?"), json!({"tool_calls": []}));
}

#[test]
fn a_name_without_the_tools_calls_nothing() {
    assert!(!ask("Use the rec_add tool to add 2 and 3.").contains("<tool_call>"));
}
