//! The difference between the request before and after, with what stays left out.

use std::fmt::{self, Write};

use super::{ink, page::Page};
use crate::{
    cli::paint::{harmless, line},
    explain::{Explanation, Line, LineKind, MessageDifference, ToolDifference},
};

/// Lines that stay, shown on each side of a change.
const AROUND: usize = 2;
/// Lines shown of a message that is gone or new as a whole.
const WHOLE: usize = 6;
/// Characters shown of words that stay, on each side of a change within a line.
const WORDS: usize = 40;

pub(super) fn write(page: &mut Page, explanation: &Explanation) -> fmt::Result {
    if !explanation.rewritten {
        return writeln!(page.text, "Nothing: the request goes on as it came.");
    }
    let mut same: Vec<&MessageDifference> = Vec::new();
    for message in &explanation.difference.messages {
        if message.lines.is_empty() {
            same.push(message);
            continue;
        }
        unchanged(page, &std::mem::take(&mut same))?;
        changed(page, message)?;
    }
    unchanged(page, &same)?;
    tools(page, &explanation.difference.tools)
}

fn unchanged(page: &mut Page, messages: &[&MessageDifference]) -> fmt::Result {
    let places: Vec<usize> = messages
        .iter()
        .filter_map(|message| message.after)
        .collect();
    let text = match places.as_slice() {
        [] => return Ok(()),
        [one] => format!("messages[{one}] stays as it is"),
        [first, .., last] => format!("messages[{first}] to [{last}] stay as they are"),
    };
    writeln!(page.text, "{}", page.paint.with(ink::FAINT, &text))
}

fn changed(page: &mut Page, message: &MessageDifference) -> fmt::Result {
    let role = message.role.as_str();
    let (before, after) = (message.chars_before, message.chars_after);
    let title = match (message.before, message.after) {
        (Some(was), Some(is)) if was != is => {
            format!("messages[{was}], now [{is}], {role}: {before} -> {after} characters")
        }
        (Some(was), Some(_)) => format!("messages[{was}], {role}: {before} -> {after} characters"),
        (Some(was), None) => format!("messages[{was}], {role}: gone, {before} characters"),
        (None, _) => format!("new, {role}: {after} characters"),
    };
    let rules: Vec<String> = message.rules.iter().map(|by| line(&by.rule)).collect();
    let by = match rules.as_slice() {
        [] => String::new(),
        rules => format!(", by {}", rules.join(", ")),
    };
    writeln!(page.text, "{}{by}", page.paint.with(ink::STRONG, &title))?;
    let whole = message.before.is_none() || message.after.is_none();
    print(page, &message.lines, whole)
}

fn tools(page: &mut Page, tools: &[ToolDifference]) -> fmt::Result {
    if tools.iter().all(|tool| tool.kept && tool.lines.is_empty()) {
        return Ok(());
    }
    let names = |kept: bool| -> Vec<String> {
        let tools = tools.iter().filter(|tool| tool.kept == kept);
        tools.map(|tool| line(&tool.name)).collect()
    };
    let (kept, gone) = (names(true), names(false));
    let title = format!("tools: {} of {} are kept", kept.len(), tools.len());
    writeln!(page.text, "{}", page.paint.with(ink::STRONG, &title))?;
    for (names, sign, ink) in [(gone, "-", ink::BAD), (kept, " ", ink::FAINT)] {
        if !names.is_empty() {
            let names = format!("{sign} {}", names.join(", "));
            writeln!(page.text, "  {}", page.paint.with(ink, &names))?;
        }
    }
    for tool in tools.iter().filter(|tool| !tool.lines.is_empty()) {
        let title = format!("tool {}", line(&tool.name));
        writeln!(page.text, "{}", page.paint.with(ink::STRONG, &title))?;
        print(page, &tool.lines, false)?;
    }
    Ok(())
}

/// Prints lines; runs of those that stay, and the rest of what is gone or new as a whole, are only counted.
fn print(page: &mut Page, all: &[Line], whole: bool) -> fmt::Result {
    let shown: Vec<bool> = (0..all.len())
        .map(|at| page.verbose || is_shown(all, at, whole))
        .collect();
    let mut hidden = 0;
    for (text, shown) in all.iter().zip(shown) {
        if !shown {
            hidden += 1;
            continue;
        }
        omitted(page, std::mem::take(&mut hidden))?;
        print_line(page, text)?;
    }
    omitted(page, hidden)
}

fn is_shown(all: &[Line], at: usize, whole: bool) -> bool {
    if whole {
        return at < WHOLE;
    }
    let from = at.saturating_sub(AROUND);
    let near = all.iter().skip(from).take(at + AROUND + 1 - from);
    near.into_iter().any(|line| line.kind != LineKind::Same)
}

fn omitted(page: &mut Page, lines: usize) -> fmt::Result {
    let text = match lines {
        0 => return Ok(()),
        1 => "  ... 1 more line".to_owned(),
        lines => format!("  ... {lines} more lines"),
    };
    writeln!(page.text, "{}", page.paint.with(ink::FAINT, &text))
}

fn print_line(page: &mut Page, text: &Line) -> fmt::Result {
    let (sign, ink, words_ink) = match text.kind {
        LineKind::Same => (" ", ink::FAINT, ink::FAINT),
        LineKind::Removed => ("-", ink::BAD, ink::BAD_WORDS),
        LineKind::Added => ("+", ink::GOOD, ink::GOOD_WORDS),
    };
    let mut printed = page.paint.with(ink, &format!("{sign} "));
    for words in &text.words {
        let safe = harmless(&words.text).into_owned();
        if words.changed {
            printed += &page.paint.with(words_ink, &safe);
        } else {
            let any_changed = text.words.iter().any(|words| words.changed);
            let leave_out = !page.verbose && (text.kind == LineKind::Same || any_changed);
            let safe = if leave_out { shortened(&safe) } else { safe };
            printed += &page.paint.with(ink, &safe);
        }
    }
    writeln!(page.text, "  {printed}")
}

/// The beginning and the end of words that stay.
fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= WORDS * 3 {
        return text.to_owned();
    }
    let head: String = text.chars().take(WORDS).collect();
    let tail: String = text.chars().skip(count - WORDS).collect();
    format!("{head} ... {tail}")
}
