//! Deciding what a memory should keep of a conversation.

use serde_json::{Value, json};

/// Words of a person that tell something lasting.
const LASTING: [&str; 9] = [
    "remember",
    "my favourite",
    "my favorite",
    "my name is",
    "i prefer",
    "i always",
    "i live in",
    "i work as",
    "call me",
];

/// The operations that the last turn calls for; mostly none.
pub(super) fn review(prompt: &str) -> Value {
    let conversation = prompt
        .rsplit_once("Conversation:")
        .map_or(prompt, |(_, conversation)| conversation);
    let said = conversation
        .lines()
        .filter_map(|line| line.trim().strip_prefix("user:"));
    let operations: Vec<Value> = said
        .filter(|line| {
            let lower = line.to_lowercase();
            LASTING.iter().any(|cue| lower.contains(cue))
        })
        .map(|line| json!({"action": "add", "type": "user", "path": "", "content": third_person(line.trim())}))
        .collect();
    json!({ "operations": operations })
}

fn third_person(said: &str) -> String {
    let mut text = format!(" {} ", said.trim_end_matches(['.', '!']));
    for order in [
        ", please remember that",
        ", remember that",
        " please remember that",
        " remember that",
        " remember this:",
    ] {
        for form in [
            order.to_owned(),
            super::super::words::capitalised(order.trim_start()),
        ] {
            text = text.replace(&form, "");
        }
    }
    for (first, third) in [
        (" I am ", " the user is "),
        (" I ", " the user "),
        (" My ", " the user's "),
        (" my ", " the user's "),
    ] {
        text = text.replace(first, third);
    }
    format!("{}.", super::super::words::capitalised(text.trim()))
}
