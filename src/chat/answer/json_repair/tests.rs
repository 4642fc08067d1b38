use proptest::prelude::*;
use serde_json::json;

use super::*;

const TITLE: (&str, bool) = ("title", false);
const TEXT: (&str, bool) = ("text", false);
const TAGS: (&str, bool) = ("tags", true);
const FOLLOW_UPS: (&str, bool) = ("follow_ups", true);
const QUERIES: (&str, bool) = ("queries", true);

fn shape((key, list): (&str, bool)) -> JsonShape {
    JsonShape {
        key: key.into(),
        value: if list {
            JsonValue::List
        } else {
            JsonValue::Text
        },
    }
}

/// What Open WebUI makes of an answer; `None` where it finds nothing, or where its server and its page differ.
fn open_webui(answer: &str, key: &str) -> Option<Value> {
    let read = |answer: &str, start: Option<usize>| {
        let cut = answer.get(start?..=answer.rfind('}')?)?;
        serde_json::from_str::<Value>(cut).ok()?.get(key).cloned()
    };
    let page = answer.replace(['\'', '‘', '’', '`'], "\"");
    let first = read(answer, answer.find('{'))?;
    let same = read(answer, answer.rfind('{')).as_ref() == Some(&first)
        && read(&page, page.find('{')).as_ref() == Some(&first);
    same.then_some(first)
}

fn mended(answer: &str, wanted: (&str, bool)) -> Option<Value> {
    match repair(answer, &shape(wanted)) {
        Repair::AsIs => open_webui(answer, wanted.0),
        Repair::Repaired { text, .. } => open_webui(&text, wanted.0),
        Repair::Hopeless => None,
    }
}

