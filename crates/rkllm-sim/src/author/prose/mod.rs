//! Prose about the subject of a question: what is known of it, or sentences that fit any subject.

use super::{
    chance::Chance,
    conversation::Conversation,
    knowledge,
    language::Language,
    words::{self, capitalised},
};

mod english;
mod foreign;
mod story;

/// How much is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Sentence,
    Short,
    Usual,
    Long,
}

/// An answer in the language of the question, on its subject.
pub(crate) fn write(conversation: &Conversation, chance: &Chance) -> String {
    let question = conversation.question();
    let lower = question.to_lowercase();
    let length = length(&lower, &conversation.system.to_lowercase());
    if lower.contains("story")
        || lower.contains("once upon a time")
        || lower.contains("geschichte über")
    {
        return story::tell(&question, length == Length::Long, chance);
    }
    if lower.contains("translat") || lower.contains("übersetz") {
        return foreign::translate(&question);
    }
    match Language::of(&question) {
        Language::English => {}
        language => return foreign::write(language, &question, chance),
    }
    let subject = subject(conversation, &question);
    let known = known(conversation, &question);
    if let Some(items) = list_length(&lower) {
        return english::list(&subject, items, &known, chance);
    }
    match length {
        Length::Sentence => known.first().map_or_else(
            || english::sentence(&subject, chance),
            |first| (*first).to_owned(),
        ),
        Length::Short if !known.is_empty() => {
            known.iter().take(2).copied().collect::<Vec<_>>().join(" ")
        }
        Length::Short => english::sentence(&subject, chance),
        Length::Usual => english::usual(&subject, &known, chance),
        Length::Long => english::long(&subject, &known, chance),
    }
}

/// What the question is about; a short one such as "Give one example" is about the one before.
fn subject(conversation: &Conversation, question: &str) -> String {
    let own = words::topic(question, 3);
    let vague = [
        "",
        "example",
        "concise",
        "shorter",
        "longer",
        "summarise",
        "summarize",
    ]
    .contains(&own.as_str());
    if !vague {
        return own;
    }
    let earlier = conversation
        .user_turns()
        .rev()
        .skip(1)
        .map(|text| words::topic(text, 3));
    earlier
        .into_iter()
        .find(|topic| !topic.is_empty())
        .unwrap_or_default()
}

fn known(conversation: &Conversation, question: &str) -> Vec<&'static str> {
    let own = knowledge::about(question);
    if !own.is_empty() || words::content_words(question).len() > 2 {
        return own;
    }
    let earlier = conversation
        .user_turns()
        .rev()
        .skip(1)
        .map(knowledge::about);
    earlier
        .into_iter()
        .find(|known| !known.is_empty())
        .unwrap_or_default()
}

fn length(question: &str, system: &str) -> Length {
    let asks = |cues: &[&str]| cues.iter().any(|cue| question.contains(cue));
    if asks(&[
        "one sentence",
        "single sentence",
        "short sentence",
        "one line",
    ]) {
        Length::Sentence
    } else if asks(&[
        "in detail",
        "detailed",
        "essay",
        "step by step",
        "at length",
        "long answer",
        "add details",
        "comprehensive",
    ]) {
        Length::Long
    } else if asks(&["briefly", "in short", "concise", "short answer"])
        || system.contains("voice assistant")
    {
        Length::Short
    } else {
        Length::Usual
    }
}

/// How many items a question wants listed: `list 5 ...`, `give me three ...`.
fn list_length(question: &str) -> Option<usize> {
    let counted = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    ];
    let said: Vec<&str> = words::words(question).collect();
    let verb = said
        .iter()
        .position(|word| matches!(*word, "list" | "name" | "give" | "suggest" | "tell"))?;
    let number = said.iter().skip(verb + 1).take(3).find_map(|word| {
        let spelled = counted
            .iter()
            .position(|counted| counted == word)
            .map(|position| position + 2);
        spelled.or_else(|| word.parse().ok())
    });
    number.filter(|number| (2..=50).contains(number))
}

/// `subject` as the first words of a sentence, or something that stands for it.
fn opening(subject: &str) -> String {
    if subject.is_empty() {
        "This".to_owned()
    } else {
        capitalised(subject)
    }
}

#[cfg(test)]
mod tests;
