use super::*;
use crate::chat::{
    FinishReason,
    answer::{Answer, AnswerOptions, Assembler, JsonValue, Thinking},
};

/// The collected answer of these pieces of one token each, why it ended and what was done to it.
fn answer(options: AnswerOptions, pieces: &[&str]) -> (Answer, FinishReason, AnswerNotes) {
    let mut assembler = Assembler::new(options);
    let mut events = Vec::new();
    for piece in pieces {
        assembler.push(piece, 1, &mut events);
    }
    let reason = assembler.finish(FinishReason::Length, &mut events);
    (events.into_iter().collect(), reason, assembler.notes())
}

fn thinking(think: Think) -> AnswerOptions {
    AnswerOptions {
        thinking: Thinking::Expected,
        think,
        ..AnswerOptions::default()
    }
}

fn json(key: &str, value: JsonValue) -> AnswerOptions {
    AnswerOptions {
        json: Some(JsonShape {
            key: key.into(),
            value,
        }),
        ..thinking(Think::Drop)
    }
}

#[test]
fn thinking_goes_where_it_should() {
    let pieces = ["<think>", "Hm", ".", "</think>", "\n\nHi", "!"];
    let (told, _, notes) = answer(thinking(Think::Reasoning), &pieces);
    assert_eq!((&*told.reasoning, &*told.content), ("Hm.", "Hi!"));
    assert_eq!(notes, AnswerNotes::default());

    let (told, _, notes) = answer(thinking(Think::Drop), &pieces);
    assert_eq!((&*told.reasoning, &*told.content), ("", "Hi!"));
    let dropped = Dropped {
        chars: 3,
        tokens: 4,
    };
    assert_eq!(notes.dropped, Some(dropped));

    let (told, _, _) = answer(thinking(Think::Inline), &pieces);
    assert_eq!(told.content, "<think>\nHm.\n</think>\n\nHi!");
    assert_eq!(told.reasoning, "");
}

#[test]
fn inline_thinking_is_always_closed() {
    let (told, _, _) = answer(thinking(Think::Inline), &["<think>", "Hm"]);
    assert_eq!(told.content, "<think>\nHm\n</think>\n\n");
    let (told, _, _) = answer(thinking(Think::Inline), &["Hm", "</think>", "Hi"]);
    assert_eq!(told.content, "Hm\n</think>\n\nHi");
    let options = AnswerOptions {
        tools: vec!["f".into()],
        ..thinking(Think::Inline)
    };
    let call = "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>";
    let (told, reason, _) = answer(options, &["<think>Hm</think>", call]);
    assert_eq!(told.content, "<think>\nHm\n</think>\n\n");
    assert_eq!(
        (told.tool_calls.len(), reason),
        (1, FinishReason::ToolCalls)
    );
}

