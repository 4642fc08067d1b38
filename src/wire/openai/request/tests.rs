use std::{fs, path::Path};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{ChatBody, decode_completion, encode_chat, peek, with_model},
    *,
};
use crate::chat::{Content, Part, Role, Sampling, ToolChoice};

/// The bodies that Open WebUI sends, by file name.
pub(in crate::wire::openai) fn open_webui_bodies() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openwebui");
    let mut bodies = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let fixture: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            bodies.push((name, fixture["body_raw"].as_str().unwrap().to_owned()));
        }
    }
    assert!(bodies.len() > 10, "fixtures are missing");
    bodies
}

fn decode(body: Value) -> Result<Request, DecodeError> {
    decode_chat(body.to_string().as_bytes())
}

/// A request with one user message and these further fields.
fn with(fields: Value) -> Result<Request, DecodeError> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    decode(body)
}

/// A request with this one message.
fn message(message: Value) -> Result<crate::chat::Message, DecodeError> {
    decode(json!({"model": "m", "messages": [message]}))
        .map(|mut request| request.messages.remove(0))
}

#[test]
fn every_body_of_open_webui() {
    for (name, body) in open_webui_bodies() {
        let request =
            decode_chat(body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sent: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(request.model, sent["model"], "{name}");
        assert_eq!(request.stream, sent["stream"], "{name}");
        let sent_messages = sent["messages"].as_array().unwrap();
        assert_eq!(request.messages.len(), sent_messages.len(), "{name}");
        for (message, sent) in request.messages.iter().zip(sent_messages) {
            assert_eq!(message.role.as_str(), sent["role"], "{name}");
            match &message.content {
                Content::Text(text) => assert_eq!(*text, sent["content"], "{name}"),
                Content::Parts(parts) => assert_eq!(
                    parts.len(),
                    sent["content"].as_array().unwrap().len(),
                    "{name}"
                ),
            }
            assert!(message.extra.is_empty(), "{name}");
        }
        let tools: Vec<&Value> = request.tools.iter().map(|tool| &tool.definition).collect();
        let sent_tools: Vec<&Value> = sent["tools"].as_array().into_iter().flatten().collect();
        assert_eq!(tools, sent_tools, "{name}");
        assert_eq!(
            request.max_tokens.map(u64::from),
            sent["max_tokens"].as_u64(),
            "{name}"
        );
        assert!(request.extra.is_empty(), "{name}: {:?}", request.extra);

        let found = peek(body.as_bytes()).unwrap();
        assert_eq!(
            (&*found.model, found.stream),
            (&*request.model, request.stream),
            "{name}"
        );
        let bytes = Bytes::from(body.clone());
        assert_eq!(with_model(&bytes, &request.model), body, "{name}");
        let (read, same) = ChatBody::decode(&bytes).unwrap();
        assert!(read.parts().is_some(), "{name} has an unusual shape");
        assert_eq!(same, request, "{name}");
        let mut other = request.clone();
        other.model.push('x');
        other.messages.remove(0);
        assert_eq!(
            read.encode(&request, &other),
            encode_chat(&bytes, &request, &other),
            "{name}"
        );
    }
}

#[test]
fn no_prefix_of_a_body_is_accepted_and_none_panics() {
    for (name, body) in open_webui_bodies() {
        // Every place in small bodies; in large ones every place near both ends and some between.
        let near_an_end = |at: usize| at < 300 || at + 300 > body.len() || at.is_multiple_of(97);
        for at in (0..body.len()).filter(|at| near_an_end(*at)) {
            let prefix = &body.as_bytes()[..at];
            assert!(
                matches!(decode_chat(prefix), Err(DecodeError::Json { .. })),
                "{name} up to {at}"
            );
            assert!(
                matches!(peek(prefix), Err(DecodeError::Json { .. })),
                "{name} up to {at}"
            );
        }
    }
}

#[test]
fn the_controls_of_open_webui() {
    let request = with(json!({
        "seed": 7, "temperature": "0.6", "top_k": 40.0, "top_p": 0.95, "min_p": 0, "repeat_penalty": 1.1,
        "frequency_penalty": "", "presence_penalty": null, "reasoning_effort": "", "logit_bias": "", "think": true,
        "format": "json", "max_tokens": -1, "mirostat": 0, "num_ctx": 4096, "use_mmap": true, "stop": "",
        "custom": {"any": ["thing"]},
    }))
    .unwrap();
    let expected = Sampling {
        temperature: Some(0.6),
        top_p: Some(0.95),
        top_k: Some(40),
        min_p: Some(0.0),
        repeat_penalty: Some(1.1),
        frequency_penalty: None,
        presence_penalty: None,
        seed: Some(7),
    };
    assert_eq!(request.sampling, expected);
    assert_eq!(
        (request.max_tokens, request.stop, request.thinking),
        (None, vec![], Some(true))
    );
    let left = [
        "reasoning_effort",
        "logit_bias",
        "think",
        "format",
        "mirostat",
        "num_ctx",
        "use_mmap",
        "custom",
    ];
    assert_eq!(request.extra.keys().collect::<Vec<_>>(), left);
}

#[test]
fn limits_and_stop_strings() {
    let limit = |fields| with(fields).unwrap().max_tokens;
    assert_eq!(limit(json!({"max_tokens": 10})), Some(10));
    assert_eq!(
        limit(json!({"max_tokens": 10, "max_completion_tokens": 20})),
        Some(20)
    );
    assert_eq!(limit(json!({"max_tokens": "10.0"})), Some(10));
    assert_eq!(limit(json!({"max_tokens": 1e12})), Some(u32::MAX));
    let stop = |stop: Value| with(json!({"stop": stop})).unwrap().stop;
    assert_eq!(stop(json!("a")), ["a"]);
    assert_eq!(stop(json!(["a", "", "b"])), ["a", "b"]);
    assert!(stop(Value::Null).is_empty());
}

#[test]
fn thinking_switches() {
    let table = [
        (json!({}), None),
        (json!({"think": false}), Some(false)),
        (json!({"think": "high"}), Some(true)),
        (json!({"think": ""}), None),
        (json!({"reasoning_effort": "none"}), Some(false)),
        (json!({"reasoning_effort": "low"}), Some(true)),
        (json!({"reasoning_effort": "odd"}), None),
        (json!({"enable_thinking": false}), Some(false)),
        (
            json!({"chat_template_kwargs": {"enable_thinking": false}, "think": true}),
            Some(false),
        ),
        (json!({"chat_template_kwargs": "x"}), None),
    ];
    for (fields, expected) in table {
        let request = with(fields.clone()).unwrap();
        assert_eq!(request.thinking, expected, "{fields}");
        assert_eq!(Value::Object(request.extra), fields);
    }
}

#[test]
fn streaming_with_usage() {
    let request = with(json!({"stream": true, "stream_options": {"include_usage": true}})).unwrap();
    assert!(request.stream && request.include_usage && request.extra.is_empty());
    assert!(!with(json!({"stream_options": null})).unwrap().include_usage);
}

#[test]
fn messages_of_every_kind() {
    assert_eq!(
        message(json!({"role": "developer", "content": "a"}))
            .unwrap()
            .role,
        Role::System
    );
    let empty = message(json!({"role": "assistant", "content": null, "name": "x"})).unwrap();
    assert_eq!(empty.content, Content::Text(String::new()));
    assert_eq!(empty.extra["name"], "x");
    let result = message(json!({"role": "tool", "tool_call_id": "c1", "content": "42"})).unwrap();
    assert_eq!(
        (result.role, result.tool_call_id.as_deref()),
        (Role::Tool, Some("c1"))
    );
    for name in ["reasoning_content", "reasoning", "thinking"] {
        let thought = message(json!({"role": "assistant", "content": "a", name: "Hm"})).unwrap();
        assert_eq!(thought.reasoning.as_deref(), Some("Hm"));
        assert!(thought.extra.is_empty());
    }
    let details = message(json!({"role": "assistant", "reasoning": {"x": 1}})).unwrap();
    assert_eq!((details.reasoning, details.extra.len()), (None, 1));
}

#[test]
fn content_parts() {
    let audio = json!({"type": "input_audio", "input_audio": {"data": "x"}});
    let content = json!([
        {"type": "text", "text": "a"},
        {"type": "input_text", "text": "b"},
        {"type": "refusal", "refusal": "c"},
        "d",
        {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}},
        {"type": "image_url", "image_url": "http://y"},
        audio,
    ]);
    let expected = Content::Parts(vec![
        Part::Text("a".into()),
        Part::Text("b".into()),
        Part::Text("c".into()),
        Part::Text("d".into()),
        Part::Image("data:x".into()),
        Part::Image("http://y".into()),
        Part::Other(audio),
    ]);
    assert_eq!(
        message(json!({"role": "user", "content": content}))
            .unwrap()
            .content,
        expected
    );
}

