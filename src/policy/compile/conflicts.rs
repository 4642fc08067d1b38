//! Rules that stand in each other's way.

use std::collections::HashSet;

use super::Compiler;
use crate::{
    policy::{
        Class,
        set::{Answer, Rewrite, Rule},
    },
    problem::{Problem, closest},
};

/// Rules of which the first that holds decides: one behind a wider one never comes to its turn.
pub(super) fn unreachable<'r>(rules: impl Iterator<Item = &'r Rule>, compiler: &mut Compiler<'_>) {
    let mut before: Vec<&Rule> = Vec::new();
    for rule in rules {
        let text = |id: u32| compiler.phrases.phrase_text(id).to_owned();
        let wider = before
            .iter()
            .find(|earlier| earlier.unless.is_none() && earlier.when.covers(&rule.when, &text));
        if let Some(wider) = wider {
            let problem = Problem::error("P013", format!("`{}` can never hold", rule.id))
                .at(
                    Some(rule.span.clone()),
                    "every request that this one holds for",
                )
                .at(Some(wider.span.clone()), "was taken by this one before")
                .help("put it first, or tell the two apart by another condition");
            compiler.error(problem);
        }
        if !rule.shadow {
            before.push(rule);
        }
    }
}

/// Answer rules that are equally particular and say different things.
pub(super) fn answers(answers: &[Answer], compiler: &mut Compiler<'_>) {
    let sets = |answer: &Answer| {
        [
            ("think", answer.think.is_some()),
            ("json", answer.json.is_some()),
            ("repetition", answer.repetition.is_some()),
            ("stop", answer.stop.is_some()),
        ]
    };
    for (n, second) in answers.iter().enumerate() {
        for first in answers.iter().take(n) {
            let both = sets(first)
                .into_iter()
                .zip(sets(second))
                .find(|(a, b)| a.1 && b.1);
            let Some(((key, _), _)) = both else {
                continue;
            };
            if let Some(class) = tie(&first.rule, &second.rule) {
                let problem = Problem::error("P021", format!("two rules set `{key}` for {class}"));
                compiler.error(
                    problem
                        .at(Some(second.rule.span.clone()), "the second")
                        .at(Some(first.rule.span.clone()), "the first")
                        .help("name fewer classes in one of them, or give one a condition"),
                );
            }
        }
    }
}

/// A class for which both rules always hold and neither is more particular.
fn tie(a: &Rule, b: &Rule) -> Option<Class> {
    if a.is_conditional() || b.is_conditional() || a.shadow || b.shadow {
        return None;
    }
    let is_for = |rule: &Rule, class: Class| rule.on.iter().any(|glob| glob.matches(class));
    Class::ALL
        .into_iter()
        .find(|class| is_for(a, *class) && is_for(b, *class) && a.rank(*class) == b.rank(*class))
}

/// The rewrite rules in file order, but each after those that it names.
pub(super) fn ordered(rules: Vec<Rewrite>, compiler: &mut Compiler<'_>) -> Vec<Rewrite> {
    let ids: Vec<_> = rules.iter().map(|rule| rule.rule.id.clone()).collect();
    let names: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    for (id, span) in rules.iter().flat_map(|rule| &rule.after) {
        if !names.contains(&id.as_str()) {
            let problem = Problem::error("P016", format!("there is no rewrite rule `{id}`"))
                .at(Some(span.clone()), "");
            compiler.error(match closest(id, &names) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem.help("it may be switched off"),
            });
        }
    }
    let mut waiting = rules;
    let mut ordered: Vec<Rewrite> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let waits = |rule: &Rewrite| {
            let waits_for = |id: &str| waiting.iter().any(|other| *other.rule.id == *id);
            rule.after.iter().any(|(id, _)| waits_for(id))
        };
        let Some(next) = waiting.iter().position(|rule| !waits(rule)) else {
            let mut problem = Problem::error("P017", "these rules wait for each other");
            for rule in &waiting {
                let span = rule.after.first().map(|(_, span)| span.clone());
                problem = problem.at(span, format!("`{}` waits", rule.rule.id));
            }
            compiler.error(problem.help("take one of these `after` away"));
            break;
        };
        ordered.push(waiting.remove(next));
    }
    ordered.append(&mut waiting);
    ordered
}

/// Two rules that determine the same thing for the same requests, without a word on which is the last.
pub(super) fn same_thing(rules: &[Rewrite], compiler: &mut Compiler<'_>) {
    for (n, second) in rules.iter().enumerate() {
        let Some(thing) = second.op.sets else {
            continue;
        };
        let before = predecessors(rules, second);
        for first in rules
            .iter()
            .take(n)
            .filter(|first| first.op.sets == Some(thing))
        {
            if before.contains(first.rule.id.as_ref())
                || !overlap(&first.rule, &second.rule, compiler)
            {
                continue;
            }
            compiler.error(
                Problem::error(
                    "P015",
                    format!("two rules set {thing} of the same requests"),
                )
                .at(Some(second.rule.span.clone()), "the second")
                .at(Some(first.rule.span.clone()), "the first")
                .help(format!(
                    "say `after = [\"{}\"]` in the second if its word is the last",
                    first.rule.id
                )),
            );
        }
    }
}

/// The ids of all rules that `rule` comes after by its own word, directly or not.
fn predecessors<'r>(rules: &'r [Rewrite], rule: &'r Rewrite) -> HashSet<&'r str> {
    let mut found = HashSet::new();
    let mut open: Vec<&Rewrite> = vec![rule];
    while let Some(rule) = open.pop() {
        for (id, _) in &rule.after {
            if found.insert(id.as_str()) {
                open.extend(rules.iter().filter(|other| *other.rule.id == **id));
            }
        }
    }
    found
}

/// Whether some request meets both, as far as that can be seen by looking: true does not mean that there is one.
fn overlap(a: &Rule, b: &Rule, compiler: &Compiler<'_>) -> bool {
    let is_for = |rule: &Rule, class: Class| rule.on.iter().any(|glob| glob.matches(class));
    let text = |id: u32| compiler.phrases.phrase_text(id).to_owned();
    let excluded = |a: &Rule, b: &Rule| {
        a.unless
            .as_ref()
            .is_some_and(|unless| unless.covers(&b.when, &text))
    };
    !a.shadow
        && !b.shadow
        && Class::ALL
            .into_iter()
            .any(|class| is_for(a, class) && is_for(b, class))
        && !a.when.excludes(&b.when)
        && !excluded(a, b)
        && !excluded(b, a)
}
