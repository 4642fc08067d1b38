//! Sentences of any language, for texts that may hold Markdown.

/// Words before a full stop that ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "e.g", "i.e", "cf", "vs", "approx", "ca", "fig", "no", "nr", "dr", "mr", "mrs", "ms", "prof",
    "st", "sr", "jr", "z.b", "d.h", "u.a", "bzw", "usw", "p.ex", "p.ej", "sra", "mme",
];

/// The sentences of a text, each with the white space behind it: together they are the text. A line ends a sentence;
/// a code fence is one sentence, so that nobody takes a program apart.
pub(crate) fn sentences(text: &str) -> Vec<&str> {
    let mut ends = Vec::new();
    let mut fenced = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        if !fenced && !is_fence {
            ends_within(line, at, &mut ends);
        }
        at += line.len();
        if is_fence && !fenced {
            fenced = true;
        } else {
            fenced = fenced && !is_fence;
            if !fenced {
                ends.push(at);
            }
        }
    }
    ends.push(at);
    let mut pieces: Vec<&str> = Vec::with_capacity(ends.len());
    let mut start = 0;
    for end in ends {
        let piece = text.get(start..end).unwrap_or_default();
        if piece.trim().is_empty() {
            // White space goes with the sentence before it.
            if let Some(last) = pieces.last_mut() {
                let begin = start - last.len();
                *last = text.get(begin..end).unwrap_or_default();
                start = end;
            }
            continue;
        }
        pieces.push(piece);
        start = end;
    }
    match text.get(start..) {
        Some(rest) if !rest.is_empty() => pieces.push(rest),
        _ => {}
    }
    pieces
}

/// Leaves a sentence out of a text that is being put together; the line or paragraph that it ended still ends.
pub(crate) fn leave_out(kept: &mut String, sentence: &str) {
    let breaks = |text: &str| {
        let space = text.get(text.trim_end().len()..).unwrap_or_default();
        space.bytes().filter(|byte| *byte == b'\n').count()
    };
    if !kept.is_empty() && breaks(sentence) > breaks(kept) {
        kept.truncate(kept.trim_end().len());
        kept.push_str(
            sentence
                .get(sentence.trim_end().len()..)
                .unwrap_or_default(),
        );
    }
}

/// Adds where sentences end within a line that begins at `base`, the line's own end left out.
fn ends_within(line: &str, base: usize, ends: &mut Vec<usize>) {
    let mut chars = line.char_indices().peekable();
    let mut start = 0;
    while let Some((at, end)) = chars.next() {
        if !is_end(end) {
            continue;
        }
        let mut after = at + end.len_utf8();
        while let Some(&(next, c)) = chars.peek() {
            if !is_end(c) && !is_closing(c) {
                break;
            }
            after = next + c.len_utf8();
            chars.next();
        }
        let rest = line.get(after..).unwrap_or_default();
        let next = rest.trim_start();
        let space = rest.len() - next.len();
        if next.is_empty() {
            break;
        }
        let before = line.get(start..at).unwrap_or_default();
        if is_wide(end) || (space > 0 && (end != '.' || stops(before, next))) {
            start = after + space;
            ends.push(base + start);
        }
    }
}

/// Whether a full stop between these ends a sentence.
fn stops(before: &str, next: &str) -> bool {
    if next.chars().next().is_some_and(char::is_lowercase) {
        return false;
    }
    let word = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    // "1. First" at a line's start, and initials as in "J. Doe".
    let number = before.trim() == word && word.bytes().all(|byte| byte.is_ascii_digit());
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    !number
        && !initial
        && !ABBREVIATIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(word))
}

fn is_end(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '؟' | '۔' | '।') || is_wide(c)
}

/// Ends after which no space is written.
fn is_wide(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '．' | '｡')
}

fn is_closing(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '』' | '）' | '】' | '*' | '_'
    )
}
