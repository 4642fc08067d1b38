//! Nothing that a file or a request holds brings the engine down.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::{decide, request, set};
use crate::policy::{
    ClassGlob, Facts, Origin, Platform, Rewriter, Set, Source, StepOutcome,
    context::Context,
    ops,
    set::{Rewrite, Rule},
    shipped,
};

#[derive(Debug)]
struct Panics;

impl ops::Operation for Panics {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        request.set_text(0, "half done", "changed");
        panic!("out of order");
    }
}

fn panicking() -> Rewrite {
    Rewrite {
        rule: Rule {
            id: "broken".into(),
            origin: Origin {
                file: "rules/a.toml".into(),
                line: 1,
            },
            span: 0..0,
            shadow: false,
            on: vec![ClassGlob::Any],
            when: Default::default(),
            unless: None,
        },
        op: ops::ALL[0],
        operation: Box::new(Panics),
        after: Vec::new(),
    }
}

#[test]
fn a_rule_that_panics_leaves_the_request_as_it_came() {
    let strip = "[[rewrite]]\nid = \"strip\"\non = [\"chat\"]\nop = \"strip_block\"\nrole = \"assistant\"\ntags = \"think\"\n";
    let mut set = set(strip, "");
    let body = json!({"messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "<think>Hm</think>Hello!"},
        {"role": "user", "content": "Bye"},
    ]});
    let request = request(&body);
    assert!(
        decide(&set, &request, &[], &Facts::example())
            .request
            .is_some()
    );
    set.rules.rewrites.push(panicking());
    let outcome = decide(&set, &request, &[], &Facts::example());
    assert_eq!(outcome.request, None);
    let failed = |rule: &str| {
        outcome.trace.steps.iter().any(|step| {
            *step.rule == *rule && matches!(&step.outcome, StepOutcome::Failed { why } if why.contains("out of order"))
        })
    };
    assert!(failed("broken"));
    // In shadow mode it harms nobody.
    set.rules.rewrites[1].rule.shadow = true;
    assert!(
        decide(&set, &request, &[], &Facts::example())
            .request
            .is_some()
    );
}

static SET: LazyLock<Set> = LazyLock::new(|| super::shipped().set);

fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("### Task:\n"),
        Just("Generate a concise title summarizing the chat history "),
        Just("\"title\": "),
        Just("\n<chat_history>\n"),
        Just("\n</chat_history>"),
        Just("<context>"),
        Just("</context>"),
        Just("\n```\n"),
        Just("\n> "),
        Just("<think>"),
        Just("</think>"),
        Just("/no_think"),
        Just("\u{1f600}\u{e9} "),
        Just(""),
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn every_request_is_decided(
        texts in prop::collection::vec((0..4usize, words()), 1..8),
        stream in any::<bool>(),
        temperature in prop::option::of(0.0..1e9f64),
        max_tokens in prop::option::of(1..u32::MAX),
    ) {
        let roles = ["system", "user", "assistant", "user"];
        let messages: Vec<_> = texts
            .iter()
            .map(|(role, text)| json!({"role": roles[*role], "content": text, "reasoning_content": text}))
            .collect();
        let body = json!({"stream": stream, "messages": messages, "temperature": temperature, "max_tokens": max_tokens});
        let outcome = decide(&SET, &request(&body), &[], &Facts::example());
        let failed = outcome.trace.steps.iter().any(|step| matches!(step.outcome, StepOutcome::Failed { .. }));
        prop_assert!(!failed);
    }

    /// Files with pieces cut out, doubled or turned round give a report or a set.
    #[test]
    fn every_file_is_read(file in 0..shipped::files().len(), from in 0.0..1.0f64, length in 0..200usize, twice in any::<bool>()) {
        let mut files: Vec<Source> = shipped::files();
        let text = files[file].text.clone();
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let start = floor((text.len() as f64 * from) as usize);
        let end = floor(start + length).max(start);
        let piece = if twice { text[start..end].repeat(2) } else { String::new() };
        files[file].text = format!("{}{piece}{}", &text[..start], &text[end..]);
        match Set::compile(&files, Platform::Rk3588) {
            Ok(compiled) => drop(compiled.test()),
            Err(report) => prop_assert!(report.has_errors() && !report.to_string().is_empty()),
        }
    }
}
