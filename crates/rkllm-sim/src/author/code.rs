//! Requests for code: a short program in a fence.

use super::{answer::Answer, chance::Chance, conversation::Conversation, words};

pub(crate) fn answer(conversation: &Conversation, chance: &Chance) -> Option<Answer> {
    let question = conversation.question();
    let asked: Vec<String> = words::words(&question).map(str::to_lowercase).collect();
    let says = |word: &str| asked.iter().any(|other| other == word);
    let wants = ["code", "function", "program", "script", "snippet", "class"]
        .iter()
        .any(|word| says(word));
    let orders = ["write", "implement", "give", "show", "create", "make"]
        .iter()
        .any(|word| says(word));
    let language = ["python", "rust", "javascript", "bash"]
        .into_iter()
        .find(|language| says(language));
    if !(orders && (wants || language.is_some())) {
        return None;
    }
    let subject = words::content_words(&question)
        .into_iter()
        .filter(|word| {
            let syntax = [
                "code",
                "function",
                "program",
                "script",
                "snippet",
                "class",
                "implement",
                "create",
                "python",
                "rust",
                "javascript",
                "bash",
            ];
            word.is_ascii() && !syntax.contains(&word.as_str())
        })
        .take(2)
        .collect::<Vec<_>>()
        .join("_")
        .replace('-', "_");
    let name = if subject.starts_with(|c: char| c.is_ascii_alphabetic()) {
        subject
    } else {
        "example".to_owned()
    };
    let (fence, program) = match language {
        Some("rust") => (
            "rust",
            format!(
                "/// Handles every item and counts those that are not empty.\nfn {name}(items: &[String]) -> usize {{\n    \
             items.iter().filter(|item| !item.is_empty()).count()\n}}\n\nfn main() {{\n    \
             let items = vec![String::from(\"one\"), String::new()];\n    println!(\"{{}}\", {name}(&items));\n}}"
            ),
        ),
        Some("javascript") => (
            "javascript",
            format!(
                "function {name}(items) {{\n  return items.filter((item) => item.length > 0).length;\n}}\n\nconsole.log({name}([\"one\", \"\"]));"
            ),
        ),
        Some("bash") => (
            "bash",
            format!(
                "#!/bin/sh\n# {name}: counts the lines of a file that are not empty\ngrep -c . \"$1\""
            ),
        ),
        _ => (
            "python",
            format!(
                "def {name}(items):\n    \"\"\"Handle every item and count those that are not empty.\"\"\"\n    \
             return sum(1 for item in items if item)\n\n\nif __name__ == \"__main__\":\n    print({name}([\"one\", \"\"]))"
            ),
        ),
    };
    let lead = chance.pick(
        "code",
        &[
            "Here is a short version:",
            "This does it:",
            "A simple way to do this:",
        ],
    );
    Some(Answer::prose(format!(
        "{lead}\n\n```{fence}\n{program}\n```\n\n`{name}` walks over the items once, so it takes time in proportion to their number."
    )))
}
