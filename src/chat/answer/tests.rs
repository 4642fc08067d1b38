//! The stages together, and the properties that hold for any text.

use proptest::prelude::*;

use super::*;
use crate::chat::ToolCall;

fn options(thinking: Thinking) -> AnswerOptions {
    AnswerOptions {
        thinking,
        ..AnswerOptions::default()
    }
}

/// All events of an answer that arrives in `pieces`, neighbours joined.
fn events<'a>(options: AnswerOptions, pieces: impl IntoIterator<Item = &'a str>) -> Vec<Event> {
    let mut assembler = Assembler::new(options);
    let mut events = Vec::new();
    for piece in pieces {
        assembler.push(piece, 1, &mut events);
    }
    assembler.finish(FinishReason::Stop, &mut events);
    events
}

fn thought(text: &str) -> Event {
    Event::Reasoning(text.into())
}

fn said(text: &str) -> Event {
    Event::Content(text.into())
}

fn one_by_one(text: &str) -> Vec<&str> {
    text.split_inclusive(|_: char| true).collect()
}

#[test]
fn thinking() {
    use Thinking::{Expected, Opened, Unexpected, Verbatim};
    let late = Event::ContentWasReasoning;
    let table = [
        // Opened by the model, in every spelling.
        (
            Unexpected,
            "<think>\nHm.\n</think>\n\nHi",
            vec![thought("Hm.\n"), said("Hi")],
        ),
        (
            Expected,
            " \n<thinking>Hm</thinking>Hi",
            vec![thought("Hm"), said("Hi")],
        ),
        (
            Expected,
            "<reason>Hm</reason> Hi",
            vec![thought("Hm"), said("Hi")],
        ),
        (
            Expected,
            "<reasoning>Hm</reasoning> Hi",
            vec![thought("Hm"), said("Hi")],
        ),
        (
            Expected,
            "<thought>Hm</thought> Hi",
            vec![thought("Hm"), said("Hi")],
        ),
        (
            Expected,
            "<Thought>Hm</Thought> Hi",
            vec![thought("Hm"), said("Hi")],
        ),
        (
            Expected,
            "<|begin_of_thought|>Hm<|end_of_thought|> Hi",
            vec![thought("Hm"), said("Hi")],
        ),
        (
            Expected,
            "◁think▷Hm◁/think▷Hi",
            vec![thought("Hm"), said("Hi")],
        ),
        // Only the tag's own partner closes it.
        (
            Expected,
            "<think>a</thought>b</think>c",
            vec![thought("a</thought>b"), said("c")],
        ),
        // Opened by the template, and once more by the model.
        (Opened, "Hm</think>\nHi", vec![thought("Hm"), said("Hi")]),
        (
            Opened,
            "\n<think>\nHm</think>\nHi",
            vec![thought("Hm"), said("Hi")],
        ),
        (
            Opened,
            "<b>Hm</b></thought>\nHi",
            vec![thought("<b>Hm</b>"), said("Hi")],
        ),
        // Never closed.
        (Unexpected, "<think>Hm, </thi", vec![thought("Hm, </thi")]),
        (Opened, "Hm", vec![thought("Hm")]),
        // Never opened.
        (
            Expected,
            "Hm.</think>\nHi</think>",
            vec![said("Hm."), late.clone(), said("\nHi</think>")],
        ),
        (Expected, "</think>Hi", vec![late, said("Hi")]),
        (Unexpected, "Hm.</think>\nHi", vec![said("Hm.</think>\nHi")]),
        // Empty.
        (Unexpected, "<think>\n\n</think>\n\nHi", vec![said("Hi")]),
        (Opened, "\n\n</think>\n\n", vec![]),
        // Several in a row.
        (
            Unexpected,
            "<think>a</think>\n<thought>b</thought>\nHi",
            vec![thought("a\nb"), said("Hi")],
        ),
        // A tag after visible text is text.
        (
            Expected,
            "Use <think>x</think>",
            vec![said("Use <think>x"), Event::ContentWasReasoning],
        ),
        (
            Unexpected,
            "Use <think>x</think>",
            vec![said("Use <think>x</think>")],
        ),
        (
            Unexpected,
            "<think>a</think>b <think>c</think>",
            vec![thought("a"), said("b <think>c</think>")],
        ),
        (
            Expected,
            "<think>a</think>b </think>",
            vec![thought("a"), said("b </think>")],
        ),
        // No tags at all.
        (Unexpected, " \n<thin", vec![said(" \n<thin")]),
        (Expected, "\n\nHi ", vec![said("\n\nHi ")]),
        (
            Verbatim,
            " <think>a</think>b",
            vec![said(" <think>a</think>b")],
        ),
        (Unexpected, "", vec![]),
    ];
    for (thinking, text, expected) in table {
        assert_eq!(
            events(options(thinking), [text]),
            expected,
            "{thinking:?} {text:?} whole"
        );
        assert_eq!(
            events(options(thinking), one_by_one(text)),
            expected,
            "{thinking:?} {text:?} by character"
        );
    }
}

