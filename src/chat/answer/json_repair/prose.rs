//! Answers that are no JSON at all: a bare title, a list in lines.

use serde_json::Value;

use super::{
    Fix, Fixes, JsonShape, MAX_TITLE, fits, is_list,
    lenient::closers,
    longest,
    pick::{Found, likeness},
};

/// Longest line, in words, that is taken for a title or a search query without any sign of it.
const MAX_WORDS: usize = 12;
/// Longest part of a line, in words, that is taken for an item between commas.
const MAX_PART_WORDS: usize = 4;
/// How refusals and apologies begin, in small letters.
const REFUSALS: [&str; 7] = [
    "i'm sorry",
    "i’m sorry",
    "i am sorry",
    "sorry",
    "i can't",
    "i cannot",
    "as an ai",
];

/// The wanted value in plain text, if there is a sign of it.
pub(super) fn read(text: &str, shape: &JsonShape) -> Option<Found> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("```"))
        .collect();
    let is_json = |line: &&str| line.starts_with(['{', '[', '}', ']']);
    if lines.first().is_some_and(|line| refuses(line)) || lines.iter().any(is_json) {
        return None;
    }
    let value = if is_list(shape) {
        items(&lines, shape).map(Value::from)
    } else {
        string(&lines, shape).map(Value::from)
    };
    Some(Found {
        value: value?,
        fixes: Fixes::from([Fix::NoJson]),
    })
}

fn refuses(line: &str) -> bool {
    let line = line.to_lowercase();
    REFUSALS.iter().any(|refusal| line.starts_with(refusal))
}

fn items(lines: &[&str], shape: &JsonShape) -> Option<Vec<String>> {
    let bullets: Vec<String> = lines
        .iter()
        .filter_map(|line| bullet(line))
        .map(clean)
        .collect();
    if !bullets.is_empty() {
        return Some(bullets);
    }
    if let Some(rest) = lines.iter().find_map(|line| labelled(line, shape)) {
        return Some(split_list(rest));
    }
    let questions: Vec<String> = lines
        .iter()
        .filter(|line| line.ends_with(['?', '？']) && fits(line, super::MAX_ITEM))
        .map(|line| clean(line))
        .collect();
    if !questions.is_empty() {
        return Some(questions);
    }
    let rest: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| !line.ends_with([':', '：']))
        .collect();
    match rest.as_slice() {
        [line] => {
            let parts = split_list(line);
            (parts.len() > 1 || is_short(line)).then_some(parts)
        }
        // Short lines without any sign, one below the other.
        lines
            if lines.len() > 1
                && lines
                    .iter()
                    .all(|line| words(line) <= MAX_PART_WORDS && is_short(line)) =>
        {
            Some(lines.iter().map(|line| clean(line)).collect())
        }
        _ => None,
    }
}

fn string(lines: &[&str], shape: &JsonShape) -> Option<String> {
    if let Some(rest) = lines.iter().find_map(|line| labelled(line, shape)) {
        return Some(clean(rest));
    }
    let mut rest: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| !line.ends_with([':', '：']))
        .collect();
    // The same again and again, the last time perhaps cut off.
    let goes_round = rest
        .split_first()
        .is_some_and(|(first, again)| again.iter().all(|line| first.starts_with(line)));
    if goes_round {
        rest.truncate(1);
    }
    match rest.as_slice() {
        [line] => {
            let line = bullet(line).unwrap_or(line);
            let title = clean(once(line));
            if longest(shape) > MAX_TITLE || is_short(&title) {
                return Some(title);
            }
            quoted(line)
        }
        [] => None,
        lines if longest(shape) > MAX_TITLE => Some(lines.join("\n")),
        lines => lines.iter().find_map(|line| quoted(line)),
    }
}

/// What a line says, where it says the same three times or more on end: a model that goes round.
fn once(line: &str) -> &str {
    let bytes = line.as_bytes();
    // Of each beginning, how much of its start it ends with.
    let mut borders = vec![0; bytes.len()];
    for at in 1..bytes.len() {
        let mut border: usize = borders.get(at - 1).copied().unwrap_or(0);
        while border > 0 && bytes.get(border) != bytes.get(at) {
            border = borders.get(border - 1).copied().unwrap_or(0);
        }
        if bytes.get(border) == bytes.get(at) {
            border += 1;
        }
        if let Some(known) = borders.get_mut(at) {
            *known = border;
        }
    }
    let period = bytes.len() - borders.last().copied().unwrap_or(0);
    match line.get(..period) {
        Some(said) if period * 3 <= bytes.len() && said.chars().count() > 3 => said,
        _ => line,
    }
}

