#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use crate::author::fixtures::{ask, chat};

#[test]
fn one_sentence_is_one_sentence() {
    let answer = ask("Please tell me in one short sentence what a proxy server does.");
    assert_eq!(answer.matches(". ").count(), 0, "{answer}");
    assert!(answer.contains("proxy"), "{answer}");
}

#[test]
fn answers_have_a_natural_length_and_name_their_subject() {
    for question in [
        "What is a heat pump?",
        "Tell me about marble quarries.",
        "How should I water orchids?",
    ] {
        let answer = ask(question);
        let words = answer.split_whitespace().count();
        assert!((20..=250).contains(&words), "{words} words: {answer}");
    }
    let answer = ask("Tell me about marble quarries.").to_lowercase();
    assert!(answer.contains("marble quarries"), "{answer}");
    let long = ask("Explain marble quarries in detail, please.")
        .split_whitespace()
        .count();
    assert!(long > 150, "{long}");
}

#[test]
fn lists_have_as_many_items_as_asked_for() {
    for (question, items) in [
        ("List 5 tips for gardening.", 5),
        ("Give me three ideas for dinner", 3),
        ("Name 12 facts about bees", 12),
    ] {
        let answer = ask(question);
        assert_eq!(answer.lines().count(), items, "{answer}");
        assert!(answer.starts_with("1. "), "{answer}");
    }
}

#[test]
fn a_follow_up_is_about_what_came_before() {
    let answer = chat(&[
        ("user", "What is a reverse proxy?"),
        ("assistant", "A server."),
        ("user", "Give one example, please."),
    ]);
    assert!(answer.to_lowercase().contains("reverse proxy"), "{answer}");
}

#[test]
fn questions_are_answered_in_their_language() {
    assert!(ask("Wie funktioniert eine Wärmepumpe?").contains("Wärmepumpe"));
    assert!(ask("Comment fonctionne une pompe à chaleur ?").contains("Le principe"));
    assert!(ask("¿Cómo funciona una bomba de calor?").contains("La idea"));
    assert!(ask("热泵是如何工作的？").contains('，'));
    assert_eq!(
        ask("Translate \"good morning\" to German."),
        "**Guten Morgen**"
    );
}

#[test]
fn stories_hold_what_they_are_to_be_about() {
    let answer = ask("Tell me a story about a dragon.");
    assert!(
        answer.contains("dragon") && answer.split_whitespace().count() > 80,
        "{answer}"
    );
}
