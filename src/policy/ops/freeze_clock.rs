//! `freeze_clock`: a clock in the system prompt no longer changes the prompt's beginning.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{Description, Example, Operation, Target, Unstable};
use crate::{
    chat::Role,
    policy::{
        Rewriter,
        context::Context,
        file::{
            keys::{Key, Kind},
            table::Table,
        },
        prose,
    },
    problem::Problem,
};

pub(super) const DESCRIPTION: Description = Description {
    name: "freeze_clock",
    summary: "Takes the time of day out of system prompts; dates stay.",
    details: "A time counts as a clock if it has seconds, stands beside a date, or its sentence speaks of the current \
time. Opening hours and other times stay. A short sentence that says nothing but the time goes as a whole. With \
`move = true` the time is not lost: it goes to the end of the last user message.",
    keys: &[Key::optional(
        "move",
        Kind::Bool,
        "Whether the time moves to the end of the last user message; default false.",
    )],
    examples: &[
        Example {
            title: "the beginning of the prompt stays the same all day",
            rule: r#"op = "freeze_clock""#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "system", "content": "You are Bob. Now: 2026-11-22 04:23:21 PM\nThe current time is 16:23. We are open 9:00-17:00."},
  {"role": "user", "content": "Are you open?"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "You are Bob. Now: 2026-11-22\nWe are open 9:00-17:00."},
  {"role": "user", "content": "Are you open?"}]}"#,
        },
        Example {
            title: "the time moves",
            rule: r#"op = "freeze_clock"
move = true"#,
            class: "chat",
            before: r#"{"messages": [
  {"role": "system", "content": "You are Bob. It is 2026-11-22T16:23:21Z."},
  {"role": "user", "content": "How late is it?"}]}"#,
            after: r#"{"messages": [
  {"role": "system", "content": "You are Bob. It is 2026-11-22."},
  {"role": "user", "content": "How late is it?\n\n(Time: 16:23:21Z)"}]}"#,
        },
    ],
    sets: None,
    compile,
};

/// `None` would mean that the pattern in this file is broken, which a test would show.
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        [0-9]{1,2}:[0-9]{2} (?P<seconds> :[0-9]{2} (?:[.,][0-9]+)? )?
        (?: [\x20\u{202f}]? [AaPp]\.?[Mm](?-u:\b)\.? )?
        (?: \x20? (?: Z(?-u:\b) | (?:UTC|GMT) (?:[+-][0-9]{1,2}(?::?[0-9]{2})?)? | [+-][0-9]{2}:?[0-9]{2} ) )?",
    )
    .ok()
});

/// What a sentence says that speaks of the present time.
const NOW: [&str; 18] = [
    "current time",
    "time is",
    "time:",
    "time now",
    "local time",
    "it is now",
    "right now",
    "now:",
    "datetime",
    "uhrzeit",
    "heure actuelle",
    "hora actual",
    "ora attuale",
    "текущее время",
    "当前时间",
    "现在",
    "現在",
    "지금",
];

/// Words of a sentence that says nothing but the time.
const FEW_WORDS: usize = 6;

#[derive(Debug)]
struct FreezeClock {
    moves: bool,
}

fn compile(table: &Table<'_>, _: &mut Vec<Problem>) -> Option<Box<dyn Operation>> {
    Some(Box::new(FreezeClock {
        moves: table.bool("move").unwrap_or(false),
    }))
}

impl Operation for FreezeClock {
    fn apply(&self, request: &mut Rewriter<'_>, _: &Context<'_>) {
        let mut time = None;
        request.edit_all(Role::System, "clock stopped", |text| {
            let (mut frozen, first) = frozen(text)?;
            time.get_or_insert(first);
            while let Some((again, _)) = self::frozen(&frozen) {
                frozen = again;
            }
            Some(frozen)
        });
        super::drop_empty_system(request);
        if let Some(time) = time.filter(|_| self.moves) {
            let time = format!("(Time: {time})");
            let last = |old: &str| Some(format!("{old}\n\n{time}"));
            Target::LastUser.join(request, "time moved here", last, &time);
        }
    }

