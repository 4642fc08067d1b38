//! The `[[redact]]` tables of rule files.

use super::document::Item;
use crate::{
    policy::{
        file::{rules::REDACT, table::Table},
        pattern,
        redaction::{Case, Redact, Redaction},
    },
    problem::Problem,
};

pub(super) fn compile(items: &[Item<'_>], problems: &mut Vec<Problem>) -> Redaction {
    let redact = items.iter().filter(|item| item.kind == "redact");
    Redaction::new(redact.filter_map(|item| rule(item, problems)).collect())
}

/// The tests of tables that have been compiled.
pub(super) fn cases(items: &[&Item<'_>]) -> Vec<Case> {
    let case = |test: &Table<'_>| {
        Some(Case {
            text: test.text("text")?.to_owned(),
            kept: test.text("kept")?.to_owned(),
            place: test.place("kept"),
        })
    };
    items
        .iter()
        // What is wrong with it has been said.
        .map(|item| item.check(&[REDACT], &mut Vec::new()))
        .filter(|table| table.text("mode") != Some("off"))
        .flat_map(|table| table.tables("test"))
        .filter_map(|test| case(&test))
        .collect()
}

fn rule(item: &Item<'_>, problems: &mut Vec<Problem>) -> Option<Redact> {
    let table = item.check(&[REDACT], problems);
    let mut patterns = Vec::new();
    for (text, place) in table.texts("patterns") {
        let Some(pattern) = pattern::compile(text, "patterns", place.clone(), problems) else {
            continue;
        };
        if pattern.is_match("") {
            let problem = Problem::error("P003", "`patterns` has one that matches an empty text");
            problems.push(
                problem
                    .at(Some(place), "")
                    .help("it would match between any two letters; ask for one letter at least"),
            );
        }
        patterns.push(pattern);
    }
    if table.text("mode") == Some("off") {
        return None;
    }
    Some(Redact {
        patterns,
        mark: table.text("mark")?.into(),
        luhn: table.text("check") == Some("luhn"),
    })
}