#[test]
fn json_is_mended_at_the_end() {
    let mut assembler = Assembler::new(json("tags", JsonValue::List));
    let mut events = Vec::new();
    for piece in ["<think>{", "</think>", "{'tags':", " ['A', 'B'"] {
        assembler.push(piece, 1, &mut events);
    }
    assert_eq!(events, []);
    assert_eq!(assembler.notes().json, None);
    let reason = assembler.finish(FinishReason::Length, &mut events);
    assert_eq!(reason, FinishReason::Length);
    assert_eq!(events, [Event::Content(r#"{"tags":["A","B"]}"#.into())]);
    let Some(JsonNote::Repaired(how)) = assembler.notes().json else {
        panic!("{:?}", assembler.notes());
    };
    assert!(how.contains(&json_repair::Fix::Truncated));
}

#[test]
fn json_that_is_right_keeps_every_byte() {
    let (told, _, notes) = answer(
        json("title", JsonValue::Text),
        &["{ \"title\"", ":\"A\" }\n"],
    );
    assert_eq!(told.content, "{ \"title\":\"A\" }\n");
    assert_eq!(notes.json, Some(JsonNote::AsIs));
}

#[test]
fn json_that_cannot_be_saved() {
    let pieces = ["I'm sorry, I can't do that."];
    let (told, _, notes) = answer(json("title", JsonValue::Text), &pieces);
    assert_eq!(
        (&*told.content, notes.json),
        (pieces[0], Some(JsonNote::Hopeless))
    );
    let options = AnswerOptions {
        fallback: Some("{\"title\":\"Chat\"}".into()),
        ..json("title", JsonValue::Text)
    };
    let (told, _, notes) = answer(options, &pieces);
    assert_eq!(
        (&*told.content, notes.json),
        ("{\"title\":\"Chat\"}", Some(JsonNote::Fallback))
    );
}

#[test]
fn a_late_closing_tag_voids_what_was_collected() {
    let pieces = ["The title {", "</think>", "{\"title\": \"A\"}"];
    let (told, _, notes) = answer(json("title", JsonValue::Text), &pieces);
    assert_eq!(
        (&*told.reasoning, &*told.content),
        ("", "{\"title\": \"A\"}")
    );
    assert_eq!(notes.dropped.map(|dropped| dropped.chars), Some(11));
    let options = AnswerOptions {
        think: Think::Reasoning,
        ..json("title", JsonValue::Text)
    };
    let (told, _, _) = answer(options, &pieces);
    assert_eq!(told.reasoning, "The title {");
}

#[test]
fn a_loop_ends_the_answer() {
    let options = AnswerOptions {
        repetition: Some(Repetition {
            min_chars: 20,
            times: 3,
        }),
        ..thinking(Think::Reasoning)
    };
    let sentence = "It goes round and round. ";
    let pieces = vec![sentence; 20];
    let (told, reason, notes) = answer(options.clone(), &pieces);
    assert_eq!(reason, FinishReason::Stop);
    let found = notes.repetition.unwrap();
    assert_eq!((found.begin, found.period), (0, sentence.len() as u64));
    assert_eq!(told.content.len() as u64, found.end);
    assert!(told.content.len() <= sentence.len() * 4);

    let thought = [&["<think>"][..], &pieces].concat();
    let (told, reason, notes) = answer(options, &thought);
    assert_eq!((&*told.content, reason), ("", FinishReason::Stop));
    assert_eq!(told.reasoning.len() as u64, notes.repetition.unwrap().end);
}

#[test]
fn thinking_that_comes_apart() {
    let mut assembler = Assembler::new(thinking(Think::Inline));
    let mut events = Vec::new();
    assembler.push_reasoning("Hm".into(), 2, &mut events);
    assembler.push_reasoning(".".into(), 1, &mut events);
    assembler.push("Hi", 1, &mut events);
    assembler.finish(FinishReason::Stop, &mut events);
    assert_eq!(
        events,
        [Event::Content("<think>\nHm.\n</think>\n\nHi".into())]
    );
    assert_eq!(assembler.reasoning_tokens(), 3);
}

#[test]
fn thinking_that_nobody_sees_costs_no_visible_token() {
    let limited = AnswerOptions {
        visible_tokens: Some(2),
        ..thinking(Think::Drop)
    };
    let pieces = [
        "<think>", "Hm", ".", "Hm", "</think>", "One", " two", " three",
    ];
    let (told, reason, _) = answer(limited.clone(), &pieces);
    assert_eq!((&*told.content, reason), ("One two", FinishReason::Length));
    // What is held back for a stop string is text all the same.
    let held = AnswerOptions {
        stop: vec!["two three".to_owned()],
        ..limited
    };
    let (told, reason, _) = answer(held, &["One", " two", " three"]);
    assert_eq!((&*told.content, reason), ("One two", FinishReason::Length));
}

#[test]
fn an_answer_without_text_is_the_fallback() {
    let emoji = AnswerOptions {
        fallback: Some("🙂".into()),
        ..thinking(Think::Drop)
    };
    let (told, _, notes) = answer(emoji.clone(), &["<think>", "Which", " one"]);
    assert_eq!((&*told.content, notes.blank), ("🙂", true));
    let (told, _, notes) = answer(emoji, &["<think>", "</think>", "😢"]);
    assert_eq!((&*told.content, notes.blank), ("😢", false));
}
