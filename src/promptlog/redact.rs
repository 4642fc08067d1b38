//! Leaving out what tells of a person or lets somebody in: keys, e-mail addresses, phone and card numbers, images.
//!
//! What is recognised is recognised by its form. Names, addresses and whatever a person tells in words stay.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use regex::{Captures, Regex};
use serde_json::Value;

use super::Record;
use crate::{
    chat::{Content, Message, Part, Request},
    policy::StepOutcome,
};

/// What is left out, and what stands in its place. Keys go first: one may contain what looks like a number.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        (
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
            "[key]",
        ),
        (
            r"(?x)(?-u:\b)(?:
                (?:sk|pk|rk|hf|ghp|gho|ghs|ghu|github_pat|glpat|xox[abeoprs])[-_][-_A-Za-z0-9]{16,}
                | AKIA[A-Z0-9]{16} | AIza[-_A-Za-z0-9]{30,}
                | eyJ[-_A-Za-z0-9]{8,}\.[-_A-Za-z0-9]{8,}\.[-_A-Za-z0-9]{5,}
            )",
            "[key]",
        ),
        (
            r"(?i)(?-u:\b)bearer\s+[-._~+/A-Za-z0-9]{16,}=*",
            "Bearer [key]",
        ),
        (
            r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
            "[e-mail]",
        ),
        (r"(?-u:\b)[0-9](?:[ -]?[0-9]){12,18}(?-u:\b)", CARD),
        (
            r"(?x)
              (?:\+|(?-u:\b)00)[1-9](?:[\ ()./-]{0,2}[0-9]){6,13}(?-u:\b)
            | \(?(?-u:\b)[0-9]{3}\)?[\ .-][0-9]{3}[\ .-][0-9]{4}(?-u:\b)
            | (?-u:\b)0[1-9][0-9]{1,3}[\ /-]{1,3}[0-9](?:[\ -]?[0-9]){4,9}(?-u:\b)",
            "[phone]",
        ),
    ];
    let compiled = patterns.into_iter();
    compiled
        .filter_map(|(pattern, mark)| Some((Regex::new(pattern).ok()?, mark)))
        .collect()
});

/// The mark of a card number, which counts as one only if its last digit is right.
const CARD: &str = "[card]";

/// Leaves out of a record what must not be kept.
pub(super) fn record(record: &mut Record) {
    if let Some(error) = &mut record.error {
        text(error);
    }
    for name in [&mut record.client, &mut record.user].into_iter().flatten() {
        text(name);
    }
    let Some(content) = &mut record.content else {
        return;
    };
    for (name, value) in &mut content.headers {
        // Open WebUI's names of people.
        if name.ends_with("-name") || name.ends_with("-email") {
            "[person]".clone_into(value);
        }
        text(value);
    }
    request(Arc::make_mut(&mut content.before));
    if let Some(after) = &mut content.after {
        request(Arc::make_mut(after));
    }
    for step in &mut Arc::make_mut(&mut content.trace).steps {
        outcome(&mut step.outcome);
    }
    text(&mut content.answer.content);
    text(&mut content.answer.reasoning);
    for call in &mut content.answer.tool_calls {
        text(&mut call.arguments);
    }
}

fn request(request: &mut Request) {
    request.messages.iter_mut().for_each(message);
    request.stop.iter_mut().for_each(text);
    request.extra.values_mut().for_each(value);
    for tool in &mut request.tools {
        value(&mut tool.definition);
    }
}

fn message(message: &mut Message) {
    match &mut message.content {
        Content::Text(said) => text(said),
        Content::Parts(parts) => parts.iter_mut().for_each(|part| match part {
            Part::Text(said) => text(said),
            // What it shows, nobody knows.
            Part::Image(_) => *part = Part::Text("[image]".to_owned()),
            Part::Other(other) => value(other),
        }),
    }
    message.reasoning.iter_mut().for_each(text);
    message.extra.values_mut().for_each(value);
    for call in &mut message.tool_calls {
        text(&mut call.arguments);
    }
}

fn outcome(outcome: &mut StepOutcome) {
    match outcome {
        StepOutcome::Matched { what: said }
        | StepOutcome::NotMatched { why: said, .. }
        | StepOutcome::Failed { why: said } => text(said),
        StepOutcome::Left { why } => why.iter_mut().for_each(text),
        StepOutcome::Sampled { .. } => {}
        StepOutcome::Applied { changes } => {
            changes.iter_mut().for_each(|change| text(&mut change.what));
        }
        StepOutcome::Shadow { what, changes } => {
            text(what);
            changes.iter_mut().for_each(|change| text(&mut change.what));
        }
    }
}

