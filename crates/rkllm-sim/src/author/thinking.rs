//! Thinking before the answer, as Qwen3 writes it.

use super::{
    chance::Chance,
    conversation::{Conversation, Role},
    words,
};

const OPEN: &str = "<think>\n";
const EMPTY: &str = "<think>\n\n</think>\n\n";

/// What stands before the answer: thinking, an empty block, or nothing.
pub(crate) fn before(conversation: &Conversation, anyway: bool, chance: &Chance) -> String {
    let opened = conversation.opened.trim();
    if anyway {
        return format!("{OPEN}{}\n</think>\n\n", thoughts(conversation, chance));
    }
    if !conversation.thinks() {
        return String::new();
    }
    if opened == "<think>" {
        // The template has opened the block already.
        return format!("{}\n</think>\n\n", thoughts(conversation, chance));
    }
    if !opened.is_empty() {
        // Told not to think by a closed block, or some of the answer stands there.
        return String::new();
    }
    if switched_off(conversation) {
        return EMPTY.to_owned();
    }
    format!("{OPEN}{}\n</think>\n\n", thoughts(conversation, chance))
}

/// Whether the last switch that somebody typed was `/no_think`.
fn switched_off(conversation: &Conversation) -> bool {
    let people = conversation
        .turns
        .iter()
        .rev()
        .filter(|turn| turn.role == Role::User)
        .map(|turn| turn.text.as_str());
    let mut switches = people.chain([conversation.system.as_str()]);
    let found = switches.find_map(
        |text| match (text.rfind("/no_think"), text.rfind("/think")) {
            (None, None) => None,
            (off, on) => Some(off > on),
        },
    );
    found.unwrap_or(false)
}

fn thoughts(conversation: &Conversation, chance: &Chance) -> String {
    let question = conversation.question();
    let asked: String = question
        .lines()
        .next_back()
        .unwrap_or_default()
        .chars()
        .filter(|c| !matches!(c, '{' | '}' | '<' | '>'))
        .take(120)
        .collect();
    let topic = words::topic(&question, 3);
    let about = if topic.is_empty() {
        "this".to_owned()
    } else {
        topic
    };
    let opening = chance.pick(
        "think first",
        &[
            "Okay, the user says: \"{}\" Let me work out what they need.",
            "Alright, the user wrote: \"{}\" I should find out what they are really after.",
            "Hmm, so the request is: \"{}\" Let me take it step by step.",
        ],
    );
    let middle = chance.shuffled("think", &[
        "First, I should recall what I know about {}. There is a short answer and a longer one, and the short one is probably enough here.",
        "The important part is {}. I want to get the facts right and not add anything that was not asked for.",
        "Wait, is there a second way to read this? It could also be about something close to {}, but the plain reading makes more sense.",
        "They did not say how long the answer should be, so I will keep it readable and put the main point about {} first.",
        "I should check the details once more. Yes, that fits together, and an example would make it easier to follow.",
    ]);
    let closing = chance.pick(
        "think last",
        &[
            "So I will answer directly and keep it friendly.",
            "That should cover it. Now I just need to write it clearly.",
            "Good. Time to put this together.",
        ],
    );
    let paragraphs = 1 + chance.below("think length", 4);
    let mut text = opening.replace("{}", asked.trim());
    for paragraph in middle.into_iter().take(paragraphs) {
        text.push_str("\n\n");
        text.push_str(&paragraph.replace("{}", &about));
    }
    format!("{text}\n\n{closing}")
}

#[cfg(test)]
mod tests;
