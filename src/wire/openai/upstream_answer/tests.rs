use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::answer::{Dropped, JsonNote, JsonShape, JsonValue, Repetition, Thinking};

fn dropping() -> AnswerOptions {
    AnswerOptions {
        thinking: Thinking::Expected,
        think: Think::Drop,
        ..AnswerOptions::default()
    }
}

fn title() -> AnswerOptions {
    AnswerOptions {
        json: Some(JsonShape {
            key: "title".into(),
            value: JsonValue::Text,
        }),
        ..dropping()
    }
}

fn quick_guard() -> AnswerOptions {
    AnswerOptions {
        repetition: Some(Repetition {
            min_chars: 20,
            times: 3,
        }),
        ..AnswerOptions::default()
    }
}

const ROUND: &str = "It goes round and round. ";

/// A whole answer with this message, in spellings that no encoder would choose.
fn whole(message: &str) -> String {
    format!(
        r#"{{ "id":"x\u0031", "choices" : [{{"index":0,"message":{message},"logprobs":null,"finish_reason":"length"}}], "usage":{{"n":1.0}}}}"#
    )
}

fn rewritten(message: &str, options: AnswerOptions) -> (String, AnswerNotes) {
    let body = Bytes::from(whole(message));
    let (body, notes) = rewrite_answer(&body, options, None);
    (String::from_utf8(body.to_vec()).unwrap(), notes)
}