#[test]
fn tool_calls_in_the_history() {
    let calls = json!([
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
        {"function": {"name": "g", "arguments": {"b": [1, 2]}}},
        {"function": {"name": "h"}},
    ]);
    let calls = message(json!({"role": "assistant", "tool_calls": calls}))
        .unwrap()
        .tool_calls;
    let seen: Vec<(&str, &str, &str)> = calls
        .iter()
        .map(|call| (&*call.id, &*call.name, &*call.arguments))
        .collect();
    assert_eq!(
        seen,
        [
            ("c1", "f", "{\"a\": 1}"),
            ("call_0_1", "g", "{\"b\":[1,2]}"),
            ("call_0_2", "h", "{}")
        ]
    );
}

#[test]
fn tools_flat_and_nested() {
    let nested = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
    let flat = json!({"type": "function", "name": "f", "parameters": {}});
    let request = with(json!({"tools": [nested, flat]})).unwrap();
    for tool in request.tools {
        assert_eq!((&*tool.name, &tool.definition), ("f", &nested));
    }
    let choice = |choice: Value| with(json!({"tool_choice": choice})).unwrap().tool_choice;
    assert_eq!(choice(json!("none")), ToolChoice::None);
    assert_eq!(choice(json!("required")), ToolChoice::Required);
    assert_eq!(choice(Value::Null), ToolChoice::Auto);
    let named = json!({"type": "function", "function": {"name": "f"}});
    assert_eq!(choice(named), ToolChoice::Named("f".into()));
}

