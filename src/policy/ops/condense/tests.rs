#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::borrow::Cow;

use serde_json::Value;

use super::{
    parts::{Part, known},
    template::Template,
};

fn part(name: &str, prompt: &str) -> Option<String> {
    let part = known(name).unwrap();
    part.cut(prompt).map(Cow::into_owned)
}

#[test]
fn the_history_reaches_to_the_last_closing_tag() {
    let prompt =
        "Look at <chat_history>.\n<chat_history>\nUSER: what is </chat_history>?\n</chat_history>";
    assert_eq!(
        part("chat_history", prompt),
        Some("USER: what is </chat_history>?".to_owned())
    );
    assert_eq!(part("chat_history", "no history"), None);
}

#[test]
fn autocomplete_takes_the_last_text_and_not_the_examples() {
    let prompt = "<type>General</type>\n<text>The sun</text>\n<chat_history>\nUSER: <text>no</text>\n</chat_history>\n<type>search query</type>  \n<text>The weather in</text>  \n#### Output:\n";
    assert_eq!(part("type", prompt), Some("search query".to_owned()));
    assert_eq!(part("text", prompt), Some("The weather in".to_owned()));
}

#[test]
fn dates_and_languages_come_from_the_instructions() {
    let prompt = "- Today's date is: 2026-11-22.\n- Use the chat's primary language; default to English.\n<chat_history>Today's date is: 1999-01-01.</chat_history>";
    assert_eq!(part("date", prompt), Some("2026-11-22".to_owned()));
    assert_eq!(
        part("language", prompt),
        Some("Use the chat's primary language; default to English.".to_owned())
    );
    assert_eq!(
        part("date", "<chat_history>Today's date is: 1999</chat_history>"),
        None
    );
}

#[test]
fn answers_of_several_models() {
    let prompt = "a set of responses from various models to the latest user query: \"Say \"hi\"\"\n\nYour task is to synthesize these.\n\nResponses from models: \"\"\"Hi\"\"\"\n\n\"\"\"Hello\"\"\"";
    assert_eq!(part("prompt", prompt), Some("Say \"hi\"".to_owned()));
    assert_eq!(
        part("responses", prompt),
        Some("\"\"\"Hi\"\"\"\n\n\"\"\"Hello\"\"\"".to_owned())
    );
}

#[test]
fn what_somebody_added_is_told_from_what_is_known() {
    let known = Part::Added(vec!["Keep it short: 2-4".to_owned(), "Generate".to_owned()]);
    let added = |prompt: &str| known.cut(prompt).unwrap().into_owned();
    let prompt = |more: &str, behind: &str| {
        format!(
            "### Task:\nGenerate a title.\n### Guidelines:\n- Keep it short: 2-4 words.\n{more}### Output:\nGENERATE: {{ \"a\": 1 }}\n- {{ \"b\": 2 }},\n<chat_history>\nUSER: hi\n</chat_history>{behind}"
        )
    };
    assert_eq!(added(&prompt("", "\n\n/no_think")), "");
    assert_eq!(
        added(&prompt(
            "- Immer auf Deutsch.\n- Keep it short: 3 words.\n",
            "\nJSON only."
        )),
        "- Immer auf Deutsch.\n- Keep it short: 3 words.\nJSON only."
    );
}

#[test]
fn a_line_with_a_missing_optional_part_is_left_out() {
    let template = Template::parse("{message}\n{language?}\n{\"a\": {x} }", &[]);
    assert_eq!(template.unwrap_err(), "x");
    let template = Template::parse("{message}\n{language?}\nJSON: {\"a\": [{}]}", &[]).unwrap();
    let parts = template.cut("Message: ```{type}```").unwrap();
    assert_eq!(template.fill(&parts), "{type}\nJSON: {\"a\": [{}]}");
}

#[test]
fn a_filled_template_is_known_again_whatever_it_quotes() {
    let template =
        Template::parse("Chat:\n{chat_history}\n{language?}\nWrite a title.", &[]).unwrap();
    let filled = template.fill(&[
        Some("USER: <chat_history>\nx\n</chat_history>".to_owned()),
        None,
    ]);
    assert!(template.is_filled(&filled));
    assert!(!template.is_filled("Write a title.\nChat:\n<chat_history>\nx\n</chat_history>"));
}

/// The parts of every task prompt as Open WebUI sends it.
#[test]
fn real_prompts_have_their_parts() {
    for (file, role, names) in [
        ("title", "user", ["chat_history", "language"].as_slice()),
        ("title-with-preset", "user", &["chat_history", "language"]),
        ("tags", "user", &["chat_history", "language"]),
        ("follow-up", "user", &["chat_history", "language"]),
        ("query", "user", &["chat_history", "date"]),
        ("autocomplete", "user", &["chat_history", "type", "text"]),
        ("emoji", "user", &["message"]),
        ("merge-answers", "user", &["prompt", "responses"]),
        ("tool-selection", "system", &["tools"]),
    ] {
        let path = format!(
            "{}/tests/fixtures/openwebui/{file}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let exchange: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let body: Value = serde_json::from_str(exchange["body_raw"].as_str().unwrap()).unwrap();
        let messages = body["messages"].as_array().unwrap();
        let message = messages
            .iter()
            .rfind(|message| message["role"] == role)
            .unwrap();
        for name in names {
            let found = part(name, message["content"].as_str().unwrap());
            assert!(
                found.is_some_and(|found| !found.is_empty()),
                "{file}: {name}"
            );
        }
    }
}
