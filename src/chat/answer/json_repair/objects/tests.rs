use proptest::prelude::*;
use serde_json::{Value, json};

use crate::chat::answer::{
    JsonShape, JsonValue,
    json_repair::{Fix, Repair, repair},
};

fn calls() -> JsonShape {
    JsonShape {
        key: "tool_calls".into(),
        value: JsonValue::ToolCalls,
    }
}

fn call() -> JsonShape {
    JsonShape {
        key: "name".into(),
        value: JsonValue::ToolCall,
    }
}

fn operations() -> JsonShape {
    JsonShape {
        key: "operations".into(),
        value: JsonValue::MemoryOperations,
    }
}

/// The object that Open WebUI cuts out of the mended answer.
fn object(answer: &str, shape: &JsonShape) -> Option<Value> {
    let text = match repair(answer, shape) {
        Repair::AsIs => answer.to_owned(),
        Repair::Repaired { text, .. } => text,
        Repair::Hopeless => return None,
    };
    let cut = text.get(text.find('{')?..=text.rfind('}')?)?;
    Some(serde_json::from_str(cut).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn mended(answer: &str, shape: &JsonShape) -> Option<Value> {
    object(answer, shape).map(|mut object| object[&*shape.key].take())
}

fn assert_all(shape: &JsonShape, table: impl IntoIterator<Item = (&'static str, Option<Value>)>) {
    let wrong: Vec<_> = table
        .into_iter()
        .map(|(answer, expected)| (answer, mended(answer, shape), expected))
        .filter(|(_, found, expected)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn broken_tool_calls() {
    let add = || Some(json!([{"name": "add", "parameters": {"a": 2, "b": 3}}]));
    let time = || Some(json!([{"name": "time", "parameters": {}}]));
    assert_all(
        &calls(),
        [
            (
                r#"{"tool_calls": [{"name": "add", "parameters": {"a": 2, "b": 3}}]}"#,
                add(),
            ),
            (
                "Sure!\n```json\n{\"tool_calls\": [{\"name\": \"add\", \"parameters\": {\"a\": 2, \"b\": 3}}]}\n```\nDone.",
                add(),
            ),
            (
                "{'tool_calls': [{'name': 'add', 'parameters': {'a': 2, 'b': 3,}},]}",
                add(),
            ),
            (
                r#"[{"name": "add", "parameters": {"a": 2, "b": 3}}]"#,
                add(),
            ),
            (r#"{"name": "add", "parameters": {"a": 2, "b": 3}}"#, add()),
            (r#"{"name": "add", "arguments": {"a": 2, "b": 3}}"#, add()),
            (
                r#"{"name": "add", "arguments": "{\"a\": 2, \"b\": 3}"}"#,
                add(),
            ),
            (r#"{"name": "add", "a": 2, "b": 3}"#, add()),
            (
                "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 2, \"b\": 3}}\n</tool_call>",
                add(),
            ),
            (
                r#"{"tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{\"a\": 2, \"b\": 3}"}}]}"#,
                add(),
            ),
            (
                r#"{"toolCalls": {"name": "add", "parameters": {"a": 2, "b": 3}}}"#,
                add(),
            ),
            (
                r#"{"result": {"tool_calls": [{"name": "add", "parameters": {"a": 2, "b": 3}}]}}"#,
                add(),
            ),
            (
                r#"{"tools": [{"tool_name": "add", "params": {"a": 2, "b": 3}}]}"#,
                add(),
            ),
            // Closing brackets are missing, but no value.
            (
                r#"{"tool_calls": [{"name": "add", "parameters": {"a": 2, "b": 3}}"#,
                add(),
            ),
            (
                r#"{"tool_calls": [{"name": "add", "parameters": {"a": 2, "b": 3}"#,
                add(),
            ),
            // Twice the same, and an example before it.
            (
                "{\"tool_calls\": []}\n{\"tool_calls\": [{\"name\": \"add\", \"parameters\": {\"a\": 2, \"b\": 3}}, {\"name\": \"add\", \"parameters\": {\"a\": 2, \"b\": 3}}]}",
                add(),
            ),
            (r#"{"tool_calls": [{"name": "time"}]}"#, time()),
            (r#"{"name": "time", "parameters": null}"#, time()),
            (r#"{"name": "time", "parameters": "none"}"#, time()),
            (r#"{"tool_calls": []}"#, Some(json!([]))),
            ("No tool is needed: {\"tool_calls\": [ ]}", Some(json!([]))),
            // Types survive.
            (
                "{'tool_calls': [{'name': 'f', 'parameters': {'a': True, 'b': [1.5, 'x'], 'c': {'d': '5'}}}]}",
                Some(
                    json!([{"name": "f", "parameters": {"a": true, "b": [1.5, "x"], "c": {"d": "5"}}}]),
                ),
            ),
            // A call whose end is missing is none, and the others stay.
            (
                r#"{"tool_calls": [{"name": "add", "parameters": {"a": 2, "b": 3"#,
                Some(json!([])),
            ),
            (
                r#"{"tool_calls": [{"name": "time", "parameters": {}}, {"name": "add", "parameters": {"a": "#,
                time(),
            ),
            (r#"{"name": "add", "parameters": {"a": 2"#, None),
            (r#"{"name": "add""#, None),
            (r#"{"name": "add", "arguments": "{\"a\": 2"}"#, None),
            ("No tool fits this query.", None),
            ("", None),
            ("{}", None),
            (r#"{"name": "a person's name", "age": 3}"#, None),
        ],
    );
}

/// Before 0.5.20 Open WebUI looked for one call, and nothing for none.
#[test]
fn a_single_call_stands_alone() {
    let add = json!({"name": "add", "parameters": {"a": 2}});
    for answer in [
        r#"{"name": "add", "parameters": {"a": 2}}"#,
        r#"{"tool_calls": [{"name": "add", "parameters": {"a": 2}}]}"#,
        "```json\n{'name': 'add', 'parameters': {'a': 2}}\n```",
    ] {
        assert_eq!(object(answer, &call()).as_ref(), Some(&add), "{answer}");
    }
    assert_eq!(repair("No tool fits.", &call()), Repair::Hopeless);
    assert_eq!(repair(r#"{"tool_calls": []}"#, &call()), Repair::Hopeless);
}

#[test]
fn broken_memory_operations() {
    let bees =
        || Some(json!([{"action": "add", "type": "user", "content": "The user keeps bees."}]));
    assert_all(
        &operations(),
        [
            (
                r#"{"operations": [{"action": "add", "type": "user", "path": "", "content": "The user keeps bees."}]}"#,
                bees(),
            ),
            (
                "```json\n{'operations': [{'action': 'add', 'type': 'user', 'content': 'The user keeps bees.',},]}\n```",
                bees(),
            ),
            (
                r#"[{"op": "create", "type": "user", "memory": "The user keeps bees."}]"#,
                bees(),
            ),
            (
                r#"{"action": "add", "type": "User", "content": " The user keeps bees. ", "score": 3}"#,
                bees(),
            ),
            (
                r#"{"type": "user", "content": "The user keeps bees."}"#,
                bees(),
            ),
            // Every action needs something; what has it not would spoil the others.
            (
                r#"{"operations": [{"action": "add", "type": "user", "content": "The user keeps bees."}, {"action": "replace", "content": "x y z"}, {"action": "move", "id": "1"}, {"action": "remove"}, {"action": "dance", "id": "1"}, {"action": "add", "content": ""}, "add"]}"#,
                bees(),
            ),
            (
                r#"{"operations": [{"action": "update", "id": "7", "content": "Likes otters.", "path": "a/b"}, {"action": "delete", "id": 8}, {"action": "move", "id": "9", "path": "people"}]}"#,
                Some(json!([
                    {"action": "replace", "id": "7", "path": "a/b", "content": "Likes otters."},
                    {"action": "remove", "id": "8"},
                    {"action": "move", "id": "9", "path": "people"},
                ])),
            ),
            (
                r#"{"operations": [{"action": "add", "type": "user|context", "path": "../x", "content": "Likes otters."}]}"#,
                Some(json!([{"action": "add", "content": "Likes otters."}])),
            ),
            // The example, copied.
            (
                r#"{"operations": [{"action": "add", "type": "user", "path": "...", "content": "The user ..."}]}"#,
                Some(json!([])),
            ),
            // Its end is missing.
            (
                r#"{"operations": [{"action": "add", "type": "user", "content": "The user keeps bees."}, {"action": "remove", "id": "12"#,
                bees(),
            ),
            (
                r#"{"operations": [{"action": "remove", "id": "12"#,
                Some(json!([])),
            ),
            (r#"{"operations": []}"#, Some(json!([]))),
            ("Nothing to remember.", None),
        ],
    );
}

#[test]
fn what_is_right_stays() {
    let table = [
        (calls(), r#"{"tool_calls": []}"#),
        (
            calls(),
            r#"{"tool_calls": [{"name": "run", "parameters": {"code": "f({'a': 1})"}}]}"#,
        ),
        (call(), r#"{"name": "add", "parameters": {"a": 2}}"#),
        (operations(), r#"{"operations": []}"#),
        (
            operations(),
            r#"{"operations":[{"action":"replace","id":"7","content":"Likes {otters}."}]}"#,
        ),
    ];
    for (shape, answer) in table {
        assert_eq!(repair(answer, &shape), Repair::AsIs, "{answer}");
    }
    let how = |answer, shape| match repair(answer, &shape) {
        Repair::Repaired { how, .. } => Vec::from_iter(how),
        other => panic!("{answer}: {other:?}"),
    };
    let table = [
        (r#"{"name": "time", "parameters": {}}"#, Fix::BareList),
        (
            r#"{"tool_calls": [{"name": "time", "arguments": {}}]}"#,
            Fix::Key,
        ),
    ];
    for (answer, fix) in table {
        assert_eq!(how(answer, calls()), [fix], "{answer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A call that is cut anywhere is either the whole call or none at all.
    #[test]
    fn no_half_call_is_made(
        parameters in prop::collection::btree_map("[a-z]{1,4}", prop_oneof![
            "[a-z {}\"']{0,8}".prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
        ], 0..4),
        pretty in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let expected = json!([{"name": "f", "parameters": parameters}]);
        let answer = json!({"tool_calls": expected});
        let answer = if pretty { format!("{answer:#}") } else { answer.to_string() };
        let ends: Vec<usize> = answer.char_indices().map(|(at, _)| at).collect();
        if let Some(found) = mended(&answer[..*cut.get(&ends)], &calls()) {
            prop_assert!(found == expected || found == json!([]), "{found}");
        }
        prop_assert_eq!(repair(&answer, &calls()), Repair::AsIs);
    }

    /// Whatever comes out passes, and comes out the same again.
    #[test]
    fn whatever_comes_out_passes(text in r#"(\{|\}|\[|\]|"|'|,|:|"name": |"parameters": \{|"action": "add"|"content": "a b"|"tool_calls": \[|"operations": \[| |1|x){0,25}"#) {
        for shape in [calls(), call(), operations()] {
            if let Repair::Repaired { text, how } = repair(&text, &shape) {
                prop_assert!(!how.is_empty());
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
                prop_assert_eq!(repair(&text, &shape), Repair::AsIs, "{}", text);
            }
        }
    }
}