#[test]
fn errors_name_the_place() {
    let long = "x".repeat(2000);
    let user = json!({"role": "user", "content": "Hi"});
    let table = [
        (json!([]), "body"),
        (json!({"messages": [user]}), "model"),
        (json!({"model": " ", "messages": [user]}), "model"),
        (json!({"model": 3, "messages": [user]}), "model"),
        (json!({"model": "m"}), "messages"),
        (json!({"model": "m", "messages": []}), "messages"),
        (json!({"model": "m", "messages": "Hi"}), "messages"),
        (
            json!({"model": "m", "messages": [user, "Hi"]}),
            "messages[1]",
        ),
        (
            json!({"model": "m", "messages": [user, {"content": "Hi"}]}),
            "messages[1].role",
        ),
        (
            json!({"model": "m", "messages": [{"role": "bot"}]}),
            "messages[0].role",
        ),
        (
            json!({"model": "m", "messages": [user, user, {"role": "user", "content": 3}]}),
            "messages[2].content",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [3]}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            "messages[0].content[0].image_url.url",
        ),
        (
            json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": 1}]}),
            "messages[0].tool_call_id",
        ),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}),
            "messages[0].tool_calls[0].function.name",
        ),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 1}}]}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            json!({"model": "m", "messages": [user], "tools": [{"type": "web_search"}]}),
            "tools[0].function.name",
        ),
        (
            json!({"model": "m", "messages": [user], "tools": {}}),
            "tools",
        ),
        (
            json!({"model": "m", "messages": [user], "tool_choice": "f"}),
            "tool_choice",
        ),
        (
            json!({"model": "m", "messages": [user], "stream": "yes"}),
            "stream",
        ),
        (
            json!({"model": "m", "messages": [user], "stream_options": {"include_usage": 1}}),
            "stream_options.include_usage",
        ),
        (json!({"model": "m", "messages": [user], "n": 2}), "n"),
        (
            json!({"model": "m", "messages": [user], "temperature": "warm"}),
            "temperature",
        ),
        (
            json!({"model": "m", "messages": [user], "temperature": -1}),
            "temperature",
        ),
        (
            json!({"model": "m", "messages": [user], "temperature": 1e300}),
            "temperature",
        ),
        (
            json!({"model": "m", "messages": [user], "top_p": 2}),
            "top_p",
        ),
        (
            json!({"model": "m", "messages": [user], "top_k": 1.5}),
            "top_k",
        ),
        (
            json!({"model": "m", "messages": [user], "seed": []}),
            "seed",
        ),
        (
            json!({"model": "m", "messages": [user], "max_tokens": 0}),
            "max_tokens",
        ),
        (json!({"model": "m", "messages": [user], "stop": 3}), "stop"),
        (
            json!({"model": "m", "messages": [user], "stop": ["a", 3]}),
            "stop",
        ),
        (
            json!({"model": "m", "messages": [user], "stop": [long]}),
            "stop",
        ),
        (
            json!({"model": "m", "messages": [user], "stop": vec!["a"; 65]}),
            "stop",
        ),
    ];
    for (body, param) in table {
        let error = decode(body.clone()).expect_err(&body.to_string());
        assert_eq!(error.param(), Some(param), "{body}");
        assert!(error.to_string().starts_with(param), "{error}");
    }
}

