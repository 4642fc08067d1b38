#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::PhrasesBuilder;

/// Whether the phrase `needle` is outer, and whether it is shown.
fn find(text: &str) -> (bool, bool) {
    let mut builder = PhrasesBuilder::default();
    let needle = builder.phrase("Needle");
    let phrases = builder.build().unwrap();
    let mut found = phrases.none();
    phrases.find(text, &mut found);
    (found.has(needle), found.shows(needle))
}

const OUTER: (bool, bool) = (true, true);
const CITED: (bool, bool) = (false, true);
const QUOTED: (bool, bool) = (false, false);

#[test]
fn phrases_count_outside_of_quotes_only() {
    for (text, wanted) in [
        ("a NEEDLE here", OUTER),
        ("<chat_history>\nneedle\n</chat_history>", QUOTED),
        ("<chat_history>\nx\n</chat_history> needle", OUTER),
        ("needle <context> x </context>", OUTER),
        ("<context>needle", OUTER),
        ("needle</context>", OUTER),
        ("```\nneedle\n```", CITED),
        ("```\nx\n```\nneedle", OUTER),
        ("```\nneedle", CITED),
        ("~~~ toml\nneedle\n~~~", CITED),
        ("````\n```\nneedle\n````", CITED),
        ("say ```needle``` now", OUTER),
        ("> needle", CITED),
        ("a > needle", OUTER),
        ("    ```\nneedle", OUTER),
        ("<contextual>needle</contextual>", OUTER),
        ("<context type=\"x\">needle</context>", QUOTED),
    ] {
        assert_eq!(find(text), wanted, "{text}");
    }
}

/// What a block quotes may hold the block's own tags.
#[test]
fn a_block_reaches_to_its_last_closing_tag() {
    let text =
        "title\n<chat_history>\nUSER: see <chat_history>x</chat_history> needle\n</chat_history>";
    assert_eq!(find(text), QUOTED);
}

/// Instructions speak of `<chat_history>` within a sentence; the block itself begins a line.
#[test]
fn a_tag_in_a_sentence_opens_no_block_where_another_begins_a_line() {
    let text = "Read the <chat_history>. Needle!\n<chat_history>\nx\n</chat_history>";
    assert_eq!(find(text), OUTER);
    let text = "Read: <chat_history>Needle</chat_history>";
    assert_eq!(find(text), QUOTED);
}

#[test]
fn blocks_are_seen() {
    let mut builder = PhrasesBuilder::default();
    let file = builder.block("attached_files");
    let phrases = builder.build().unwrap();
    for (text, wanted) in [
        ("<attached_files>\n<file/>\n</attached_files>", true),
        ("<attached_files>", false),
        ("</attached_files><attached_files>", false),
    ] {
        let mut found = phrases.none();
        phrases.find(text, &mut found);
        assert_eq!(found.has_block(file), wanted, "{text}");
    }
}

#[test]
fn phrases_within_phrases_are_all_found() {
    let mut builder = PhrasesBuilder::default();
    let ids = ["title", "\"title\":", "a title for"].map(|phrase| builder.phrase(phrase));
    let phrases = builder.build().unwrap();
    let mut found = phrases.none();
    phrases.find("give a title for {\"title\": 1}", &mut found);
    assert!(ids.iter().all(|id| found.has(*id)));
}

proptest! {
    /// Whatever stands in a block stays quoted, and no text makes the search panic.
    #[test]
    fn nothing_gets_out_of_a_block(
        before in "[a-z \n#]{0,20}",
        inside in r"([a-z <>/\n`~]|<chat_history>|</chat_history>|```|\n> |\u{e9}){0,30}",
    ) {
        let text = format!("{before}\n<chat_history>\n{inside} needle\n</chat_history>");
        prop_assert_eq!(find(&text), QUOTED);
    }

    #[test]
    fn any_text_can_be_searched(text in r"([a-z <>/\n`~]|<context>|</context>|<chat_history|needle|```|\n> |\u{e9}|\r){0,60}") {
        let (outer, shown) = find(&text);
        prop_assert!(shown || !outer);
        prop_assert!(!shown || text.to_lowercase().contains("needle"));
    }
}
