//! Making one answer of several models' answers.

use crate::author::words;

/// One text of the quoted responses: what each says, once.
pub(super) fn merge(prompt: &str) -> String {
    let start = prompt.find("\"\"\"").unwrap_or_default();
    let end = prompt.rfind("\"\"\"").unwrap_or(prompt.len());
    let quoted = prompt.get(start..end).unwrap_or_default();
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
    let told = prompt.strip_prefix("Question: ");
    let question = told.map_or_else(|| prompt.split('"').nth(1), |rest| rest.lines().next());
    let question = question.unwrap_or_default().trim();
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
