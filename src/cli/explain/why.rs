//! The trace as a story, stage by stage.

use std::fmt::{self, Write};

use super::{
    ink,
    page::{Page, rule},
};
use crate::{
    cli::paint::line,
    explain::Explanation,
    policy::{Change, Stage, Step, StepOutcome},
};

/// Why a rule did nothing that gives no other reason.
const NOTHING_TO_DO: &str = "there was nothing to do";
/// Near misses that a stage tells of.
const NEAR_TOLD: usize = 4;
/// Reasons for not holding that a stage counts.
const REASONS_TOLD: usize = 3;

const STAGES: [(Stage, &str); 11] = [
    (Stage::Classify, "classify"),
    (Stage::Label, "label"),
    (Stage::Route, "route"),
    (Stage::Policy, "policy"),
    (Stage::Deny, "deny"),
    (Stage::Rewrite, "rewrite"),
    (Stage::Tools, "tools"),
    (Stage::Trim, "trim"),
    (Stage::Sample, "sample"),
    (Stage::Admit, "admit"),
    (Stage::Answer, "answer"),
];

pub(super) fn write(page: &mut Page, explanation: &Explanation) -> fmt::Result {
    for (stage, name) in STAGES {
        let steps: Vec<&Step> = explanation
            .trace
            .steps
            .iter()
            .filter(|step| step.stage == stage)
            .collect();
        let name = page.paint.with(ink::STRONG, name);
        writeln!(page.text, "{name}")?;
        for step in &steps {
            effect(page, step)?;
        }
        idle(page, &steps)?;
        misses(page, &steps)?;
        if steps.is_empty() {
            let none = page.paint.with(ink::FAINT, "no rule is for this");
            writeln!(page.text, "  {none}")?;
        }
    }
    Ok(())
}

/// What a rule did.
fn effect(page: &mut Page, step: &Step) -> fmt::Result {
    let by = rule(&step.rule, step.origin.as_ref());
    let says = |page: &mut Page, ink, word: &str, what: &str| {
        let word = page.paint.with(ink, &format!("{word:<8}"));
        writeln!(page.text, "  {word} {by}: {}", line(what))
    };
    match &step.outcome {
        StepOutcome::Matched { what } => says(page, ink::GOOD, "holds", what),
        StepOutcome::Applied { changes } => {
            says(page, ink::GOOD, "applied", &counted(changes.len()))?;
            list(page, changes)
        }
        StepOutcome::Shadow { what, changes } => {
            says(page, ink::NOTICE, "shadow", what)?;
            list(page, changes)
        }
        StepOutcome::Failed { why } => says(page, ink::BAD, "failed", why),
        StepOutcome::Left { .. } | StepOutcome::NotMatched { .. } | StepOutcome::Sampled { .. } => {
            Ok(())
        }
    }
}

fn counted(changes: usize) -> String {
    match changes {
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    }
}

fn list(page: &mut Page, changes: &[Change]) -> fmt::Result {
    for change in changes {
        let Change {
            place,
            what,
            before,
            after,
            shift: _,
        } = change;
        let size = match (before, after) {
            (0, 0) => String::new(),
            (before, after) => format!(", {before} -> {after} characters"),
        };
        writeln!(
            page.text,
            "           {}: {}{size}",
            line(place),
            line(what)
        )?;
    }
    Ok(())
}

/// The rules that held and did nothing: those without a reason of their own by their names.
fn idle(page: &mut Page, steps: &[&Step]) -> fmt::Result {
    let word = page.paint.with(ink::FAINT, "idle    ");
    let mut names = Vec::new();
    for step in steps {
        match &step.outcome {
            StepOutcome::Left { why: None } if !page.verbose => names.push(line(&step.rule)),
            StepOutcome::Left { why } => {
                let by = rule(&step.rule, step.origin.as_ref());
                let why = why.as_deref().unwrap_or(NOTHING_TO_DO);
                writeln!(page.text, "  {word} {by}: {}", line(why))?;
            }
            _ => {}
        }
    }
    if !names.is_empty() {
        let names = names.join(", ");
        writeln!(page.text, "  {word} {names}: {NOTHING_TO_DO}")?;
    }
    Ok(())
}

/// The rules that did not hold: those that came near in full, the others by their reasons.
fn misses(page: &mut Page, steps: &[&Step]) -> fmt::Result {
    let mut near = Vec::new();
    let mut far = Vec::new();
    for step in steps {
        if let StepOutcome::NotMatched {
            why,
            held,
            of,
            near: is_near,
        } = &step.outcome
        {
            let list = if *is_near { &mut near } else { &mut far };
            list.push((*step, why.as_str(), *held, *of));
        }
    }
    // The more conditions held, the nearer.
    near.sort_by_key(|(_, _, held, _)| std::cmp::Reverse(*held));
    if !page.verbose && near.len() > NEAR_TOLD {
        far.extend(near.drain(NEAR_TOLD..));
    }
    for (step, why, held, of) in near {
        let by = rule(&step.rule, step.origin.as_ref());
        let word = page.paint.with(ink::NOTICE, "almost  ");
        writeln!(
            page.text,
            "  {word} {by}, {held} of {of} conditions: {}",
            line(why)
        )?;
    }
    let word = page.paint.with(ink::FAINT, "not     ");
    if page.verbose {
        for (step, why, held, of) in far {
            let by = rule(&step.rule, step.origin.as_ref());
            let held = match of {
                0 => String::new(),
                of => format!(", {held} of {of} conditions"),
            };
            writeln!(page.text, "  {word} {by}{held}: {}", line(why))?;
        }
    } else if !far.is_empty() {
        let rules = match far.len() {
            1 => "1 rule".to_owned(),
            count => format!("{count} rules"),
        };
        let reasons = reasons(far.iter().map(|(_, why, ..)| *why));
        writeln!(page.text, "  {word} {rules}: {reasons}")?;
    }
    Ok(())
}

/// The most frequent reasons, with how many rules each is of.
fn reasons<'s>(whys: impl Iterator<Item = &'s str>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for why in whys {
        // What is missing differs from rule to rule.
        let why = why.split(": ").next().unwrap_or(why);
        match counts.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => counts.push((why, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let rest: usize = counts
        .iter()
        .skip(REASONS_TOLD)
        .map(|(_, count)| count)
        .sum();
    counts.truncate(REASONS_TOLD);
    let mut reasons: Vec<String> = counts
        .iter()
        .map(|(why, count)| match count {
            1 => line(why),
            count => format!("{} ({count})", line(why)),
        })
        .collect();
    if rest > 0 {
        reasons.push(format!("{rest} more for other reasons"));
    }
    reasons.join("; ")
}