    fn unstable(&self) -> Option<Unstable> {
        self.moves.then(|| Target::LastUser.unstable()).flatten()
    }
}

/// The text without clocks, and the first time.
fn frozen(text: &str) -> Option<(String, String)> {
    let pattern = TIME.as_ref()?;
    if !pattern.is_match(text) {
        return None;
    }
    let mut kept = String::with_capacity(text.len());
    let mut time = None;
    for sentence in prose::sentences(text) {
        match clock(sentence, pattern).filter(|_| !sentence.starts_with("```")) {
            None => kept.push_str(sentence),
            Some(clock) => {
                let found = sentence.get(clock.time.clone()).unwrap_or_default();
                time.get_or_insert_with(|| found.trim().to_owned());
                let before = sentence.get(..clock.cut.start)?;
                let after = sentence.get(clock.cut.end..)?;
                let words = before.split_whitespace().chain(after.split_whitespace());
                if clock.dated {
                    kept.push_str(before);
                    kept.push_str(after);
                } else if words
                    .filter(|word| word.contains(char::is_alphabetic))
                    .count()
                    <= FEW_WORDS
                {
                    prose::leave_out(&mut kept, sentence);
                } else {
                    kept.push_str(before);
                    kept.push_str("--:--");
                    kept.push_str(after);
                }
            }
        }
    }
    kept.truncate(kept.trim_end().len());
    time.map(|time| (kept, time))
}

struct Clock {
    time: Range<usize>,
    /// The time and what joins it to a date.
    cut: Range<usize>,
    dated: bool,
}

/// The first clock of a sentence.
fn clock(sentence: &str, pattern: &Regex) -> Option<Clock> {
    let lower = sentence.to_lowercase();
    let now = NOW.iter().any(|word| lower.contains(word));
    for found in pattern.captures_iter(sentence) {
        let whole = found.get(0)?;
        let before = sentence.get(..whole.start())?;
        let after = sentence.get(whole.end()..)?;
        // Part of a longer number, an address or a range.
        let joins = |c: char| c.is_alphanumeric() || matches!(c, ':' | '-' | '–' | '.' | '/');
        let glued = before
            .chars()
            .next_back()
            .is_some_and(|c| joins(c) && c != 'T')
            || after
                .chars()
                .next()
                .is_some_and(|c| matches!(c, ':' | '-' | '–') || c.is_ascii_digit());
        if glued {
            continue;
        }
        let bare = before.trim_end_matches(['T', ' ', ',', '(']);
        let bare = ["at", "um", "à", "a las", "alle"]
            .iter()
            .find_map(|word| bare.strip_suffix(word).filter(|rest| rest.ends_with(' ')))
            .map_or(bare, |rest| rest.trim_end_matches([' ', ',']));
        if before.len() > bare.len() && dated(bare) {
            let close = usize::from(before.ends_with('(') && after.starts_with(')'));
            return Some(Clock {
                time: whole.range(),
                cut: bare.len()..whole.end() + close,
                dated: true,
            });
        }
        let behind = after.trim_start_matches([' ', ',']);
        let behind = behind.strip_prefix("on ").unwrap_or(behind);
        if behind.len() < after.len() && begins_with_date(behind) {
            return Some(Clock {
                time: whole.range(),
                cut: whole.start()..sentence.len() - behind.len(),
                dated: true,
            });
        }
        if found.name("seconds").is_some() || now {
            return Some(Clock {
                time: whole.range(),
                cut: whole.range(),
                dated: false,
            });
        }
    }
    None
}

/// Whether a text ends with a date: a year, or a day behind separators.
fn dated(text: &str) -> bool {
    let tail = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = text.len() - tail.len();
    digits == 4 || (digits == 2 && tail.ends_with(['-', '/', '.']))
}

fn begins_with_date(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.len() - rest.len();
    matches!(digits, 1 | 2 | 4)
        && rest.starts_with(['-', '/', '.'])
        && rest
            .get(1..)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}