#[test]
fn stop_strings_do_not_see_thoughts_and_arguments() {
    let options = AnswerOptions {
        stop: vec!["\n\n".into(), "END".into()],
        tools: vec!["f".into()],
        ..options(Thinking::Expected)
    };
    let text = "<think>a\n\nb END</think>\n\nWell <tool_call>{\"name\":\"f\",\"arguments\":{\"x\":\"END\"}}</tool_call>so\n\nEND";
    let call = ToolCall {
        id: "call__0".into(),
        name: "f".into(),
        arguments: "{\"x\":\"END\"}".into(),
    };
    let expected = [
        thought("a\n\nb END"),
        said("Well"),
        Event::ToolCall { index: 0, call },
        said("so"),
    ];
    assert_eq!(events(options, [text]), expected);
}

#[test]
fn a_stop_string_ends_the_answer() {
    let mut assembler = Assembler::new(AnswerOptions {
        stop: vec!["END".into()],
        ..AnswerOptions::default()
    });
    let mut events = Vec::new();
    assembler.push("one E", 2, &mut events);
    assert!(!assembler.stopped());
    assembler.push("ND two", 2, &mut events);
    assert!(assembler.stopped());
    assembler.push("three", 1, &mut events);
    assert_eq!(
        assembler.finish(FinishReason::Length, &mut events),
        FinishReason::Stop
    );
    assert_eq!(events, [said("one ")]);
}

#[test]
fn the_finish_reason_follows_from_the_answer() {
    let finish = |text: &str, reason| {
        let mut assembler = Assembler::new(AnswerOptions {
            tools: vec!["f".into()],
            ..AnswerOptions::default()
        });
        let mut events = Vec::new();
        assembler.push(text, 1, &mut events);
        assembler.finish(reason, &mut events)
    };
    assert_eq!(finish("Hi", FinishReason::Stop), FinishReason::Stop);
    assert_eq!(finish("Hi", FinishReason::Length), FinishReason::Length);
    assert_eq!(
        finish("{\"name\":\"f\",\"arguments\":{}}", FinishReason::Stop),
        FinishReason::ToolCalls
    );
    assert_eq!(
        finish("{\"name\":\"g\",\"arguments\":{}}", FinishReason::Stop),
        FinishReason::Stop
    );
}

#[test]
fn without_tools_a_call_is_text() {
    let text = "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>";
    assert_eq!(events(options(Thinking::Unexpected), [text]), [said(text)]);
}

#[test]
fn reasoning_tokens_count_the_block_and_its_tags() {
    let count = |thinking, pieces: &[&str]| {
        let mut assembler = Assembler::new(options(thinking));
        let mut events = Vec::new();
        for piece in pieces {
            assembler.push(piece, 1, &mut events);
        }
        assembler.reasoning_tokens()
    };
    assert_eq!(
        count(
            Thinking::Expected,
            &["<think>", "\n", "Hm", "</think>", "\n\n", "Hi", "!"]
        ),
        4
    );
    assert_eq!(
        count(
            Thinking::Expected,
            &["<", "think", ">", "Hm", "</", "think>", "Hi"]
        ),
        6
    );
    assert_eq!(count(Thinking::Expected, &["<", "b", ">", "Hm"]), 0);
    assert_eq!(count(Thinking::Opened, &["Hm", "</think>", "Hi"]), 2);
    assert_eq!(count(Thinking::Expected, &["Hm", "</think>", "Hi"]), 2);
    assert_eq!(count(Thinking::Unexpected, &["<think>Hm</think>Hi"]), 1);
    assert_eq!(count(Thinking::Verbatim, &["<think>", "Hm"]), 0);
}