#[test]
fn broken_titles() {
    let table = [
        // Around the object.
        ("```json\n{\"title\": \"Rust Basics\"}\n```", "Rust Basics"),
        ("```\n{\"title\": \"Rust Basics\"}", "Rust Basics"),
        (
            "Sure! Here is the JSON you asked for:\n\n```json\n{\"title\": \"Rust Basics\"}\n```\n\nLet me know if you need anything else.",
            "Rust Basics",
        ),
        ("json\n{\"title\": \"Rust Basics\"}", "Rust Basics"),
        (
            "{\"title\": \"Rust Basics\"}\n\nI chose this title because {it} fits.",
            "Rust Basics",
        ),
        (
            "<think>Maybe {\"title\": \"No\"}?</think>{\"title\": \"Rust Basics\"}",
            "Rust Basics",
        ),
        (
            "Maybe {\"title\": \"No\"}?\n</think>\n\n{\"title\": \"Rust Basics\"}",
            "Rust Basics",
        ),
        ("{\"title\": \"Rust Basics\"}<think>{", "Rust Basics"),
        ("{\"title\": \"Rust Basics\"}<|im_end|>", "Rust Basics"),
        (
            "Title in set {a, b}:\n{\"title\": \"Rust Basics\"}",
            "Rust Basics",
        ),
        // Quotes.
        ("{'title': 'Rust Basics'}", "Rust Basics"),
        ("{'title': 'What's new in Rust'}", "What's new in Rust"),
        ("{“title”: “Rust Basics”}", "Rust Basics"),
        ("{\"title\": “Rust Basics\"}", "Rust Basics"),
        ("{„title“: „Rust Grundlagen“}", "Rust Grundlagen"),
        ("{«title»: «Основы Rust»}", "Основы Rust"),
        ("{`title`: `Rust Basics`}", "Rust Basics"),
        ("{title: \"Rust Basics\"}", "Rust Basics"),
        ("{title: Rust Basics}", "Rust Basics"),
        ("{\"title\": Rust Basics}", "Rust Basics"),
        ("{\"title\" = \"Rust Basics\"}", "Rust Basics"),
        (
            "{\"title\": \"The \"best\" of Rust\"}",
            "The \"best\" of Rust",
        ),
        (
            "{\"title\": \"Say \"yes\", then go\"}",
            "Say \"yes\", then go",
        ),
        ("{\"title\": \"Rust Basics}", "Rust Basics"),
        ("{\"title\": \"Rust Basics\n}", "Rust Basics"),
        ("{\\\"title\\\": \\\"Rust Basics\\\"}", "Rust Basics"),
        (
            "\"{\\n  \\\"title\\\": \\\"Rust Basics\\\"\\n}\"",
            "Rust Basics",
        ),
        ("{\"title\": \"It\\'s Rust\"}", "It's Rust"),
        ("{\"title\": \"snake\\_case\"}", "snake_case"),
        ("{\"title\": \"\\ud83e\\udd80 Rust\"}", "🦀 Rust"),
        // Commas and brackets.
        ("{\"title\": \"Rust Basics\",}", "Rust Basics"),
        ("{,\"title\": \"Rust Basics\"}", "Rust Basics"),
        (
            "{\"title\": \"Rust Basics\" \"lang\": \"en\"}",
            "Rust Basics",
        ),
        ("{\"title\": \"Rust Basics\" // short\n}", "Rust Basics"),
        ("{\"title\": \"Rust Basics\"}}", "Rust Basics"),
        ("{{\"title\": \"Rust Basics\"}}", "Rust Basics"),
        ("{\"title\": \"Rust Basics\"]", "Rust Basics"),
        // The end is missing.
        ("{\"title\": \"Rust Basics\"", "Rust Basics"),
        ("{\"title\": \"Rust Basics for begin", "Rust Basics for"),
        ("```json\n{\"title\": \"Rust Basics", "Rust"),
        // The key.
        ("{\"Title\": \"Rust Basics\"}", "Rust Basics"),
        ("{\"TITLE \": \"Rust Basics\"}", "Rust Basics"),
        ("{\"chat_title\": \"Rust Basics\"}", "Rust Basics"),
        ("{\"titel\": \"Rust Basics\"}", "Rust Basics"),
        ("{\"标题\": \"Rust 基础\"}", "Rust 基础"),
        (
            "{\"language\": \"en\", \"titles\": \"Rust Basics\"}",
            "Rust Basics",
        ),
        ("{\"result\": {\"title\": \"Rust Basics\"}}", "Rust Basics"),
        ("[{\"title\": \"Rust Basics\"}]", "Rust Basics"),
        ("{\"Rust Basics\"}", "Rust Basics"),
        // The kind.
        ("{\"title\": [\"Rust Basics\", \"Other\"]}", "Rust Basics"),
        ("{\"title\": {\"text\": \"Rust Basics\"}}", "Rust Basics"),
        ("{\"title\": 1984}", "1984"),
        ("[\"Rust Basics\"]", "Rust Basics"),
        // Several.
        (
            "{\"title\": \"Your title\"}\n{\"title\": \"Rust Basics\"}",
            "Rust Basics",
        ),
        (
            "{\"title\": \"Rust Basics\"}\n{\"title\": \"Rust Ba",
            "Rust Basics",
        ),
        (
            "{\"title\": \"Rust Basics\"}{\"title\": \"Rust Basics\"}",
            "Rust Basics",
        ),
        // No JSON.
        ("Rust Basics", "Rust Basics"),
        ("\"Rust Basics\"", "Rust Basics"),
        ("**Rust Basics**", "Rust Basics"),
        ("Title: Rust Basics", "Rust Basics"),
        ("**Title:** \"Rust Basics\"", "Rust Basics"),
        ("title: Rust Basics\nReason: it fits.", "Rust Basics"),
        (
            "Here is a title for this chat:\n\nRust Basics",
            "Rust Basics",
        ),
        ("A good title would be \"Rust Basics\".", "Rust Basics"),
        ("# Rust Basics", "Rust Basics"),
        ("Rust Basics\n\nRust Basics\n\nRust Ba", "Rust Basics"),
        ("Rust BasicsRust BasicsRust BasicsRust B", "Rust Basics"),
        ("1. Rust Basics", "Rust Basics"),
        ("```\nRust Basics\n```", "Rust Basics"),
    ];
    let wrong: Vec<_> = table
        .into_iter()
        .map(|(answer, expected)| (answer, mended(answer, TITLE), Some(json!(expected))))
        .filter(|(_, found, expected)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn broken_lists() {
    let table = [
        (
            TAGS,
            "```json\n{\"tags\": [\"A\", \"B\"]}\n```",
            vec!["A", "B"],
        ),
        (TAGS, "{\"tags\": [\"A\", \"B\",]}", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\"A\", \"B\"],}", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\"A\",, \"B\", ...]}", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\"A\" \"B\"]}", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\n\"A\"\n\"B\"\n]}", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\n\"A,\n\"B\"\n]}", vec!["A", "B"]),
        (TAGS, "{'tags': ['A', 'It's B']}", vec!["A", "It's B"]),
        (TAGS, "{tags: [A, B]}", vec!["A", "B"]),
        (TAGS, "{“tags”: [“A”, “B”]}", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\"A\", \"B\"", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\"A\", \"B\", \"Unfini", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\"A\", \"B\", ", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\"A\", \"B]}", vec!["A", "B"]),
        (TAGS, "{\"tags\": [\"A\", \"B\"}", vec!["A", "B"]),
        (TAGS, "{\"tags\": \"A\", \"B\"}", vec!["A", "B"]),
        (TAGS, "{\"tags\": \"A, B\"}", vec!["A", "B"]),
        (TAGS, "{\"tags\": \"A\"}", vec!["A"]),
        (
            TAGS,
            "{\"tags\": {\"tag1\": \"A\", \"tag2\": \"B\"}}",
            vec!["A", "B"],
        ),
        (TAGS, "{\"tag1\": \"A\", \"tag2\": \"B\"}", vec!["A", "B"]),
        (
            TAGS,
            "{\"tags\": [{\"name\": \"A\", \"why\": \"x\"}, {\"name\": \"B\"}]}",
            vec!["A", "B"],
        ),
        (TAGS, "{\"tags\": [[\"A\"], [\"B\"]]}", vec!["A", "B"]),
        (TAGS, "{\"Tags\": [\"A\", \"B\"]}", vec!["A", "B"]),
        (
            TAGS,
            "{\"categories\": [\"A\", \"B\"], \"note\": \"x\"}",
            vec!["A", "B"],
        ),
        (
            TAGS,
            "{\"data\": {\"tags\": [\"A\", \"B\"]}}",
            vec!["A", "B"],
        ),
        (TAGS, "[\"A\", \"B\"]", vec!["A", "B"]),
        (TAGS, "[A, B]", vec!["A", "B"]),
        (TAGS, "Tags [1]: [\"A\", \"B\"", vec!["A", "B"]),
        (TAGS, "{\"A\", \"B\"}", vec!["A", "B"]),
        (TAGS, "[{\"tag\": \"A\"}, {\"tag\": \"B\"}]", vec!["A", "B"]),
        (TAGS, "{\"tag\": \"A\"}\n{\"tag\": \"B\"}", vec!["A", "B"]),
        (
            TAGS,
            "{\"tags\": [\"x\"]}\n{\"tags\": [\"A\", \"B\"]}",
            vec!["A", "B"],
        ),
        (TAGS, "Tags: A, B", vec!["A", "B"]),
        (TAGS, "**Tags**: A; B", vec!["A", "B"]),
        (TAGS, "A, B", vec!["A", "B"]),
        (TAGS, "- A\n- B", vec!["A", "B"]),
        (TAGS, "A\nB", vec!["A", "B"]),
        (
            TAGS,
            "{\"tags\": [\"A\", \"A\", \"B\", 7, null, \"\"]}",
            vec!["A", "B", "7"],
        ),
        (
            FOLLOW_UPS,
            "{\"followups\": [\"What?\", \"Why?\"]}",
            vec!["What?", "Why?"],
        ),
        (FOLLOW_UPS, "{\"follow-ups\": [\"What?\"]}", vec!["What?"]),
        (
            FOLLOW_UPS,
            "{\"followUpQuestions\": [\"What?\"]}",
            vec!["What?"],
        ),
        (FOLLOW_UPS, "{\"questions\": [\"What?\"]}", vec!["What?"]),
        (
            FOLLOW_UPS,
            "{\"follow_ups\": \"What is it? Why, though?\"}",
            vec!["What is it?", "Why, though?"],
        ),
        (FOLLOW_UPS, "1. What?\n2. Why?", vec!["What?", "Why?"]),
        (
            FOLLOW_UPS,
            "Here are some questions:\n\n1) **What?**\n2) \"Why?\"\n\nEnjoy!",
            vec!["What?", "Why?"],
        ),
        (FOLLOW_UPS, "• What?\n• Why?", vec!["What?", "Why?"]),
        (
            FOLLOW_UPS,
            "What is it?\nWhy is that?",
            vec!["What is it?", "Why is that?"],
        ),
        (
            FOLLOW_UPS,
            "{\"follow_ups\": [\"1. What?\": \"Why?\"]}",
            vec!["Why?"],
        ),
        (
            FOLLOW_UPS,
            "{\"follow_ups\": [\"How do I \"pin\" it?\", \"Why?\"]}",
            vec!["How do I \"pin\" it?", "Why?"],
        ),
        (QUERIES, "{\"queries\": []} done", vec![]),
        (
            QUERIES,
            "{\"query\": \"rust lifetimes\"}",
            vec!["rust lifetimes"],
        ),
        (QUERIES, "{\"queries\": [\"a {b} c\"]}", vec!["a {b} c"]),
        (
            QUERIES,
            "rust lifetimes tutorial",
            vec!["rust lifetimes tutorial"],
        ),
    ];
    let wrong: Vec<_> = table
        .into_iter()
        .map(|(wanted, answer, expected)| (answer, mended(answer, wanted), Some(json!(expected))))
        .filter(|(_, found, expected)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_to_save() {
    let table = [
        (TITLE, ""),
        (TITLE, "  \n"),
        (TITLE, "{}"),
        (TITLE, "{\"title\": null}"),
        (TITLE, "{\"title\": "),
        (TITLE, "<think>The user wants a title, {\"title\": \"x\"}"),
        (TITLE, "I'm sorry, but I can't help with that."),
        (
            TITLE,
            "The conversation is about the basics of Rust, and so on and on.\nIt goes on to say much more about it.",
        ),
        (TAGS, "{\"tags\": [\"Unfini"),
        (TAGS, "{\"tags\": [\"\"]} x"),
        (
            TAGS,
            "This conversation is about many things that I cannot name.",
        ),
        (FOLLOW_UPS, "I am glad that I could help."),
    ];
    let saved: Vec<_> = table
        .into_iter()
        .filter(|(wanted, answer)| repair(answer, &shape(*wanted)) != Repair::Hopeless)
        .collect();
    assert!(saved.is_empty(), "{saved:#?}");
}

#[test]
fn what_is_right_stays() {
    let table = [
        (TITLE, "{\"title\": \"Rust Basics\"}"),
        (TITLE, " {\"title\" :\n\"Rust\", \"why\": \"Yes\"}\n"),
        (TITLE, "{\"title\":\"\\ud83e\\udd80\"}"),
        (TEXT, "{\"text\":\"\"}"),
        (TAGS, "{\"tags\": []}"),
        (QUERIES, "{\"queries\": [\"a\", \"b\"]}"),
    ];
    for (wanted, answer) in table {
        assert_eq!(repair(answer, &shape(wanted)), Repair::AsIs, "{answer}");
    }
}

#[test]
fn what_was_wrong_is_told() {
    let how = |answer, wanted| match repair(answer, &shape(wanted)) {
        Repair::Repaired { how, .. } => Vec::from_iter(how),
        other => panic!("{answer}: {other:?}"),
    };
    let table = [
        (
            TITLE,
            "```json\n{\"title\": \"A\"}\n```",
            vec![Fix::Surroundings],
        ),
        (
            TITLE,
            "<think>x</think>{\"title\": \"A\"}",
            vec![Fix::Thinking],
        ),
        (
            TITLE,
            "{'Title': 'A',}",
            vec![Fix::Key, Fix::Quotes, Fix::Commas],
        ),
        (TITLE, "Title: A", vec![Fix::NoJson]),
        (TITLE, "{\"title\": [\"A\"]}", vec![Fix::Kind]),
        (
            TITLE,
            "{\"title\": \"A\"} {\"title\": \"B\"}",
            vec![Fix::Several],
        ),
        (TAGS, "[\"A\", \"B\"]", vec![Fix::BareList]),
        (TAGS, "{\"tags\": [\"A\", \"B", vec![Fix::Truncated]),
        (QUERIES, "{\"queries\": [\"a {\"]}", vec![Fix::Form]),
        (TITLE, "{\"title\": \"It's A\"}", vec![Fix::Form]),
    ];
    for (wanted, answer, expected) in table {
        assert_eq!(how(answer, wanted), expected, "{answer}");
    }
}

#[test]
fn only_so_much_is_wanted() {
    let long = "word ".repeat(100);
    let title = mended(&format!("{{\"title\": \"{long}\"}}"), TITLE).unwrap();
    assert_eq!(title, "word ".repeat(20).trim());
    let many: Vec<String> = (0..50).map(|n| format!("tag {n}")).collect();
    let tags = mended(&json!({"tags": many}).to_string(), TAGS).unwrap();
    assert_eq!(tags, json!(many[..MAX_ITEMS]));
    let looped = format!("{{\"tags\": [{}", "\"A\", \"B\", ".repeat(500));
    assert_eq!(mended(&looped, TAGS), Some(json!(["A", "B"])));
}

#[test]
fn deep_nesting_and_long_answers_take_no_time() {
    for unit in [
        "{",
        "[",
        "{\"a\":",
        "[{",
        "\"",
        "'",
        "<think></think>",
        "{'",
        "\\",
        ",",
        "- ",
        "\"a\", \n",
        "{a ",
        "x: ",
    ] {
        let answer = unit.repeat(100_000 / unit.len());
        let started = std::time::Instant::now();
        let _ = repair(&answer, &shape(TAGS));
        let _ = repair(&answer, &shape(TITLE));
        assert!(started.elapsed().as_secs() < 5, "{unit}");
    }
}

fn any_shape() -> impl Strategy<Value = (&'static str, bool)> {
    prop_oneof![
        Just(TITLE),
        Just(TEXT),
        Just(TAGS),
        Just(FOLLOW_UPS),
        Just(QUERIES)
    ]
}

fn messy_text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("\""),
        Just("'"),
        Just("“"),
        Just("”"),
        Just(","),
        Just(":"),
        Just("\\"),
        Just("\\u00"),
        Just("\\ud83e"),
        Just("\n"),
        Just(" "),
        Just("```json\n"),
        Just("<think>"),
        Just("</think>"),
        Just("\"title\": "),
        Just("\"tags\": ["),
        Just("queries"),
        Just("a b"),
        Just("é"),
        Just("- "),
        Just("1. "),
        Just("?"),
        Just("//"),
        Just("null"),
        Just("\u{0}"),
    ];
    prop::collection::vec(fragment, 0..30).prop_map(|fragments| fragments.concat())
}

/// A string as a model may well answer it.
fn word() -> impl Strategy<Value = String> {
    "[A-Za-zé\"'\\\\?,:/ 🦀]{0,11}[A-Za-z?]"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_comes_out_passes(text in prop_oneof![messy_text(), ".{0,60}"], wanted in any_shape()) {
        match repair(&text, &shape(wanted)) {
            Repair::Hopeless => {}
            Repair::AsIs => prop_assert!(open_webui(&text, wanted.0).is_some(), "{text}"),
            Repair::Repaired { text, how } => {
                prop_assert!(!how.is_empty());
                let value = open_webui(&text, wanted.0).unwrap();
                prop_assert_eq!(value.is_array(), wanted.1);
                prop_assert_eq!(value.is_string(), !wanted.1);
                prop_assert_eq!(repair(&text, &shape(wanted)), Repair::AsIs, "{}", text);
            }
        }
    }

    #[test]
    fn valid_answers_stay(title in word(), items in prop::collection::vec(word(), 0..6)) {
        for answer in [json!({"title": title}).to_string(), format!("{:#}", json!({"title": title, "other": items}))] {
            prop_assert_eq!(mended(&answer, TITLE), Some(json!(title)));
            if !answer.contains('\'') {
                prop_assert_eq!(repair(&answer, &shape(TITLE)), Repair::AsIs);
            }
        }
        let answer = json!({"queries": items}).to_string();
        if !answer.contains('\'') {
            prop_assert_eq!(repair(&answer, &shape(QUERIES)), Repair::AsIs);
        }
    }

    #[test]
    fn valid_answers_in_other_words(items in prop::collection::vec(word(), 1..6)) {
        let answer = format!("Of course:\n```json\n{:#}\n```\nHave fun!", json!({"tags": items}));
        let mut expected: Vec<&str> = Vec::new();
        for item in items.iter().map(|item| item.trim()) {
            if item.contains(char::is_alphanumeric) && !expected.contains(&item) {
                expected.push(item);
            }
        }
        let expected = (!expected.is_empty()).then(|| json!(expected));
        prop_assert_eq!(mended(&answer, TAGS), expected);
    }

    #[test]
    fn truncation_keeps_complete_items(
        items in prop::collection::btree_set("[A-Z][a-zé\"' ]{0,9}[a-z🦀]", 1..6),
        pretty in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let items = Vec::from_iter(items);
        let object = json!({"tags": items});
        let answer = if pretty { format!("{object:#}") } else { object.to_string() };
        let ends: Vec<usize> = answer.char_indices().map(|(at, _)| at).collect();
        let answer = &answer[..*cut.get(&ends)];
        let complete = (0..=items.len()).rev().find(|count| {
            let last = items[..*count].last().map(|item| json!(item).to_string());
            last.is_none_or(|last| answer.contains(&last))
        }).unwrap();
        let expected = (complete > 0).then(|| json!(items[..complete]));
        prop_assert_eq!(mended(answer, TAGS), expected, "{}", answer);
    }
}
