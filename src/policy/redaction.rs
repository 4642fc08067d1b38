//! What a log must not keep, by its form: `[[redact]]`.

use std::borrow::Cow;

use regex::{Captures, Regex};

use crate::problem::{Problem, Span};

/// Rules that leave out what tells of a person or lets somebody in.
#[derive(Debug, Default)]
pub struct Redaction(Vec<Redact>);

/// A rule.
#[derive(Debug)]
pub(super) struct Redact {
    pub(super) patterns: Vec<Regex>,
    /// What stands in the place of what they match.
    pub(super) mark: Box<str>,
    /// Whether only what has the right check digit counts.
    pub(super) luhn: bool,
}

impl Redaction {
    pub(super) fn new(rules: Vec<Redact>) -> Self {
        Self(rules)
    }

    /// Puts the rules' marks in the place of what they match.
    pub fn apply(&self, text: &mut String) {
        for rule in &self.0 {
            for pattern in &rule.patterns {
                let redacted = pattern.replace_all(text, |found: &Captures<'_>| {
                    let found = found.get(0).map_or("", |found| found.as_str());
                    if rule.luhn && !has_check_digit(found) {
                        found.to_owned()
                    } else {
                        rule.mark.clone().into_string()
                    }
                });
                if let Cow::Owned(redacted) = redacted {
                    *text = redacted;
                }
            }
        }
    }
}

/// Whether the last digit is the one that Luhn's formula asks for.
fn has_check_digit(number: &str) -> bool {
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

/// A `[[redact.test]]`.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) text: String,
    pub(super) kept: String,
    /// Where `kept` stands.
    pub(super) place: Span,
}

impl Case {
    /// What is not as expected.
    pub(super) fn run(&self, redaction: &Redaction) -> Option<Problem> {
        let mut kept = self.text.clone();
        redaction.apply(&mut kept);
        (kept != self.kept).then(|| {
            Problem::error("P040", "the test of a redaction fails")
                .at(Some(self.place.clone()), format!("is {kept:?}"))
                .help("mend a pattern or the expectation; all rules are applied, in the order of the files")
        })
    }
}
