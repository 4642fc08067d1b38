//! What requests are for.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{decide, request, shipped};
use crate::policy::{Class, Facts, Set};

/// What Open WebUI really sends.
fn captured(name: &str) -> Value {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openwebui");
    let text = fs::read_to_string(directory.join(format!("{name}.json"))).unwrap();
    let capture: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_str(capture["body_raw"].as_str().unwrap()).unwrap()
}

fn class(set: &Set, body: &Value, headers: &[(&str, &str)]) -> Class {
    decide(set, &request(body), headers, &Facts::example())
        .decision
        .class
}

const TASKS: [(&str, Class); 8] = [
    ("title", Class::Title),
    ("title-with-preset", Class::Title),
    ("tags", Class::Tags),
    ("follow-up", Class::FollowUp),
    ("query", Class::Query),
    ("autocomplete", Class::Autocomplete),
    ("merge-answers", Class::Moa),
    ("tool-selection", Class::FunctionCalling),
];

#[test]
fn captured_tasks_are_recognised_with_and_without_a_preset() {
    let set = shipped().set;
    for (name, wanted) in TASKS {
        let mut body = captured(name);
        assert_eq!(class(&set, &body, &[]), wanted, "{name}");
        let messages = body["messages"].as_array_mut().unwrap();
        if messages[0]["role"] != "system" {
            messages.insert(0, json!({"role": "system", "content": "You are a pirate. Reply with ```json\n{\"tags\": []}\n```"}));
            assert_eq!(class(&set, &body, &[]), wanted, "{name} with a preset");
        }
    }
    assert_eq!(class(&set, &captured("emoji"), &[]), Class::Emoji);
}

#[test]
fn captured_chats_are_chats() {
    let set = shipped().set;
    for name in [
        "chat-custom-headers",
        "chat-native-tools",
        "chat-plain",
        "chat-rag",
        "chat-reasoning-history",
        "chat-tool-result",
        "chat-two-user-messages",
        "chat-vision",
    ] {
        assert_eq!(class(&set, &captured(name), &[]), Class::Chat, "{name}");
    }
}

#[test]
fn a_header_is_the_last_word() {
    let set = shipped().set;
    let title = captured("title");
    assert_eq!(
        class(&set, &title, &[("x-openwebui-task", "")]),
        Class::Chat
    );
    let chat = captured("chat-plain");
    assert_eq!(
        class(&set, &chat, &[("x-openwebui-task", "tags_generation")]),
        Class::Tags
    );
    // A value that nobody knows says nothing.
    assert_eq!(
        class(&set, &title, &[("x-openwebui-task", "what_is_this")]),
        Class::Title
    );
}

/// A conversation about prompts is in the block that the task's own words are not in.
#[test]
fn a_title_task_about_another_template_is_a_title_task() {
    let set = shipped().set;
    for (quoted, _) in TASKS {
        let quoted = captured(quoted)["messages"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()["content"]
            .clone();
        let mut body = captured("title");
        let content = body["messages"][0]["content"].as_str().unwrap();
        let content = content.replace(
            "<chat_history>\n",
            &format!("<chat_history>\nUSER: {}\n", quoted.as_str().unwrap()),
        );
        body["messages"][0]["content"] = content.into();
        assert_eq!(class(&set, &body, &[]), Class::Title);
    }
}

/// Everything that a person types or pastes.
#[test]
fn a_pasted_task_prompt_is_a_chat() {
    let set = shipped().set;
    for (name, _) in TASKS
        .into_iter()
        .filter(|(name, _)| *name != "tool-selection")
    {
        let prompt = captured(name)["messages"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()["content"]
            .clone();
        let prompt = prompt.as_str().unwrap();
        let typed = [
            (false, format!("What does this prompt do?\n\n{prompt}")),
            (false, format!("```\n{prompt}\n```")),
            (false, format!("```\n{prompt}\n```\nTranslate this.")),
            (
                false,
                prompt.lines().map(|line| format!("> {line}\n")).collect(),
            ),
            (false, format!("<context>\n{prompt}\n</context>")),
            (true, format!("{prompt}\n\nTranslate this into German.")),
        ];
        for (stream, content) in typed {
            let body =
                json!({"stream": stream, "messages": [{"role": "user", "content": content}]});
            if !(stream && name == "merge-answers") {
                assert_eq!(class(&set, &body, &[]), Class::Chat, "{name}: {content}");
            }
        }
        if name != "merge-answers" {
            let body = json!({"stream": true, "messages": [{"role": "user", "content": prompt}]});
            assert_eq!(class(&set, &body, &[]), Class::Chat, "{name} streamed");
        }
        let turns = json!({"stream": false, "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": prompt},
        ]});
        assert_eq!(
            class(&set, &turns, &[]),
            Class::Chat,
            "{name} in a conversation"
        );
    }
}

/// Templates that an administrator edited or translated keep their shape.
#[test]
fn translated_templates_are_recognised_by_their_shape() {
    let set = shipped().set;
    for (key, wanted) in [
        ("title", Class::Title),
        ("tags", Class::Tags),
        ("follow_ups", Class::FollowUp),
        ("queries", Class::Query),
    ] {
        for content in [
            format!(
                "### Aufgabe:\nFasse zusammen.\nNur JSON: {{ \"{key}\": ... }}\n<chat_history>\nUSER: Hallo \"tags\": \"title\":\n</chat_history>"
            ),
            format!(
                "## \u{4efb}\u{52a1}\n```json\n{{\"{key}\": []}}\n```\n<chat_history>\nUSER: \u{4f60}\u{597d}\n</chat_history>\n"
            ),
        ] {
            let body = json!({"stream": false, "messages": [{"role": "user", "content": content}]});
            assert_eq!(class(&set, &body, &[]), wanted, "{content}");
        }
    }
}
