#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    chat::{self, Request},
    policy::{Facts, History, ModelSettings},
    wire::openai,
};

const WINDOW: usize = 1000;
const KEEP: usize = 400;

fn request(messages: Vec<Value>) -> Request {
    openai::decode_chat(
        json!({"model": "m", "messages": messages})
            .to_string()
            .as_bytes(),
    )
    .unwrap()
}

fn settings(context: u32, window: usize, keep: usize, keep_turns: usize) -> ModelSettings {
    ModelSettings {
        context: Some(context),
        history: History {
            window_chars: Some(window),
            keep_chars: Some(keep),
            keep_turns: Some(keep_turns),
            assistant_cap_chars: None,
        },
        ..ModelSettings::default()
    }
}

fn trim(request: &Request, settings: &ModelSettings) -> Request {
    let mut facts = Facts::example();
    facts.models[0].context = Some(1_000_000);
    let context = Context {
        original: request,
        labels: &[],
        model: facts.models.first(),
        settings,
    };
    let mut rewriter = Rewriter::new(request);
    apply(&mut rewriter, &context);
    rewriter.finish().unwrap_or_else(|| request.clone())
}

/// A turn of so many characters in all, half question, half answer.
fn turn(number: usize, chars: usize) -> [Value; 2] {
    let text = |who: char| {
        format!("{who}{number} ")
            .repeat(chars)
            .chars()
            .take(chars / 2)
            .collect::<String>()
    };
    [
        json!({"role": "user", "content": text('q')}),
        json!({"role": "assistant", "content": text('a')}),
    ]
}

#[test]
fn nothing_happens_below_the_window() {
    let mut messages: Vec<Value> = (0..3).flat_map(|number| turn(number, 300)).collect();
    messages.push(json!({"role": "user", "content": "q"}));
    let request = request(messages);
    assert_eq!(trim(&request, &settings(100_000, WINDOW, KEEP, 1)), request);
}

#[test]
fn above_it_whole_turns_go_down_to_the_low_mark() {
    let mut messages = vec![json!({"role": "system", "content": "s"})];
    messages.extend((0..4).flat_map(|number| turn(number, 300)));
    messages.push(json!({"role": "user", "content": "last"}));
    let trimmed = trim(
        &request(messages.clone()),
        &settings(100_000, WINDOW, KEEP, 1),
    );
    let mut kept = vec![messages[0].clone()];
    kept.extend_from_slice(&messages[7..]);
    assert_eq!(trimmed, request(kept));
}

#[test]
fn turns_may_be_kept_whatever_their_length() {
    let mut messages: Vec<Value> = (0..4).flat_map(|number| turn(number, 600)).collect();
    messages.push(json!({"role": "user", "content": "last"}));
    let trimmed = trim(
        &request(messages.clone()),
        &settings(100_000, WINDOW, KEEP, 3),
    );
    assert_eq!(trimmed, request(messages[4..].to_vec()));
    // But not beyond the model's context.
    let trimmed = trim(&request(messages.clone()), &settings(900, WINDOW, KEEP, 3));
    assert!(trimmed.messages.len() < 5, "{}", trimmed.messages.len());
}

