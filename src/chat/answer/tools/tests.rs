use super::*;

const CALL: &str = r#"<tool_call>
{"name": "get_weather", "arguments": {"city": "Oslo"}}
</tool_call>"#;

fn run(text: &str) -> (String, Vec<(String, String)>) {
    let mut parser = ToolCallParser::new(vec!["get_weather".into(), "add".into()], "r1".into());
    let mut events = Vec::new();
    parser.push(text, &mut events);
    parser.finish(&mut events);
    let (mut content, mut calls) = (String::new(), Vec::new());
    for event in events {
        match event {
            Event::Content(text) => content.push_str(&text),
            Event::ToolCall { index, call } => {
                assert_eq!(index, calls.len());
                assert_eq!(call.id, format!("call_r1_{index}"));
                calls.push((call.name, call.arguments));
            }
            other => panic!("{other:?}"),
        }
    }
    (content, calls)
}

fn weather() -> (String, String) {
    ("get_weather".into(), r#"{"city": "Oslo"}"#.into())
}

#[test]
fn hermes() {
    assert_eq!(run(CALL), (String::new(), vec![weather()]));
    assert_eq!(
        run(&format!("Let me look.\n\n{CALL}\n{CALL}\n")),
        ("Let me look.".into(), vec![weather(), weather()])
    );
    assert_eq!(
        run(&format!("{CALL}\n\nThat was it. ")),
        ("That was it. ".into(), vec![weather()])
    );
}

#[test]
fn a_closing_tag_may_be_missing() {
    let open = CALL.trim_end_matches("</tool_call>");
    assert_eq!(run(open), (String::new(), vec![weather()]));
    assert_eq!(
        run(&format!("{open}Done")),
        ("Done".into(), vec![weather()])
    );
    assert_eq!(
        run(&format!("{open}</tool")),
        ("</tool".into(), vec![weather()])
    );
}

#[test]
fn a_closing_tag_inside_an_argument_is_text() {
    let text = r#"<tool_call>{"name":"add","arguments":{"a":"</tool_call>"}}</tool_call>"#;
    assert_eq!(
        run(text),
        (
            String::new(),
            vec![("add".into(), r#"{"a":"</tool_call>"}"#.into())]
        )
    );
}

#[test]
fn llama() {
    let one = r#"<|python_tag|>{"name": "add", "parameters": {"a": 1}}"#;
    let add = || ("add".to_owned(), r#"{"a": 1}"#.to_owned());
    assert_eq!(run(one), (String::new(), vec![add()]));
    assert_eq!(
        run(&format!(
            r#"{one}; {{"name": "get_weather", "parameters": {{"city": "Oslo"}}}}"#
        )),
        (String::new(), vec![add(), weather()])
    );
    assert_eq!(run(&format!("{one}; well")), ("; well".into(), vec![add()]));
    assert_eq!(
        run("<|python_tag|>print(1)"),
        ("<|python_tag|>print(1)".into(), vec![])
    );
}

#[test]
fn mistral() {
    let text = r#"[TOOL_CALLS] [{"name":"add","arguments":{}},{"name":"get_weather","arguments":{"city": "Oslo"}}] "#;
    assert_eq!(
        run(text),
        (String::new(), vec![("add".into(), "{}".into()), weather()])
    );
}

#[test]
fn a_bare_object_is_a_call_only_as_the_whole_answer() {
    let bare = r#"{"name": "get_weather", "parameters": {"city": "Oslo"}}"#;
    assert_eq!(run(bare), (String::new(), vec![weather()]));
    assert_eq!(
        run(&format!("\n[{bare}, {bare}]\n")),
        (String::new(), vec![weather(), weather()])
    );
    assert_eq!(
        run(&format!("{bare}; {bare}")),
        (String::new(), vec![weather(), weather()])
    );
    for text in [
        format!("{bare} is how"),
        format!("See {bare}"),
        format!("{bare}; {bare} x"),
        format!("{bare}; {{\"na"),
    ] {
        assert_eq!(run(&text), (text.clone(), vec![]));
    }
    let named_only = r#"{"name": "get_weather"}"#;
    assert_eq!(run(named_only), (named_only.into(), vec![]));
}

#[test]
fn what_is_no_call_comes_out_as_it_was() {
    for text in [
        r#"<tool_call>{"name":"unknown","arguments":{}}</tool_call>"#,
        r#"<tool_call>{"name":"add","arguments":{"a":1}</tool_call> and so on"#,
        r#"a <tool_call>{"name":"add","argum"#,
        r#"[TOOL_CALLS][{"name":"add","arguments":{}},{"name":"unknown","arguments":{}}]"#,
        "a <tool_call> tag, a [TOOL_CALLS] mark",
        " {\"title\": \"x\"}\n",
        "[1](http://x)",
        "\n\n",
        "",
    ] {
        assert_eq!(run(text), (text.to_owned(), vec![]));
    }
}

#[test]
fn a_broken_block_does_not_hide_the_next_one() {
    assert_eq!(
        run(&format!("<tool_call>{{oops}}</tool_call>\n{CALL}")).1,
        [weather()]
    );
    assert_eq!(
        run(&format!("<tool_call>{CALL}")),
        ("<tool_call>".into(), vec![weather()])
    );
}

#[test]
fn text_that_cannot_be_a_call_is_not_held() {
    let mut parser = ToolCallParser::new(vec!["add".into()], "r1".into());
    let mut seen = |text: &str| {
        let mut events = Vec::new();
        parser.push(text, &mut events);
        events
    };
    assert_eq!(seen(" {\"ti"), [Event::Content(" {\"ti".into())]);
    assert_eq!(
        seen("tle\": 1} <tool"),
        [Event::Content("tle\": 1}".into())]
    );
    assert_eq!(
        seen("_call>{\"name\": oh"),
        [
            Event::Content(" <tool_call>".into()),
            Event::Content("{\"name\": oh".into())
        ]
    );
}
