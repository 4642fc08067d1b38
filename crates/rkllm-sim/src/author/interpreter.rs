//! The code interpreter that a client offers in the prompt: a program between tags, then what its output means.

use super::{
    answer::Answer,
    arithmetic,
    chance::Chance,
    conversation::{Conversation, Role},
    counting, words,
};

const TAG: &str = "<code_interpreter type=\"code\" lang=\"python\">";

/// Writes a program if the client can run one and the question is one for it.
pub(crate) fn run(conversation: &Conversation, _: &Chance) -> Option<Answer> {
    if !conversation.last_user().contains("<code_interpreter") {
        return None;
    }
    let question = conversation.question();
    if !asks_to_compute(&question) {
        return None;
    }
    Some(Answer::prose(format!(
        "I will compute this with Python.\n\n{TAG}\n{}\n</code_interpreter>",
        program(&question)
    )))
}

/// Tells what a program has put out, if that is the last thing in the conversation.
pub(crate) fn report(conversation: &Conversation, _: &Chance) -> Option<Answer> {
    let last = conversation
        .turns
        .last()
        .filter(|turn| turn.role == Role::Assistant)
        .map_or(conversation.opened.as_str(), |turn| turn.text.as_str());
    let (_, behind) = last.rsplit_once("<code_interpreter_output>")?;
    let output = behind
        .split("</code_interpreter_output>")
        .next()
        .unwrap_or_default()
        .trim();
    if output.is_empty() {
        return Some(Answer::prose("The code ran without printing anything."));
    }
    // The client wraps the output into JSON.
    let printed = serde_json::from_str::<serde_json::Value>(output)
        .ok()
        .and_then(|value| {
            ["stdout", "result"]
                .iter()
                .find_map(|key| value.get(key)?.as_str().map(str::to_owned))
        });
    let printed = printed.unwrap_or_else(|| output.to_owned());
    Some(Answer::prose(format!(
        "The code printed `{}`, which answers the question.",
        printed.trim()
    )))
}

fn asks_to_compute(question: &str) -> bool {
    let lower = question.to_lowercase();
    let cues = [
        "compute",
        "calculate",
        "python",
        "plot",
        "simulate",
        "run ",
        "analyse",
        "analyze",
        "how many",
    ];
    cues.iter().any(|cue| lower.contains(cue)) || arithmetic::find(question).is_some()
}

/// A short Python program for the question.
pub(crate) fn program(question: &str) -> String {
    if let Some(sum) = arithmetic::find(question) {
        return format!("print({})", sum.python());
    }
    if let Some((first, last)) = counting::range(question) {
        return format!(
            "for number in range({first}, {}):\n    print(number)",
            last + 1
        );
    }
    let numbers = words::numbers(question);
    match numbers.as_slice() {
        [] => format!(
            "text = {:?}\nprint(len(text.split()), \"words\")",
            words::topic(question, 6)
        ),
        numbers => format!(
            "numbers = [{}]\nprint(sum(numbers), max(numbers))",
            numbers.join(", ")
        ),
    }
}
