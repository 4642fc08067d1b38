#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn sentences_end_where_people_end_them() {
    let text = "Be kind. Use v1.2 of e.g. Python 3.5! J. Doe wrote it.\n1. First\n2. Second one.  Third\n\nEnd";
    assert_eq!(
        sentences(text),
        [
            "Be kind. ",
            "Use v1.2 of e.g. Python 3.5! ",
            "J. Doe wrote it.\n",
            "1. First\n",
            "2. Second one.  ",
            "Third\n\n",
            "End"
        ]
    );
    assert_eq!(
        sentences("你好。请回答！「好。」谢谢"),
        ["你好。", "请回答！", "「好。」", "谢谢"]
    );
    assert_eq!(
        sentences("See:\n```\na. B\nc. D\n```\nDone. Yes"),
        ["See:\n", "```\na. B\nc. D\n```\n", "Done. ", "Yes"]
    );
    assert_eq!(sentences("  \n"), ["  \n"]);
    assert!(sentences("").is_empty());
}

#[test]
fn blocks_nest_only_where_asked() {
    let text = r#"<source id="1">a</source> <sources>no</sources> <source>b</source> <source"#;
    let inside: Vec<&str> = blocks(text, "source")
        .iter()
        .map(|block| &text[block.inside.clone()])
        .collect();
    assert_eq!(inside, ["a", "b"]);
    let text = "<h>x <h>y</h> z</h>!";
    assert_eq!(
        &text[outer_block(text, "h").unwrap().inside],
        "x <h>y</h> z"
    );
    let text = "Look into <h> first.\n<h>here</h>";
    assert_eq!(&text[outer_block(text, "h").unwrap().inside], "here");
    assert_eq!(outer_block("</h> <h>", "h"), None);
}

#[test]
fn cuts_end_with_a_sentence_and_a_mark() {
    assert_eq!(cut("short", 5, "..."), None);
    assert_eq!(
        cut("One two three. Four five six seven", 28, " [...]").unwrap(),
        "One two three. [...]"
    );
    assert_eq!(
        cut("abc\n```rust\nlet a = 1;\nlet b = 2;\n```\nend", 30, "…").unwrap(),
        "abc\n```rust\nlet a = 1;\n```…"
    );
    assert_eq!(cut("äöüäöüäöü", 3, "[a long mark]").unwrap(), "[a ");
    assert_eq!(
        cut_middle("start here\nmiddle of it all\nthe very end", 28, " … ").unwrap(),
        "start here … very end"
    );
}

#[test]
fn a_cut_in_the_middle_leaves_code_code_and_prose_prose() {
    let text = "Look:\n```\nin\nin\n```\nout\nout\n```rust\nin\n``` \nout";
    for max in 20..text.len() {
        let cut = cut_middle(text, max, "\n[...]\n").unwrap();
        let mut within = false;
        for line in cut.lines() {
            match line {
                "in" => assert!(within, "{cut}"),
                "out" | "[...]" => assert!(!within, "{cut}"),
                _ => within ^= line.starts_with("```"),
            }
        }
        assert!(cut.chars().count() <= max, "{cut}");
    }
}

#[test]
fn a_cut_in_the_middle_makes_no_switch() {
    let sentence = "It says /no_think /No_Think. in the middle of a long sentence, and /think here, as it does";
    let code =
        "Look:\n```\na\n/no_think\nb\n```\nAnd again:\n```\na\n/no_think\nb\n```\nso it is done";
    for text in [sentence, code] {
        assert_eq!(without_switches(text), None);
        let long = text.chars().count();
        for max in 20..long {
            let cut = cut_middle(text, max, "\n[...]\n").unwrap();
            assert_eq!(without_switches(&cut), None, "{cut}");
        }
    }
    let own = "/think Why is the sky blue, and why is it red of an evening?";
    let cut = cut_middle(own, 40, " - ").unwrap();
    assert!(cut.starts_with("/think Why"), "{cut}");
}

#[test]
fn weight_is_constraints_formats_and_names() {
    for carrying in [
        "Reply in JSON.",
        "Never lie.",
        "You work for Contoso.",
        "Your users live in the Netherlands.",
        "Use 3 steps.",
        "Answer in at most ten words.",
        "请必须用中文回答。",
        "Antworte nur auf Deutsch.",
    ] {
        assert!(carries(carrying), "{carrying}");
    }
    for idle in [
        "You are a helpful assistant.",
        "Strive for clarity and warmth.",
        "I am an AI.",
        "你是一个乐于助人的助手。",
    ] {
        assert!(!carries(idle), "{idle}");
    }
}

#[test]
fn a_phrase_leaves_alone_what_it_is_joined_to() {
    let padding = Padding::new(&["be concise", "incredibly helpful"]).unwrap();
    assert_eq!(padding.without("Be concise. ").as_deref(), Some(""));
    assert_eq!(
        padding
            .without("- Be concise and reply in JSON. ")
            .as_deref(),
        Some("- Reply in JSON. ")
    );
    assert_eq!(
        padding.without("Reply in JSON and be concise.").as_deref(),
        Some("Reply in JSON.")
    );
    assert_eq!(
        padding.without("You are Bob, an incredibly helpful pirate."),
        None
    );
    assert_eq!(padding.without("Hello."), None);
}

#[test]
fn words_have_one_key_whatever_their_form() {
    let one: Vec<u64> = keys("remind memory NOTE 12 北京").collect();
    let other: Vec<u64> = keys("the Reminders, memories notes: 12 北京").collect();
    assert_eq!(one, other);
    assert_eq!(
        name_keys("searchNotes_memory"),
        keys("search notes memory").collect::<Vec<_>>()
    );
    let found: Vec<&str> = words("the Reminders 日本語")
        .map(|(word, _)| word)
        .collect();
    assert_eq!(found, ["Reminders", "日本", "本語"]);
}

#[test]
fn estimates_know_scripts() {
    assert!((tokens("aaaa", 4.0) - 1.0).abs() < 0.01);
    assert!((tokens("2026", 4.0) - 4.0).abs() < 0.01);
    assert!(tokens("你好世界", 4.0) >= 4.0);
}

proptest! {
    #[test]
    fn sentences_are_the_text(text in "([a-zA-Z.!? \\n`]|。|é|```){0,80}") {
        prop_assert_eq!(sentences(&text).concat(), text);
    }

    #[test]
    fn a_cut_is_never_longer_and_final(text in "([a-z.\\n ]|。|```\\n){0,120}", max in 0_usize..60) {
        for cut in [cut, cut_middle] {
            if let Some(short) = cut(&text, max, " [...]") {
                prop_assert!(short.chars().count() <= max.max(6));
                prop_assert!(short.chars().count() > max || cut(&short, max, " [...]").is_none());
            }
        }
    }
}
