//! Summarising the part of a conversation that will be left out.

use crate::author::words;

/// A summary in points of the messages that the prompt quotes.
pub(super) fn summarise(prompt: &str) -> String {
    let (previous, quoted) = if prompt.contains("Messages Being Compacted:") {
        (
            section(prompt, "Previous Summary:"),
            section(prompt, "Messages Being Compacted:"),
        )
    } else {
        let quoted = prompt.rsplit_once("\n\n").map_or("", |(quoted, _)| quoted);
        let told = quoted.strip_prefix("Before that: ");
        told.and_then(|rest| rest.split_once("\n\n"))
            .unwrap_or(("", quoted))
    };
    let mut points: Vec<String> = previous
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    for line in quoted.lines() {
        let Some((role, text)) = line.split_once(':') else {
            continue;
        };
        let Some(first) = words::sentences(text).first().copied() else {
            continue;
        };
        match role.trim() {
            "USER" => points.push(format!("- The user said: {first}")),
            "ASSISTANT" => points.push(format!("- The assistant answered: {first}")),
            _ => {}
        }
    }
    if points.is_empty() {
        points.push("- Nothing of lasting importance was said so far.".to_owned());
    }
    format!(
        "Summary of the conversation so far:\n\n{}",
        points.join("\n")
    )
}

/// The text under a heading, up to the next one.
fn section<'a>(prompt: &'a str, heading: &str) -> &'a str {
    let behind = prompt.rsplit_once(heading).map_or("", |(_, rest)| rest);
    behind.split("\n### ").next().unwrap_or_default()
}