/// What stands behind `Title:`, in any spelling.
fn labelled<'t>(line: &'t str, shape: &JsonShape) -> Option<&'t str> {
    let at = line.find([':', '：'])?;
    let (label, rest) = line.split_at(at);
    let rest = rest.trim_start_matches([':', '：', '*', ' ', '\t']);
    let close = likeness(label, &shape.key)? <= 3 && words(label) <= 3;
    (close && !rest.is_empty()).then_some(rest)
}

/// The only quoted passage of a line.
fn quoted(line: &str) -> Option<String> {
    let (at, opener) = line
        .char_indices()
        .find(|(_, c)| matches!(c, '"' | '“' | '«' | '「'))?;
    let rest = line.get(at + opener.len_utf8()..)?;
    let end = rest.find(|c| closers(opener).is_some_and(|closers| closers.contains(c)))?;
    let (passage, behind) = rest.split_at(end);
    let again = behind.chars().skip(1).any(|c| c == opener);
    (!again && is_short(passage)).then(|| passage.to_owned())
}

/// What stands behind the mark of a list's line.
fn bullet(line: &str) -> Option<&str> {
    let marks = ["- ", "* ", "• ", "•", "– ", "— ", "+ ", "· "];
    if let Some(rest) = marks.iter().find_map(|mark| line.strip_prefix(mark)) {
        return Some(rest.trim_start());
    }
    let rest = line.strip_prefix('(').unwrap_or(line);
    let number = rest.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = rest.split_at(number);
    let text = rest.strip_prefix(['.', ')', ':', '、'])?;
    let separate = text.starts_with(char::is_whitespace) || rest.starts_with('、');
    (!digits.is_empty() && separate).then(|| text.trim_start())
}

/// The items of a line: parts between semicolons, or between commas if they are short; sentences that are questions.
pub(super) fn split_list(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.len() > 1 {
        return lines
            .iter()
            .map(|line| clean(bullet(line).unwrap_or(line)))
            .collect();
    }
    let one = text.trim();
    if one.contains(';') {
        return parts(one, &[';']);
    }
    let by_comma = parts(one, &[',', '，', '、']);
    if by_comma.len() > 1
        && by_comma.iter().all(|part| words(part) <= MAX_PART_WORDS)
        && !one.ends_with(['?', '？'])
    {
        return by_comma;
    }
    let questions: Vec<String> = one
        .split_inclusive(['?', '？'])
        .map(clean)
        .filter(|part| !part.is_empty())
        .collect();
    if questions.iter().all(|part| part.ends_with(['?', '？'])) {
        return questions;
    }
    vec![clean(one)]
}

fn parts(line: &str, separators: &[char]) -> Vec<String> {
    line.split(separators)
        .map(clean)
        .filter(|part| !part.is_empty())
        .collect()
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Whether a line may be a title or a query: short, and no sentence.
fn is_short(line: &str) -> bool {
    let inner = line.trim_end_matches(['"', '”', '*', '`']);
    words(line) <= MAX_WORDS
        && fits(line, MAX_TITLE)
        && line.contains(char::is_alphanumeric)
        && !inner.ends_with(['.', ':', '!', '。'])
}

/// A line's text without quotes and emphasis around it.
fn clean(line: &str) -> String {
    let mut text = line.trim();
    loop {
        let inner = text
            .trim_matches(['*', '_', '`', '#', ' ', '\t'])
            .trim_end_matches(',');
        let inner = ["\"\"", "''", "“”", "««", "«»", "「」"]
            .iter()
            .find_map(|pair| {
                let mut quotes = pair.chars();
                inner
                    .strip_prefix(quotes.next()?)?
                    .strip_suffix(quotes.next()?)
            })
            .unwrap_or(inner);
        if inner.len() == text.len() {
            return text.to_owned();
        }
        text = inner;
    }
}