#[test]
fn a_call_stays_with_its_results_even_within_a_long_turn() {
    let call = |id: usize| json!({"role": "assistant", "content": "", "tool_calls": [{"id": format!("c{id}"), "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let result = |id: usize| json!({"role": "tool", "tool_call_id": format!("c{id}"), "content": "lorem ipsum ".repeat(60)});
    let mut messages = vec![json!({"role": "user", "content": "do it"})];
    messages.extend((0..6).flat_map(|id| [call(id), result(id)]));
    let trimmed = trim(
        &request(messages.clone()),
        &settings(1600, 1_000_000, 500_000, 1),
    );
    assert_eq!(trimmed.messages[0], request(messages.clone()).messages[0]);
    assert!(trimmed.messages.len() < messages.len() && trimmed.messages.len() >= 3);
    assert_eq!(
        trimmed.messages.last().unwrap().tool_call_id.as_deref(),
        Some("c5")
    );
    paired(&trimmed).unwrap();
}

#[test]
fn one_long_message_is_cut_but_never_the_question() {
    let long = "All work and no play makes Jack a dull boy. ".repeat(200);
    let messages = vec![
        json!({"role": "user", "content": "write"}),
        json!({"role": "assistant", "content": long}),
        json!({"role": "user", "content": "and?"}),
    ];
    let trimmed = trim(&request(messages), &settings(2000, 1_000_000, 500_000, 1));
    assert_eq!(trimmed.messages.len(), 3);
    assert!(trimmed.messages[1].content.text().contains("[...]"));
    let messages = vec![json!({"role": "user", "content": long})];
    let question = request(messages);
    assert_eq!(trim(&question, &settings(1000, 1000, 500, 1)), question);
}

fn paired(request: &Request) -> Result<(), TestCaseError> {
    let mut open: Vec<&str> = Vec::new();
    for message in &request.messages {
        if let Some(id) = &message.tool_call_id {
            prop_assert!(open.contains(&id.as_str()), "result {id} lost its call");
            continue;
        }
        open = message
            .tool_calls
            .iter()
            .map(|call| call.id.as_str())
            .collect();
    }
    Ok(())
}

/// Conversations of questions, answers, and answers that call tools; every text is its own.
fn conversation() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec((1_usize..220, 1_usize..220, 0_usize..3), 1..25).prop_map(|turns| {
        let mut messages = vec![json!({"role": "system", "content": "You are Bob."})];
        for (number, (asked, answered, calls)) in turns.into_iter().enumerate() {
            let text = |kind: &str, chars: usize| format!("{kind}{number}.").repeat(chars).chars().take(chars).collect::<String>();
            messages.push(json!({"role": "user", "content": text("q", asked)}));
            for call in 0..calls {
                let id = format!("{number}-{call}");
                messages.push(json!({"role": "assistant", "content": "", "tool_calls": [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]}));
                messages.push(json!({"role": "tool", "tool_call_id": id, "content": text("r", answered)}));
            }
            messages.push(json!({"role": "assistant", "content": text("a", answered)}));
        }
        messages
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A conversation is sent again and again, longer each time.
    #[test]
    fn a_growing_conversation_is_cut_rarely(messages in conversation(), keep_turns in 1_usize..4, context in prop::sample::select(vec![900_u32, 1500, 100_000])) {
        let settings = settings(context, WINDOW, KEEP, keep_turns);
        let mut before: Option<Request> = None;
        let mut moved_at: Option<usize> = None;
        for end in 1..=messages.len() {
            if !matches!(messages[end - 1]["role"].as_str(), Some("user" | "tool")) {
                continue;
            }
            let whole = request(messages[..end].to_vec());
            let trimmed = trim(&whole, &settings);
            prop_assert_eq!(&trim(&trimmed, &settings), &trimmed, "a second time");
            prop_assert_eq!(&trimmed.messages[0], &whole.messages[0], "the system message");
            let question = |request: &Request| request.messages.iter().rfind(|message| message.role == Role::User).cloned();
            prop_assert_eq!(question(&trimmed), question(&whole));
            paired(&trimmed)?;
            // The name and the arguments of a call are three characters.
            let length = |message: &chat::Message| message.content.text().chars().count() + 3 * message.tool_calls.len();
            let chars: usize = whole.messages.iter().map(length).sum();
            if before.as_ref().is_some_and(|before: &Request| !trimmed.messages.starts_with(&before.messages)) {
                // In tokens the window is smaller, and so is the distance between cuts.
                if let Some(moved_at) = moved_at.filter(|_| context == 100_000) {
                    prop_assert!(chars - moved_at >= WINDOW - KEEP, "cut at {moved_at} and {chars}");
                }
                moved_at = Some(chars);
            }
            before = Some(trimmed);
        }
    }
}
