use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use super::{
    super::{decode_chat, request::tests::open_webui_bodies},
    *,
};
use crate::chat::{Content, Message, Part, Role, ToolCall};

/// A body with one of everything, in spellings that no encoder would choose.
const BODY: &str = r#" {"stream" : true, "model":"\u006d", "x-first": 1e3, "temperature": 0.70, "top_k": 40.0,
 "messages" : [ {"content": "Be brief.", "role":"developer", "name" : "n\u00e9"},
  {"role":"user","content":[{"type":"input_text","text":"Look"}, {"type":"image_url","image_url":{"url":"data:x","detail":"low"}}]},
  {"role":"assistant","content":null,"reasoning":"Hm","tool_calls":[{"id":"c1","type":"function","extra_content":{"sign":1.0},"function":{"name":"f","arguments":"{\"a\": 1}"}}]},
  {"role":"tool","tool_call_id":"c1","content":"42"} , {"role":"user","content":"And?"}],
 "tools":[{"type":"function","name":"f","parameters":{"n":1.0}}, {"type":"function","function":{"name":"g"}}],
 "tool_choice":"auto", "stream_options":{"include_usage":false,"x":1}, "logit_bias":"", "max_completion_tokens": 1e2, "stop":"", "big": 123456789012345678901234567890 }
"#;

/// The body after an edit.
fn edited(body: &str, edit: impl FnOnce(&mut Request)) -> String {
    let before = decode_chat(body.as_bytes()).unwrap();
    let mut after = before.clone();
    edit(&mut after);
    let sent = encode_chat(&Bytes::from(body.to_owned()), &before, &after);
    assert_eq!(decode_chat(&sent).unwrap(), after);
    String::from_utf8(sent.to_vec()).unwrap()
}

#[test]
fn what_does_not_change_keeps_every_byte() {
    assert_eq!(edited(BODY, |_| {}), BODY);
    for (name, body) in open_webui_bodies() {
        assert_eq!(edited(&body, |_| {}), body, "{name}");
    }
}

