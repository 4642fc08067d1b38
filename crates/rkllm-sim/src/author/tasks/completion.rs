//! Completing what a person is typing, and the emoji for what they said.

use super::history::History;
use crate::author::{chance::Chance, words};

/// What follows the text between the last `<text>` tags.
pub(super) fn complete(prompt: &str, history: &History, chance: &Chance) -> String {
    let typed = prompt.rsplit_once("<text>").map_or("", |(_, rest)| {
        rest.split("</text>").next().unwrap_or_default()
    });
    let typed = typed.trim_end();
    let kind = prompt.rsplit_once("<type>").map_or("", |(_, rest)| {
        rest.split("</type>").next().unwrap_or_default()
    });
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

/// One emoji for the message that the prompt quotes last.
pub(super) fn emoji(prompt: &str) -> String {
    let message = prompt
        .rsplit_once("essage:")
        .map_or(prompt, |(_, message)| message)
        .to_lowercase();
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