/// Text made of what the stages look for, whole and broken.
fn tricky_text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        Just("<think>"),
        Just("</think>"),
        Just("<thought>"),
        Just("◁think▷"),
        Just("◁/think▷"),
        Just("</"),
        Just("<"),
        Just("<tool_call>"),
        Just("</tool_call>"),
        Just("<|python_tag|>"),
        Just("[TOOL_CALLS]"),
        Just(r#"{"name":"f","arguments":{"a":"</tool_call>"}}"#),
        Just(r#"{"name":"f","parameters":{}}"#),
        Just(r#"{"name":"#),
        Just("["),
        Just("{"),
        Just("}"),
        Just("]"),
        Just("\""),
        Just(";"),
        Just(" "),
        Just("\n"),
        Just("a"),
        Just("END"),
        Just("EN"),
        Just("é"),
    ];
    prop::collection::vec(fragment, 0..14).prop_map(|fragments| fragments.concat())
}

fn any_options() -> impl Strategy<Value = AnswerOptions> {
    let thinking = prop_oneof![
        Just(Thinking::Verbatim),
        Just(Thinking::Unexpected),
        Just(Thinking::Expected),
        Just(Thinking::Opened),
    ];
    let stop = prop_oneof![
        Just(vec![]),
        Just(vec!["END"]),
        Just(vec!["ENDa", "ND", "\n"])
    ];
    let think = prop_oneof![
        Just(Think::Reasoning),
        Just(Think::Drop),
        Just(Think::Inline)
    ];
    let json = JsonShape {
        key: "a".into(),
        value: JsonValue::Text,
    };
    let repetition = Repetition {
        min_chars: 4,
        times: 2,
    };
    let rules = (
        think,
        prop_oneof![4 => Just(None), 1 => Just(Some(json))],
        prop_oneof![2 => Just(None), 1 => Just(Some(repetition))],
    );
    let switches = (any::<bool>(), any::<bool>());
    (thinking, stop, switches, rules).prop_map(
        |(thinking, stop, (tools, fallback), (think, json, repetition))| AnswerOptions {
            thinking,
            stop: stop.into_iter().map(str::to_owned).collect(),
            tools: if tools { vec!["f".into()] } else { vec![] },
            id_seed: "r1".into(),
            think,
            json,
            fallback: fallback.then(|| "none".into()),
            // Counts tokens, not characters: how the text is cut into pieces is what it goes by.
            visible_tokens: None,
            repetition,
        },
    )
}

/// `text` cut at the characters that `cuts` point to.
fn cut<'a>(text: &'a str, cuts: &[prop::sample::Index]) -> Vec<&'a str> {
    let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    places.push(text.len());
    let mut chosen: Vec<usize> = cuts.iter().map(|cut| *cut.get(&places)).collect();
    chosen.extend([0, text.len()]);
    chosen.sort_unstable();
    chosen
        .windows(2)
        .map(|pair| &text[pair[0]..pair[1]])
        .collect()
}

/// What the stages may drop: whitespace and tags.
fn essence(text: &str) -> String {
    let mut text = text.to_owned();
    for tag in [
        "<think>",
        "</think>",
        "<thought>",
        "◁think▷",
        "◁/think▷",
        "<tool_call>",
        "</tool_call>",
        "<|python_tag|>",
        "[TOOL_CALLS]",
    ] {
        text = text.replace(tag, "");
    }
    text.retain(|c| !c.is_whitespace());
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_split_gives_the_same_events(
        text in tricky_text(),
        options in any_options(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = events(options.clone(), [text.as_str()]);
        prop_assert_eq!(&events(options.clone(), cut(&text, &cuts)), &whole);
        prop_assert_eq!(&events(options, one_by_one(&text)), &whole);
    }

    #[test]
    fn nothing_is_lost(text in tricky_text(), mut options in any_options()) {
        options.stop.clear();
        options.tools.clear();
        options.json = None;
        options.fallback = None;
        options.repetition = None;
        if options.think == Think::Drop {
            options.think = Think::Inline;
        }
        let out: String = events(options, [text.as_str()])
            .into_iter()
            .map(|event| match event {
                Event::Reasoning(text) | Event::Content(text) => text,
                Event::ContentWasReasoning | Event::ToolCall { .. } => String::new(),
            })
            .collect();
        prop_assert_eq!(essence(&out), essence(&text));
    }

    #[test]
    fn calls_and_text_add_up(
        parts in prop::collection::vec(prop_oneof![
            Just("<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}}</tool_call>"),
            Just("<tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>"),
            Just("<tool_call>{\"name\":\"f\",<"),
            Just("words"),
            Just(" \n"),
        ], 0..8),
    ) {
        let text = parts.concat();
        let options = AnswerOptions { tools: vec!["f".into()], ..AnswerOptions::default() };
        let written: String = events(options, one_by_one(&text))
            .into_iter()
            .map(|event| match event {
                Event::ToolCall { call, .. } => {
                    format!("<tool_call>{{\"name\":\"{}\",\"arguments\":{}}}</tool_call>", call.name, call.arguments)
                }
                Event::Content(text) => text,
                other => panic!("{other:?}"),
            })
            .collect();
        let without_space = |text: &str| text.replace([' ', '\n'], "");
        prop_assert_eq!(without_space(&written), without_space(&text));
    }

    /// Visible text waits for no more than a tag or stop string that has begun, and whitespace.
    #[test]
    fn hold_back_is_bounded(text in "[a-z<>/ENDthink\u{25c1}]{0,60}") {
        let options = AnswerOptions { stop: vec!["END".into()], ..options(Thinking::Expected) };
        let mut assembler = Assembler::new(options);
        let longest = "<|begin_of_thought|>".len() + "END".len();
        let (mut events, mut pushed) = (Vec::new(), 0);
        for piece in one_by_one(&text) {
            assembler.push(piece, 1, &mut events);
            pushed += piece.len();
            if assembler.stopped() || events.contains(&Event::ContentWasReasoning) || assembler.reasoning_tokens() > 0 {
                break;
            }
            let sent: usize = events.iter().map(|event| match event {
                Event::Content(text) => text.len(),
                _ => 0,
            }).sum();
            prop_assert!(pushed - sent < longest, "{} of {} bytes held", pushed - sent, pushed);
        }
    }
}
