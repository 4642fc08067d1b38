#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

//! What holds for every operation, on conversations of all kinds.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{apply, compile, request};
use super::*;
use crate::chat::Request;

/// Rules with which the laws are tried: those of the examples and some that do more.
static RULES: LazyLock<Vec<(&'static str, Box<dyn Operation>)>> = LazyLock::new(rules);

fn rules() -> Vec<(&'static str, Box<dyn Operation>)> {
    let more = [
        ("shorten", "op = \"shorten\"\nmax_tokens = 12"),
        ("cap", "op = \"cap\"\nrole = \"tool\"\nmax_chars = 30"),
        (
            "move",
            "op = \"move\"\nfrom = \"last_user\"\nto = \"system\"\ntags = [\"context\", \"memory_context\"]",
        ),
        ("repack_context", "op = \"repack_context\"\nmax_tokens = 30"),
    ];
    let examples = ALL
        .iter()
        .flat_map(|op| op.examples.iter().map(|example| (op.name, example.rule)));
    examples
        .chain(more)
        .map(|(name, rule)| (name, compile(find(name).unwrap(), rule)))
        .collect()
}

/// Pieces of text that operations look for, in any order.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "Be concise. ",
        "be concise",
        " and ",
        "You are an incredibly helpful assistant. ",
        "Never lie. ",
        "It is nice here. ",
        "The weather changes. ",
        "Reply in JSON.",
        "\n",
        "\n\n",
        " ",
        "```\n",
        "The current time is 16:23. ",
        "2026-11-22 04:23:21 PM",
        "16:23:21",
        " on 2026-11-22. ",
        "/think ",
        " /no_think",
        "\n/no_think\n",
        "<think>",
        "</think>",
        "<context>\n",
        "</context>",
        "<source id=\"1\" name=\"a\">",
        "</source>",
        "<memory_context>\n- Otters.\n</memory_context>",
        "### Task:\nUse the provided context. ",
        "<chat_history>\nUSER: a\n</chat_history>",
        "lower case. ",
        "Ünïcödé. ",
        "好。",
        "Look closely.",
        "Answer in German.",
        "end",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn conversation() -> impl Strategy<Value = Vec<Value>> {
    let turn = (text(), text(), prop::option::of(text())).prop_map(|(asked, answered, result)| {
        let mut turn = vec![json!({"role": "user", "content": asked})];
        if let Some(result) = result {
            turn.push(json!({"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}));
            turn.push(json!({"role": "tool", "tool_call_id": "c", "content": result}));
        }
        turn.push(json!({"role": "assistant", "content": answered}));
        turn
    });
    (
        prop::option::of(text()),
        prop::collection::vec(turn, 0..4),
        text(),
    )
        .prop_map(|(system, turns, last)| {
            let mut messages: Vec<Value> = system
                .into_iter()
                .map(|text| json!({"role": "system", "content": text}))
                .collect();
            messages.extend(turns.into_iter().flatten());
            messages.push(json!({"role": "user", "content": last}));
            messages
        })
}

fn decoded(messages: &[Value]) -> Request {
    request(&json!({"messages": messages}).to_string())
}

fn results(request: &Request) -> Vec<(Role, bool, bool)> {
    request
        .messages
        .iter()
        .filter(|message| matches!(message.role, Role::Assistant | Role::Tool))
        .map(|message| {
            (
                message.role,
                !message.tool_calls.is_empty(),
                message.tool_call_id.is_some(),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_second_time_changes_nothing(messages in conversation()) {
        let request = decoded(&messages);
        for (name, rule) in RULES.iter() {
            let once = apply(&**rule, &request);
            prop_assert_eq!(&apply(&**rule, &once), &once, "{}", name);
        }
    }

    #[test]
    fn the_last_question_and_the_results_of_calls_stay(messages in conversation()) {
        let request = decoded(&messages);
        for (name, rule) in RULES.iter() {
            let rewritten = apply(&**rule, &request);
            prop_assert_eq!(results(&rewritten), results(&request), "{}", name);
            let last = rewritten.messages.last().unwrap();
            prop_assert_eq!(last.role, Role::User, "{}", name);
            let old = request.messages.last().unwrap().content.text().into_owned();
            let new = last.content.text().into_owned();
            // What a rule is there to take out of the last user message goes; any other word stays.
            if !matches!(*name, "soft_switch" | "repack_context" | "replace" | "condense" | "move") {
                prop_assert!(new.contains(old.trim()), "{}: {:?} became {:?}", name, old, new);
            }
        }
    }

    /// A stable operation makes of a longer conversation what it made of the shorter one, and more.
    #[test]
    fn a_conversation_that_grew_only_grows(messages in conversation(), answer in text(), question in text()) {
        let mut longer = messages.clone();
        longer.push(json!({"role": "assistant", "content": answer}));
        longer.push(json!({"role": "user", "content": question}));
        for (name, rule) in RULES.iter() {
            if rule.unstable().is_some() || *name == "condense" {
                continue;
            }
            let short = apply(&**rule, &decoded(&messages));
            let long = apply(&**rule, &decoded(&longer));
            prop_assert!(long.messages.starts_with(&short.messages), "{}", name);
        }
    }
}
