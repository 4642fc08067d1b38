//! Making one answer of several models' answers.

use crate::author::words;

/// One text of the quoted responses: what each says, once.
pub(super) fn merge(prompt: &str) -> String {
    let quoted = prompt
        .rsplit_once("Responses from models:")
        .map_or(prompt, |(_, quoted)| quoted);
    let responses = quoted
        .split("\"\"\"")
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let mut said: Vec<&str> = Vec::new();
    for sentence in responses.flat_map(words::sentences) {
        if !said.contains(&sentence) {
            said.push(sentence);
        }
    }
    if said.is_empty() {
        return "The given responses are empty, so there is nothing to put together.".to_owned();
    }
    let question = prompt.split('"').nth(1).unwrap_or_default().trim();
    let topic = words::topic(question, 3);
    let lead = if topic.is_empty() {
        "Taken together:".to_owned()
    } else {
        format!("Taken together, on {topic}:")
    };
    format!(
        "{lead} {}\n\nThe responses agree on the essentials; where they differ, the more specific one was kept.",
        said.join(" ")
    )
}