#[test]
fn whole_answers() {
    let message = |text: &str, options| {
        let (body, _) = rewritten(text, options);
        let rest = body.split_once(r#""message":"#).unwrap().1;
        rest.split_once(r#","logprobs""#).unwrap().0.to_owned()
    };
    let table = [
        // Thinking in the text is told apart.
        (
            AnswerOptions::default(),
            r#"{"role":"assistant","content":"<think>\nHm\n</think>\n\nHi","x":1.0}"#,
            r#"{"role":"assistant","content":"Hi","x":1.0,"reasoning_content":"Hm\n"}"#,
        ),
        (
            dropping(),
            r#"{"content":"<think>Hm</think>Hi"}"#,
            r#"{"content":"Hi"}"#,
        ),
        (
            dropping(),
            r#"{"content":"Hm</think>Hi"}"#,
            r#"{"content":"Hi"}"#,
        ),
        (
            dropping(),
            r#"{"content":"Hi","reasoning":"Hm","reasoning_content":"Hm"}"#,
            r#"{"content":"Hi"}"#,
        ),
        (
            AnswerOptions {
                think: Think::Inline,
                ..dropping()
            },
            r#"{"content":"Hi","reasoning":"Hm"}"#,
            r#"{"content":"<think>\nHm\n</think>\n\nHi"}"#,
        ),
        (
            title(),
            r#"{"content":"```json\n{'title': 'A'}\n```","reasoning_content":"{"}"#,
            r#"{"content":"{\"title\":\"A\"}"}"#,
        ),
        (
            AnswerOptions {
                fallback: Some("{}".into()),
                ..title()
            },
            r#"{"content":null}"#,
            r#"{"content":"{}"}"#,
        ),
    ];
    for (options, before, after) in table {
        assert_eq!(message(before, options), after, "{before}");
    }
}

#[test]
fn a_whole_answer_keeps_what_does_not_change() {
    for (options, message) in [
        (AnswerOptions::default(), r#"{"content":"Hi \u0041"}"#),
        (
            AnswerOptions::default(),
            r#"{"content":"Hi","reasoning":"Hm","reasoning_content":"Hm"}"#,
        ),
        (dropping(), r#"{"content":null,"tool_calls":[{"id":"1"}]}"#),
        (title(), r#"{"content":" {\"title\": \"A\"}"}"#),
        (quick_guard(), r#"{"content":"Hi"}"#),
    ] {
        assert_eq!(rewritten(message, options).0, whole(message));
    }
    for body in [
        r#"{"error":{"message":"x"}}"#,
        "",
        "<html>",
        r#"{"choices":[]}"#,
        "\u{0}",
    ] {
        let body = Bytes::from(body);
        assert_eq!(rewrite_answer(&body, dropping(), None).0, body);
    }
    let (body, notes) = rewritten(r#"{"content":"<think>Hm</think>Hi"}"#, dropping());
    assert_eq!(
        body,
        r#"{"id":"x\u0031","choices":[{"index":0,"message":{"content":"Hi"},"logprobs":null,"finish_reason":"length"}],"usage":{"n":1.0}}"#
    );
    assert_eq!(
        notes.dropped,
        Some(Dropped {
            chars: 2,
            tokens: 0
        })
    );
}

#[test]
fn a_loop_in_a_whole_answer_ends_with_stop() {
    let message = json!({"content": ROUND.repeat(30)}).to_string();
    let (body, notes) = rewritten(&message, quick_guard());
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let content = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(content.len() as u64, notes.repetition.unwrap().end);
}

/// A chunk's event with this delta and, behind it, whatever else.
fn chunk(delta: &str, finish: &str, behind: &str) -> String {
    format!(
        "data: {{\"id\":\"c\\u0031\", \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]{behind}}}\n\n"
    )
}

/// The same as this room writes it.
fn written(delta: &str, finish: &str, behind: &str) -> String {
    chunk(delta, finish, behind).replacen(", \"choices", ",\"choices", 1)
}

fn streamed<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    options: AnswerOptions,
) -> (String, AnswerNotes) {
    let mut stream = AnswerStream::new(options, None);
    let mut out = BytesMut::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    let notes = stream.finish(&mut out);
    (String::from_utf8(out.to_vec()).unwrap(), notes)
}

fn content(text: &str) -> String {
    format!("{{\"content\":{}}}", Value::from(text))
}

const DONE: &str = "data: [DONE]\n\n";

/// The thinking and the text that a stream tells.
fn told(stream: &str, options: AnswerOptions) -> (String, String) {
    let (rewritten, _) = streamed([stream.as_bytes()], options);
    let mut told = (String::new(), String::new());
    for event in rewritten
        .split_terminator("\n\n")
        .map(|event| &event["data: ".len()..])
    {
        let Ok(chunk) = serde_json::from_str::<Value>(event) else {
            continue;
        };
        let delta = &chunk["choices"][0]["delta"];
        told.0 += delta["reasoning_content"].as_str().unwrap_or_default();
        told.1 += delta["content"].as_str().unwrap_or_default();
    }
    told
}

#[test]
fn streams_keep_what_does_not_change() {
    let stream = [
        ": waiting\r\n\r\n".to_owned(),
        chunk(r#"{"role":"assistant","content":""}"#, "null", ""),
        chunk(r#"{"reasoning":"Hm","reasoning_content":"Hm"}"#, "null", ""),
        "event: status\ndata: {\"event\":{}}\n\n".to_owned(),
        chunk(
            r#"{"content":"H\u0069"}"#,
            "null",
            ",\"timings\":{\"n\":1.0}",
        ),
        chunk(r#"{"tool_calls":[{"index":0,"x":1e3}]}"#, "null", ""),
        chunk("{}", "\"tool_calls\"", ",\"usage\":null"),
        "data: {\"choices\":[],\"usage\":{\"n\":1}}\n\n".to_owned(),
        DONE.to_owned(),
        "data: {\"broken\n\n".to_owned(),
        "data: {\"error\":{\"message\":\"x\"}}\n".to_owned(),
    ]
    .concat();
    assert_eq!(
        streamed([stream.as_bytes()], AnswerOptions::default()).0,
        stream
    );
}

#[test]
fn the_name_of_the_model_that_was_asked_for() {
    let asked = "big\"one";
    let body =
        Bytes::from(r#"{"id":1.0,"model":"small","choices":[{"message":{"content":"Hi"}}]}"#);
    let (body, _) = rewrite_answer(&body, AnswerOptions::default(), Some(asked));
    assert_eq!(
        body,
        &br#"{"id":1.0,"model":"big\"one","choices":[{"message":{"content":"Hi"}}]}"#[..]
    );
    let named = |name: &str| {
        let chunk = |delta: &str, finish: &str| {
            format!(
                "data: {{\"model\":{name},\"choices\":[{{\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
            )
        };
        [
            chunk(&content("Hi"), "null"),
            chunk("{}", "\"stop\""),
            format!("data: {{\"model\":{name},\"choices\":[],\"usage\":{{\"n\":1.0}}}}\n\n"),
            DONE.to_owned(),
        ]
        .concat()
    };
    let mut stream = AnswerStream::new(AnswerOptions::default(), Some(asked.to_owned()));
    let mut out = BytesMut::new();
    stream.push(named("\"small\"").as_bytes(), &mut out);
    stream.finish(&mut out);
    assert_eq!(out, named(r#""big\"one""#));
}

#[test]
fn streamed_thinking() {
    let stream = [
        chunk(r#"{"role":"assistant","content":"<think>"}"#, "null", ""),
        chunk(&content("Hm"), "null", ""),
        chunk(&content("</think>\n\nHi"), "null", ",\"timings\":{}"),
        chunk(&content("!"), "\"stop\"", ",\"usage\":{}"),
        DONE.to_owned(),
    ]
    .concat();
    let (told, _) = streamed([stream.as_bytes()], AnswerOptions::default());
    let expected = [
        written(r#"{"role":"assistant"}"#, "null", ""),
        written(r#"{"reasoning_content":"Hm"}"#, "null", ""),
        written(&content("Hi"), "null", ",\"timings\":{}"),
        chunk(&content("!"), "\"stop\"", ",\"usage\":{}"),
        DONE.to_owned(),
    ];
    assert_eq!(told, expected.concat());

    let (told, notes) = streamed([stream.as_bytes()], dropping());
    let [role, _, rest @ ..] = expected;
    assert_eq!(told, role + &rest.concat());
    assert_eq!(notes.dropped.map(|dropped| dropped.chars), Some(2));
}

#[test]
fn streamed_json_comes_at_the_end() {
    let pieces = [
        chunk(&content("{'title':"), "null", ""),
        chunk(&content(" 'A'}"), "null", ""),
    ]
    .concat();
    let fixed = written(&content("{\"title\":\"A\"}"), "null", "");
    for (end, expected) in [
        (
            chunk("{}", "\"stop\"", ",\"usage\":{}"),
            fixed.clone() + &written("{}", "\"stop\"", ",\"usage\":{}"),
        ),
        (String::new(), fixed.clone()),
    ] {
        for done in ["", DONE] {
            let stream = pieces.clone() + &end + done;
            let (told, notes) = streamed([stream.as_bytes()], title());
            assert_eq!(told, expected.clone() + done);
            assert!(matches!(notes.json, Some(JsonNote::Repaired(_))));
        }
    }
    let error = "data: {\"error\":{\"message\":\"x\"}}\n\n";
    let failed = pieces + error + DONE;
    assert_eq!(
        streamed([failed.as_bytes()], title()).0,
        error.to_owned() + DONE
    );
}

#[test]
fn a_streamed_loop_ends_with_stop() {
    let mut stream = AnswerStream::new(quick_guard(), None);
    let mut out = BytesMut::new();
    let mut count = 0;
    while !stream.ended() {
        assert!(count < 10);
        stream.push(chunk(&content(ROUND), "null", "").as_bytes(), &mut out);
        count += 1;
    }
    let before = out.len();
    stream.push(
        chunk(&content("more"), "\"length\"", "").as_bytes(),
        &mut out,
    );
    assert_eq!(out.len(), before);
    stream.finish(&mut out);
    let told = String::from_utf8(out.to_vec()).unwrap();
    assert!(
        told.ends_with(&(written("{}", "\"stop\"", "") + DONE)),
        "{told}"
    );
    assert_eq!(told.matches("finish_reason\":\"").count(), 1);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_stream(
        texts in prop::collection::vec(prop_oneof![
            Just("<think>"), Just("</think>"), Just("<"), Just("Hi "), Just("{\"title\": \"A\"}"), Just("{"), Just("é"),
            Just("It goes round. It goes round. It goes round. It goes round. "),
        ], 0..8),
        kind in 0..4_usize,
        ending in prop::sample::select(vec!["\n\n", "\r\n\r\n", "\r\r"]),
        options in prop::sample::select(vec![AnswerOptions::default(), dropping(), title(), quick_guard()]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut stream = ": hi\n\n".to_owned();
        for text in texts {
            stream += &chunk(&content(text), "null", "");
        }
        stream += ["", DONE, &chunk("{}", "\"stop\"", ""), &(chunk(&content("x"), "\"length\"", ",\"usage\":{}") + DONE)][kind];
        let stream = stream.replace("\n\n", ending);
        let bytes = stream.as_bytes();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        let whole = streamed([bytes], options.clone());
        prop_assert_eq!(streamed(pieces, options.clone()), whole.clone());
        for event in whole.0.replace('\r', "\n").split("\n\n").filter_map(|event| event.trim().strip_prefix("data: ")) {
            prop_assert!(event == "[DONE]" || serde_json::from_str::<Value>(event).is_ok(), "{event}");
        }
    }

    /// However the upstream cuts its text into chunks, the same is told as thinking and as the answer.
    #[test]
    fn any_cut_of_the_text_tells_thinking_apart(
        parts in prop::collection::vec(prop_oneof![
            Just("<think>"), Just("</think>"), Just("<thi"), Just(" "), Just("\n"), Just("Hm é"), Just("Hi"),
        ], 0..8),
        options in prop::sample::select(vec![AnswerOptions::default(), dropping()]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let text: Vec<char> = parts.concat().chars().collect();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|pair| text[pair[0]..pair[1]].iter().collect::<String>());
        let cut = pieces.map(|piece| chunk(&content(&piece), "null", "")).collect::<String>();
        let uncut = chunk(&content(&text.iter().collect::<String>()), "null", "");
        let end = chunk("{}", "\"stop\"", "") + DONE;
        prop_assert_eq!(told(&(cut + &end), options.clone()), told(&(uncut + &end), options));
    }

    /// A streamed answer says what the whole one says.
    #[test]
    fn streams_and_whole_answers_agree(
        texts in prop::collection::vec(prop_oneof![
            Just("<think>"), Just("Hm"), Just("</think>"), Just("{\"title\": "), Just("\"A\"}"), Just(" "),
        ], 0..8),
        options in prop::sample::select(vec![AnswerOptions::default(), title(), quick_guard()]),
    ) {
        let stream: String = texts.iter().map(|text| chunk(&content(text), "null", "")).collect();
        let (told, _) = streamed([stream.as_bytes()], options.clone());
        let spoken: String = told.split_terminator("\n\n").map(|event| {
            let chunk: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
        }).collect();
        let (body, _) = rewritten(&content(&texts.concat()), options);
        let body: Value = serde_json::from_str(&body).unwrap();
        prop_assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap_or_default(), spoken);
    }
}