fn value(json: &mut Value) {
    match json {
        Value::String(said) => text(said),
        Value::Array(list) => list.iter_mut().for_each(value),
        Value::Object(fields) => fields.values_mut().for_each(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn text(said: &mut String) {
    for (pattern, mark) in PATTERNS.iter() {
        let redacted = pattern.replace_all(said, |found: &Captures<'_>| {
            let found = found.get(0).map_or("", |found| found.as_str());
            if *mark == CARD && !is_card(found) {
                found.to_owned()
            } else {
                (*mark).to_owned()
            }
        });
        if let Cow::Owned(redacted) = redacted {
            *said = redacted;
        }
    }
}

/// Whether the last digit is the one that Luhn's formula asks for.
fn is_card(number: &str) -> bool {
    let digits = number.chars().rev().filter_map(|digit| digit.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => digit,
            _ => 2 * digit / 10 + 2 * digit % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::promptlog::tests::{NOW, chat};

    fn redacted(said: &str) -> String {
        let mut said = said.to_owned();
        text(&mut said);
        said
    }

    #[test]
    fn every_pattern_is_a_pattern() {
        assert_eq!(PATTERNS.len(), 6);
    }

    #[test]
    fn what_tells_of_a_person_or_opens_a_door_is_left_out() {
        for (said, kept) in [
            ("Mail anna.b+x@mail.example.org!", "Mail [e-mail]!"),
            ("key sk-proj-abcdefghijklmnop1234", "key [key]"),
            ("AKIAIOSFODNN7EXAMPLE is it", "[key] is it"),
            (
                "Authorization: Bearer abcdefghijklmnop.qrst",
                "Authorization: Bearer [key]",
            ),
            ("eyJhbGciOiJIUzI1.eyJzdWIiOiIx.SflKxwRJSM", "[key]"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
                "[key]",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMIIE and no end", "[key]"),
            ("pay 4111 1111 1111 1111 now", "pay [card] now"),
            ("pay 4111-1111-1111-1111.", "pay [card]."),
            ("call +49 (30) 1234-5678", "call [phone]"),
            ("call 0049301234567", "call [phone]"),
            (
                "call (555) 123-4567 or 030 / 12345678",
                "call [phone] or [phone]",
            ),
        ] {
            assert_eq!(redacted(said), kept);
        }
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        for said in [
            "order 4111 1111 1111 1112 of 2026",
            "on 2026-11-22 at 18:30:05",
            "192.168.178.1 port 3588, version 1.2.3",
            "3.14159265358979 and 1795342884138",
            "a @ b, @somebody, sk-short",
            "0x7f3a, 100 000, RK3588",
        ] {
            assert_eq!(redacted(said), said);
        }
    }

    #[test]
    fn every_part_of_a_record_is_looked_at() {
        const SECRET: &str = "anna@example.org";
        let mut record = chat(NOW, SECRET, SECRET);
        record.error = Some(SECRET.to_owned());
        let content = record.content.as_mut().unwrap();
        content.headers = vec![("x-openwebui-user-name".to_owned(), "Anna".to_owned())];
        content.answer.reasoning = SECRET.to_owned();
        let mut after = (*content.before).clone();
        after.extra.insert(
            "metadata".to_owned(),
            serde_json::json!({ "mail": [SECRET] }),
        );
        let mut photo = after.messages.first().unwrap().clone();
        photo.content = Content::Parts(vec![
            Part::Text(SECRET.to_owned()),
            Part::Image("data:image/png;base64,AAAA".to_owned()),
        ]);
        after.messages.push(photo);
        content.after = Some(Arc::new(after));
        super::record(&mut record);
        let json = record.to_json(1).to_string();
        for secret in [SECRET, "Anna", "base64"] {
            assert!(!json.contains(secret), "{secret} in {json}");
        }
        assert!(json.contains("[image]"), "{json}");
    }

    proptest! {
        #[test]
        fn redacting_twice_changes_nothing_more(said in "[ -~]{0,80}|[0-9 +()-]{0,40}") {
            let once = redacted(&said);
            prop_assert_eq!(redacted(&once), once);
        }
    }
}
