//! Completing what a person is typing, and the emoji for what they said.

use super::history::History;
use crate::author::{chance::Chance, words};

/// What follows the typed text.
pub(super) fn complete(prompt: &str, history: &History, chance: &Chance) -> String {
    let (kind, typed) = typed(prompt);
    let typed = typed.trim_end();
    let search = kind.to_lowercase().contains("search");
    let subject = words::topic(history.last_question(), 3);
    let last = words::words(typed)
        .last()
        .unwrap_or_default()
        .to_lowercase();
    match last.as_str() {
        "" => String::new(),
        "in" if search => chance
            .pick(
                "in",
                &["Berlin this weekend", "London tomorrow", "Lisbon in March"],
            )
            .to_owned(),
        "in" => "the long run, and what it means for us.".to_owned(),
        "the" | "a" | "an" => "best way to get started".to_owned(),
        "to" => "get started step by step".to_owned(),
        "of" | "about" | "for" | "with" if !subject.is_empty() => subject,
        "is" | "are" => "the most common questions about it".to_owned(),
        "how" => "does it work in practice?".to_owned(),
        "what" => "are the main differences?".to_owned(),
        _ if search => "explained for beginners".to_owned(),
        _ => chance
            .pick(
                "completion",
                &[
                    "and how it works in practice.",
                    "with a short example.",
                    "step by step.",
                ],
            )
            .to_owned(),
    }
}

/// The kind of field and what stands in it: between the last tags, or in the sentence that tells of it.
fn typed(prompt: &str) -> (&str, &str) {
    let tagged = |open: &str, close: &str| {
        prompt
            .rsplit_once(open)
            .map_or("", |(_, rest)| rest.split(close).next().unwrap_or_default())
    };
    let told = prompt.rsplit_once("is typing this (");
    match told.and_then(|(_, rest)| rest.split_once("): ")) {
        Some((kind, rest)) => {
            let text = rest.rsplit_once("\nHow does it go on?");
            (kind, text.map_or(rest, |(text, _)| text))
        }
        None => (tagged("<type>", "</type>"), tagged("<text>", "</text>")),
    }
}

const MOODS: [(&str, &str); 8] = [
    (
        "😊",
        "happy glad great good nice love wonderful thanks thank joy cheerful",
    ),
    ("😢", "sad cry sorry miss lonely unhappy lost"),
    ("😡", "angry furious hate annoyed mad outrageous"),
    ("😱", "afraid scared shocked terrified fear horror"),
    ("🤔", "why how wonder question think maybe what"),
    ("😴", "tired sleepy sleep exhausted bored"),
    ("😂", "funny laugh joke hilarious lol haha"),
    ("🥳", "birthday party celebrate won congratulations"),
];

/// One emoji for the message that the prompt quotes: behind its heading, or before the order.
pub(super) fn emoji(prompt: &str) -> String {
    let headed = prompt.rsplit_once("essage:").map(|(_, message)| message);
    let before = || Some(prompt.rsplit_once("\n\n")?.0);
    let message = headed.or_else(before).unwrap_or(prompt).to_lowercase();
    let said: Vec<&str> = words::words(&message).collect();
    let fits = |cues: &str| {
        said.iter()
            .filter(|word| cues.split_whitespace().any(|cue| cue == **word))
            .count()
    };
    let best =
        MOODS
            .iter()
            .map(|(emoji, cues)| (fits(cues), *emoji))
            .fold(
                (0, "🙂"),
                |best, next| {
                    if next.0 > best.0 { next } else { best }
                },
            );
    best.1.to_owned()
}
