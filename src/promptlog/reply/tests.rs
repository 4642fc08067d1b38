use std::io::Write;

use flate2::write::GzEncoder;

use super::*;

fn body(bytes: &[u8], is_stream: bool, coding: Coding) -> ReplyBody {
    let mut body = ReplyBody::new(is_stream, coding);
    // Cut where it hurts: in words, characters and line ends.
    for piece in bytes.chunks(7) {
        body.push(piece);
    }
    body
}

fn read(text: &str, is_stream: bool) -> Reply {
    body(text.as_bytes(), is_stream, Coding::Identity).read()
}

#[test]
fn a_stream_is_read_event_by_event() {
    let text = concat!(
        ": heartbeat\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"reasoning\":\"Hm\",\"reasoning_content\":\"Hm\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Grüße\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"another\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":5}}}\n\n",
        "data: [DONE]\n\n",
    );
    let whole = read(text, true);
    assert_eq!(whole.answer.content, "Grüße");
    assert_eq!(whole.answer.reasoning, "Hm");
    let call = whole.answer.tool_calls.first().unwrap();
    assert_eq!(
        (call.id.as_str(), call.arguments.as_str()),
        ("c1", "{\"a\":1}")
    );
    assert_eq!(whole.finish.as_deref(), Some("tool_calls"));
    let usage = whole.usage.unwrap();
    assert_eq!((usage.prompt, usage.cached, usage.completion), (9, 5, 4));
}

#[test]
fn a_long_stream_is_read_however_long_its_pieces() {
    let event = |text: &str| {
        format!(
            "data: {{\"id\":\"c7\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
        )
    };
    let words: Vec<String> = (0..1000).map(|word| format!("{word} ")).collect();
    let events: Vec<String> = words.iter().map(|word| event(word)).collect();
    let stream = events.concat();
    let whole = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut body = ReplyBody::new(true, Coding::Identity);
        pieces.for_each(|piece| body.push(piece));
        body.read().answer.content
    };
    let said = whole(&mut events.iter().map(|event| event.as_bytes()));
    assert_eq!(said, words.concat());
    for length in [1, 61, 4096, stream.len()] {
        let said = whole(&mut stream.as_bytes().chunks(length));
        assert_eq!(said, words.concat(), "{length}");
    }
}

#[test]
fn a_whole_answer_is_read_and_anything_else_passed_over() {
    let text = r#"{"choices":[{"message":{"content":"Hi","tool_calls":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let reply = read(text, false);
    assert_eq!(reply.answer.content, "Hi");
    assert_eq!(reply.finish.as_deref(), Some("stop"));
    for (text, is_stream) in [
        ("<html>", false),
        (r#"{"error":{"message":"no"}}"#, false),
        ("data: {]\n\n", true),
    ] {
        let reply = read(text, is_stream);
        assert_eq!(reply.answer.content, text, "kept as it is");
        assert!(reply.unread.is_some(), "{text}");
    }
    assert_eq!(read("", false), Reply::default());
}

#[test]
fn what_cannot_be_read_says_why() {
    let json = |text: &str| format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}]}}"#);
    let read = |bytes: &[u8], coding| body(bytes, false, coding).read();
    let packed = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let reply = read(&packed(&json("Hi")), Coding::Gzip);
    assert_eq!((reply.answer.content.as_str(), reply.unread), ("Hi", None));
    assert_eq!(read(&packed(""), Coding::Gzip), Reply::default());

    let events = packed(&format!("data: {}\n\n", json("Hi")));
    let reply = body(&events, true, Coding::Gzip).read();
    assert_eq!((reply.answer.content.as_str(), reply.unread), ("Hi", None));

    let reply = read(b"no gzip", Coding::Gzip);
    assert!(reply.unread.unwrap().contains("gzip"));
    let reply = read(b"?", Coding::Other("br".to_owned()));
    assert_eq!(reply.unread.as_deref(), Some("it is packed as br"));

    let reply = read(&packed(&json(&"z".repeat(9 << 20))), Coding::Gzip);
    assert_eq!(reply.answer.content.len(), LARGEST);
    assert_eq!(reply.unread.as_deref(), Some("it is longer than 8 MiB"));

    let garbled = [
        br#"{"choices":[{"message":{"content":"a"#,
        &b"\xff"[..],
        br#""}}]}"#,
    ]
    .concat();
    let reply = read(&garbled, Coding::Identity);
    assert_eq!(reply.answer.content, "a\u{fffd}");
    assert_eq!(reply.unread.as_deref(), Some("it is no valid UTF-8"));
}

#[test]
fn nothing_but_what_a_stream_says_is_left_of_it_at_its_end() {
    let event = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Hi\"}}}}],\"x\":\"{}\"}}\n\ndata: {{\"choices\":[]}}",
        "z".repeat(100_000)
    );
    let mut stream = body(event.as_bytes(), true, Coding::Identity);
    stream.end();
    assert!(stream.weight() < 1_000, "{}", stream.weight());
    let held = format!("{stream:?}");
    assert!(held.len() < 2_000, "{held}");
    assert_eq!(stream.read().answer.content, "Hi");
}

#[test]
fn a_failures_own_answer_is_not_told_twice() {
    for (error, expected) in [(Some("no".to_owned()), false), (None, true)] {
        let mut record = Record {
            error,
            content: Some(crate::promptlog::Content::default()),
            ..Record::default()
        };
        let failure = br#"{"error":{"message":"no"}}"#;
        body(failure, false, Coding::Identity).read_into(&mut record);
        let content = record.content.unwrap();
        assert_eq!(content.unread.is_some(), expected);
        assert_eq!(!content.answer.content.is_empty(), expected);
    }
}