#[test]
fn broken_json_has_a_line_and_a_column() {
    let error = decode_chat(b"{\"model\": \"m\",\n  \"messages\": [}").unwrap_err();
    assert!(
        matches!(
            error,
            DecodeError::Json {
                line: 2,
                column: 16,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(decode_chat(b"{\"model\":\"\xff\"}").is_err());
}

#[test]
fn deep_nesting_is_refused_without_a_crash() {
    for bracket in ["[", "{\"a\":"] {
        let body = format!(
            "{{\"model\":\"m\",\"messages\":{}",
            bracket.repeat(1_000_000)
        );
        assert!(decode_chat(body.as_bytes()).is_err());
        assert!(decode_completion(body.as_bytes()).is_err());
        assert!(peek(body.as_bytes()).is_err());
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        prop::sample::select(vec![
            "text",
            "image_url",
            "user",
            "tool",
            "function",
            "1.5",
            ""
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop::sample::select(vec![
            "type",
            "text",
            "role",
            "content",
            "function",
            "name",
            "arguments",
            "url",
            "x",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

#[test]
fn bodies_of_an_unusual_shape() {
    let places = |body: &str| {
        let (read, request) = ChatBody::decode(&Bytes::from(body.to_owned())).unwrap();
        assert_eq!(request, decode_chat(body.as_bytes()).unwrap(), "{body}");
        read.parts().is_some()
    };
    let usual = r#" { "model" : "m", "n":1, "messages" : [ {"role":"user","content":"h\u0069","x":[1e3]} ] } "#;
    assert!(places(usual));
    for unusual in [
        r#"{"model":"m","messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}"#,
        r#"{"model":"m","x":1,"x":2,"messages":[{"role":"user","content":"a"}]}"#,
    ] {
        assert!(!places(unusual), "{unusual}");
    }
    let two = Bytes::from_static(
        br#"{"model":"m","model":"n","messages":[{"role":"user","content":"a"}]}"#,
    );
    assert!(matches!(
        ChatBody::decode(&two),
        Err(DecodeError::Json { .. })
    ));
}

proptest! {
    /// However strings are spelt, they are read as serde_json reads them.
    #[test]
    fn any_spelling(text in r#"(\\u[0-9a-fd]{4}|\\["/bn]|[ -!#-\[é🙂\]-~]){0,24}"#) {
        let body = format!("{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}");
        let decoded = decode_chat(body.as_bytes());
        prop_assert_eq!(ChatBody::decode(&body.clone().into()).map(|(_, request)| request), decoded);
    }

    /// Wrong values anywhere are an error that names a place, or are taken; nothing panics.
    #[test]
    fn any_value_in_any_field(
        field in prop::sample::select(vec![
            "model", "messages", "content", "tool_calls", "tools", "tool_choice", "stream", "stream_options", "n",
            "temperature", "top_k", "seed", "max_tokens", "stop", "think", "chat_template_kwargs", "prompt", "suffix",
        ]),
        value in any_json(),
    ) {
        let mut body = json!({"model": "m", "prompt": "a", "messages": [{"role": "assistant", "content": "Hi"}]});
        let place = if matches!(field, "content" | "tool_calls") { &mut body["messages"][0] } else { &mut body };
        place[field] = value;
        let body = body.to_string();
        let decoded = decode_chat(body.as_bytes());
        if let Err(error) = &decoded {
            prop_assert!(error.param().is_some_and(|param| param.contains(field)), "{error}");
        }
        prop_assert_eq!(ChatBody::decode(&body.clone().into()).map(|(_, request)| request), decoded);
        if let Err(error) = decode_completion(body.as_bytes()) {
            prop_assert!(error.param().is_some_and(|param| param.contains(field)), "{error}");
        }
    }
}
