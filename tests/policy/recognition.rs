//! What a request is for: captures, other versions, translations, and chats that look like tasks.

use rkgate::policy::{Class, Facts, Set};

use crate::{
    fixtures::{self, Fixture},
    shipped,
};

const PRESET: &str = "You are a tax adviser. Answer formally.";
const TASK_HEADER: &str = "x-openwebui-task";

/// What was taken for something else, one line each.
fn mistakes(set: &Set, fixtures: &[Fixture]) -> Vec<String> {
    let mistake = |fixture: &Fixture| {
        let decision = fixture.decide(set, &Facts::example()).decision;
        let mut labels: Vec<&str> = decision.labels.iter().map(AsRef::as_ref).collect();
        labels.sort_unstable();
        labels.dedup();
        let mut wanted: Vec<&str> = fixture.labels.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        let right = decision.class == fixture.class && labels == wanted;
        (!right).then(|| {
            format!(
                "{}: {} {labels:?} by {} instead of {} {wanted:?}",
                fixture.name, decision.class, decision.by, fixture.class
            )
        })
    };
    fixtures.iter().filter_map(mistake).collect()
}

#[track_caller]
fn assert_all_right(fixtures: &[Fixture]) {
    assert!(!fixtures.is_empty());
    let mistakes = mistakes(&shipped(), fixtures);
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// Every fixture as it is, and with a preset's system prompt in front.
fn with_and_without_preset(fixtures: Vec<Fixture>) -> Vec<Fixture> {
    let with: Vec<Fixture> = fixtures
        .iter()
        .map(|fixture| fixture.with_system_prompt(PRESET))
        .collect();
    fixtures.into_iter().chain(with).collect()
}

#[test]
fn captured_requests_get_their_class_and_labels() {
    assert_all_right(&with_and_without_preset(fixtures::read("captures")));
}

#[test]
fn the_header_says_what_a_captured_request_is() {
    let with_header = fixtures::read("captures").into_iter().map(|fixture| {
        let task = fixture
            .class
            .as_str()
            .strip_prefix("task/")
            .unwrap_or_default();
        fixture.with_header(TASK_HEADER, task)
    });
    let with_header: Vec<Fixture> = with_header.collect();
    assert_all_right(&with_header);
    for fixture in with_header {
        let decision = fixture.decide(&shipped(), &Facts::example()).decision;
        assert_eq!(&*decision.by, "owui.header", "{}", fixture.name);
    }
}

#[test]
fn the_header_holds_whatever_the_template_says() {
    let own_words = fixtures::read("captures")
        .into_iter()
        .filter(|fixture| fixture.class.is_task());
    let own_words: Vec<Fixture> = own_words
        .map(|fixture| {
            let task = fixture.class.as_str().strip_prefix("task/").unwrap();
            let mut fixture = fixture.with_header(TASK_HEADER, task);
            let messages = fixture.body["messages"].as_array_mut().unwrap();
            messages.last_mut().unwrap()["content"] = "Gör det du ska.".into();
            fixture
        })
        .collect();
    assert_all_right(&own_words);
}

#[test]
fn an_unknown_task_in_the_header_leaves_it_to_the_words() {
    let title = fixtures::read("captures")
        .into_iter()
        .find(|fixture| fixture.class == Class::Title)
        .unwrap();
    assert_all_right(&[title.with_header(TASK_HEADER, "poem_generation")]);
}

#[test]
fn other_versions_and_edited_templates_get_their_class() {
    assert_all_right(&with_and_without_preset(fixtures::read("tasks")));
}

#[test]
fn translated_templates_get_their_class_by_shape() {
    let translations = with_and_without_preset(fixtures::read("translations"));
    assert_all_right(&translations);
    for fixture in translations {
        let by = fixture.decide(&shipped(), &Facts::example()).decision.by;
        assert!(by.starts_with("owui.shape"), "{}: {by}", fixture.name);
    }
}

/// In other languages, with other headings or none, with the history first, without an example, with a switch of
/// thinking at either end.
#[test]
fn templates_of_administrators_get_their_class() {
    assert_all_right(&with_and_without_preset(fixtures::read("edited")));
}

#[test]
fn no_chat_is_taken_for_a_task() {
    let mut chats = fixtures::read("chats");
    chats.extend(fixtures::read("look-alikes"));
    assert!(chats.len() >= 600);
    assert!(chats.iter().all(|fixture| fixture.class == Class::Chat));
    assert_all_right(&chats);
}