#[test]
fn one_field_changes_alone() {
    let compact = edited(BODY, |request| request.model = "other".into());
    assert!(
        compact.contains(r#""model":"other","x-first":1e3,"temperature":0.70,"#),
        "{compact}"
    );
    assert!(compact.contains("123456789012345678901234567890"));
    type Case = (fn(&mut Request), &'static str, &'static str);
    let table: [Case; 12] = [
        (
            |r| r.sampling.temperature = Some(0.6),
            r#""temperature":0.70"#,
            r#""temperature":0.6"#,
        ),
        (
            |r| r.sampling.temperature = None,
            r#""temperature":0.70,"#,
            "",
        ),
        (
            |r| r.sampling.top_k = Some(20),
            r#""top_k":40.0"#,
            r#""top_k":20"#,
        ),
        (
            |r| r.max_tokens = Some(7),
            r#""max_completion_tokens":1e2"#,
            r#""max_completion_tokens":7"#,
        ),
        (
            |r| r.stop = vec!["a".into()],
            r#""stop":"""#,
            r#""stop":["a"]"#,
        ),
        (
            |r| r.stream = false,
            r#""stream":true"#,
            r#""stream":false"#,
        ),
        (
            |r| r.include_usage = true,
            r#"{"include_usage":false,"x":1}"#,
            r#"{"include_usage":true,"x":1}"#,
        ),
        (
            |r| r.tool_choice = ToolChoice::None,
            r#""auto""#,
            r#""none""#,
        ),
        (
            |r| {
                r.tools.remove(1);
            },
            r#", {"type":"function","function":{"name":"g"}}]"#,
            "]",
        ),
        (
            |r| {
                r.extra.shift_remove("logit_bias");
            },
            r#""logit_bias":"","#,
            "",
        ),
        (
            |r| {
                r.extra.insert("x-first".into(), json!(2));
            },
            r#""x-first":1e3"#,
            r#""x-first":2"#,
        ),
        (
            |r| {
                r.extra.insert("new".into(), json!([1]));
            },
            "567890}",
            r#"567890,"new":[1]}"#,
        ),
    ];
    for (edit, from, to) in table {
        let sent = edited(BODY, |request| {
            request.model = "other".into();
            edit(request);
        });
        let tools = |text: &str| text.replace("}}, {", "}},{");
        assert!(compact.contains(from), "{from}");
        assert_eq!(tools(&sent), tools(&compact.replacen(from, to, 1)));
    }
}

#[test]
fn fields_that_were_absent_are_appended() {
    let body = r#"{"model": "m","messages":[{"role":"user","content":"Hi"}]}"#;
    let sent = edited(body, |request| {
        request.sampling.top_p = Some(0.8);
        request.sampling.seed = Some(-1);
        request.max_tokens = Some(256);
        request.stream = true;
        request.include_usage = true;
        request.extra.insert("think".into(), json!(false));
        request.thinking = Some(false);
    });
    assert_eq!(
        sent,
        r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":true},"top_p":0.8,"seed":-1,"max_tokens":256,"think":false}"#
    );
}

#[test]
fn dropping_all_tools_drops_the_choice() {
    let sent = edited(BODY, |request| request.tools.clear());
    assert!(
        !sent.contains("tool_choice") && !sent.contains("\"tools\""),
        "{sent}"
    );
}

#[test]
fn messages_change_one_by_one() {
    let parts = |text: &str| -> Vec<String> {
        let body = raw::members(text).unwrap();
        let list = raw::elements(raw::find(&body, "messages").unwrap()).unwrap();
        list.into_iter().map(str::to_owned).collect()
    };
    let original = parts(BODY);

    let sent = parts(&edited(BODY, |request| {
        request.messages[0].content = Content::Text("Brief!".into());
    }));
    assert_eq!(
        sent[0],
        r#"{"content":"Brief!","role":"developer","name":"n\u00e9"}"#
    );
    assert_eq!(sent[1..], original[1..]);

    let sent = parts(&edited(BODY, |request| {
        request.messages.drain(1..4);
    }));
    assert_eq!(sent, [original[0].clone(), original[4].clone()]);

    let sent = parts(&edited(BODY, |request| {
        let Content::Parts(parts) = &mut request.messages[1].content else {
            panic!("parts");
        };
        parts[0] = Part::Text("See".into());
    }));
    assert_eq!(
        sent[1],
        r#"{"role":"user","content":[{"type":"text","text":"See"},{"type":"image_url","image_url":{"url":"data:x","detail":"low"}}]}"#
    );

    let sent = parts(&edited(BODY, |request| {
        let message = &mut request.messages[2];
        message.reasoning = None;
        message.tool_calls[0].arguments = "{}".into();
    }));
    assert_eq!(
        sent[2],
        r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","extra_content":{"sign":1.0},"function":{"name":"f","arguments":"{}"}}]}"#
    );
}

#[test]
fn ids_that_come_from_the_place_are_written_when_a_message_moves() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user","content":"b"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}, "x":1}]}]}"#;
    let sent = edited(body, |request| {
        request.messages.remove(0);
    });
    assert!(sent.contains(r#""id":"call_2_0""#), "{sent}");
}

#[test]
fn names_that_stand_twice() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a","content":"b"}],"x":1,"seed":1,"x":2,"seed":2}"#;
    assert_eq!(edited(body, |_| {}), body);
    let sent = edited(body, |request| {
        request.sampling.seed = Some(3);
        request.extra.insert("x".into(), json!(4));
        request.messages[0].content = Content::Text("c".into());
    });
    assert_eq!(
        sent,
        r#"{"model":"m","messages":[{"role":"user","content":"c"}],"x":4,"seed":3}"#
    );
}

#[test]
fn without_a_body_everything_is_written() {
    let mut bodies: Vec<String> = open_webui_bodies()
        .into_iter()
        .map(|(_, body)| body)
        .collect();
    bodies.push(BODY.to_owned());
    for body in bodies {
        let request = decode_chat(body.as_bytes()).unwrap();
        let sent = encode_chat(&Bytes::new(), &Request::default(), &request);
        assert_eq!(decode_chat(&sent).unwrap(), request);
    }
}

/// One change of a request; places are taken modulo what is there.
#[derive(Debug, Clone)]
enum Edit {
    Model(String),
    Drop(Index),
    Insert(Index, Message),
    Text(Index, String),
    Swap(Index, Index),
    Quiet(Index),
    CutParts(Index),
    Call(Index, String),
    DropTool(Index),
    SwapTools,
    Sampling(Sampling),
    Limits(Option<u32>, Vec<String>),
    Flags(bool, bool),
    Choice(ToolChoice),
    Extra(String, Option<i32>),
    MessageExtra(Index, String, Option<i32>),
}

fn message() -> impl Strategy<Value = Message> {
    let role = prop_oneof![Just(Role::System), Just(Role::User), Just(Role::Assistant)];
    let call = prop::option::of("[a-z]{1,3}").prop_map(|name| {
        Vec::from_iter(name.map(|name| ToolCall {
            id: format!("id-{name}"),
            name,
            arguments: "{}".into(),
        }))
    });
    (role, ".{0,12}", call).prop_map(|(role, text, tool_calls)| Message {
        role,
        content: Content::Text(text),
        reasoning: (role == Role::Assistant).then(|| "Hm".to_owned()),
        tool_calls,
        tool_call_id: None,
        extra: serde_json::Map::new(),
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    let name = || "[xyz]{1,2}";
    let sampling = (
        0_f32..2.0,
        prop::option::of(0_f32..1.0),
        prop::option::of(1..=i32::MAX),
        any::<Option<i64>>(),
    );
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        Just(ToolChoice::Named("f".into())),
    ];
    prop_oneof![
        "[a-z\"]{1,8}".prop_map(Edit::Model),
        place().prop_map(Edit::Drop),
        (place(), message()).prop_map(|(at, message)| Edit::Insert(at, message)),
        (place(), ".{0,20}").prop_map(|(at, text)| Edit::Text(at, text)),
        (place(), place()).prop_map(|(one, other)| Edit::Swap(one, other)),
        place().prop_map(Edit::Quiet),
        place().prop_map(Edit::CutParts),
        (place(), "[a-z]{1,4}").prop_map(|(at, name)| Edit::Call(at, name)),
        place().prop_map(Edit::DropTool),
        Just(Edit::SwapTools),
        sampling.prop_map(|(heat, share, top_k, seed)| Edit::Sampling(Sampling {
            temperature: Some(heat),
            top_p: share,
            top_k,
            repeat_penalty: share.map(|share| share + heat),
            presence_penalty: Some(-heat),
            seed,
            ..Sampling::default()
        })),
        (
            prop::option::of(1_u32..),
            prop::collection::vec("[a-z]{1,4}", 0..3)
        )
            .prop_map(|(limit, stop)| Edit::Limits(limit, stop)),
        any::<(bool, bool)>().prop_map(|(stream, usage)| Edit::Flags(stream, usage)),
        choice.prop_map(Edit::Choice),
        (name(), any::<Option<i32>>()).prop_map(|(name, value)| Edit::Extra(name, value)),
        (place(), name(), any::<Option<i32>>())
            .prop_map(|(at, name, value)| Edit::MessageExtra(at, name, value)),
    ]
}

fn set(extra: &mut serde_json::Map<String, Value>, name: String, value: Option<i32>) {
    match value {
        Some(value) => drop(extra.insert(name, value.into())),
        None => drop(extra.shift_remove(&name)),
    }
}

impl Edit {
    fn apply(self, request: &mut Request) {
        let messages = &mut request.messages;
        let count = messages.len();
        match self {
            Self::Model(model) => request.model = model,
            Self::Drop(at) if count > 1 => drop(messages.remove(at.index(count))),
            Self::Insert(at, message) => messages.insert(at.index(count + 1), message),
            Self::Text(at, text) => messages[at.index(count)].content = Content::Text(text),
            Self::Swap(one, other) => messages.swap(one.index(count), other.index(count)),
            Self::Quiet(at) => messages[at.index(count)].reasoning = None,
            Self::CutParts(at) => {
                if let Content::Parts(parts) = &mut messages[at.index(count)].content {
                    parts.pop();
                    parts.insert(0, Part::Text("cut".into()));
                }
            }
            Self::Call(at, name) => {
                if let Some(call) = messages[at.index(count)].tool_calls.first_mut() {
                    call.name = name;
                }
            }
            Self::DropTool(at) if !request.tools.is_empty() => {
                let at = at.index(request.tools.len());
                request.tools.remove(at);
            }
            Self::SwapTools => request.tools.reverse(),
            Self::Sampling(sampling) => request.sampling = sampling,
            Self::Limits(limit, stop) => (request.max_tokens, request.stop) = (limit, stop),
            Self::Flags(stream, usage) => (request.stream, request.include_usage) = (stream, usage),
            Self::Choice(choice) => request.tool_choice = choice,
            Self::Extra(name, value) => set(&mut request.extra, name, value),
            Self::MessageExtra(at, name, value) => {
                set(&mut messages[at.index(count)].extra, name, value)
            }
            Self::Drop(_) | Self::DropTool(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn an_upstream_reads_what_was_meant(
        which in any::<Index>(),
        edits in prop::collection::vec(edit(), 0..6),
    ) {
        static BODIES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
            let bodies = open_webui_bodies().into_iter().map(|(_, body)| body);
            // The large ones have nothing that this one has not.
            bodies.filter(|body| body.len() < 10_000).chain(vec![BODY.to_owned(); 10]).collect()
        });
        let body = which.get(&BODIES);
        edited(body, |request| edits.into_iter().for_each(|edit| edit.apply(request)));
    }
}
