//! Cutting texts short where it hurts least.

use super::without_switches;

const FENCE: &str = "```";
const OPENING: &str = "```\n";
const CLOSING: &str = "\n```";

/// The beginning of a text with a mark behind it, together at most `max` characters; `None` where the text is not
/// longer than that. Cut at a sentence's end if one lies in the second half, else between words. A code fence that the
/// cut leaves open is closed.
pub(crate) fn cut(text: &str, max: usize, mark: &str) -> Option<String> {
    let beyond = text.char_indices().nth(max)?.0;
    let room = max.saturating_sub(mark.chars().count() + CLOSING.len());
    let end = text.char_indices().nth(room).map_or(beyond, |(at, _)| at);
    let head = text.get(..end)?;
    let mut kept = head
        .get(..good_end(head))
        .unwrap_or(head)
        .trim_end()
        .to_owned();
    if in_fence(&kept) {
        kept.push_str(CLOSING);
    }
    kept.push_str(mark);
    // A mark that is longer than what is allowed leaves nothing to say.
    Some(match kept.char_indices().nth(max) {
        Some((at, _)) => kept.get(..at)?.to_owned(),
        None => kept,
    })
}

/// As [`cut`], but what goes is the middle; the mark has lines of its own. What stood in a code fence stands in one still,
/// or the rest would be read for what it is not. Nor does the cut make a switch of thinking of a word that stood within a
/// sentence.
pub(crate) fn cut_middle(text: &str, max: usize, mark: &str) -> Option<String> {
    let count = text.chars().count();
    if count <= max {
        return None;
    }
    let fences = if text.contains(FENCE) {
        CLOSING.len() + OPENING.len()
    } else {
        0
    };
    let room = max.saturating_sub(mark.chars().count() + fences);
    let (front, back) = (room - room / 2, room / 2);
    let head = text
        .char_indices()
        .nth(front)
        .map_or(text, |(at, _)| text.get(..at).unwrap_or_default());
    let head = head.get(..good_end(head)).unwrap_or(head);
    let tail = text
        .char_indices()
        .nth(count - back)
        .map_or("", |(at, _)| text.get(at..).unwrap_or_default());
    // The tail begins with a whole line or word.
    let begin = tail
        .find('\n')
        .or_else(|| tail.find(' '))
        .filter(|at| *at < tail.len() / 2);
    let tail = begin.and_then(|at| tail.get(at + 1..)).unwrap_or(tail);
    let head = head.trim_end();
    let closed = if in_fence(head) { CLOSING } else { "" };
    // Read from its beginning, it ends in code where the whole ends in prose, or the other way round.
    let within = !tail.is_empty() && in_fence(tail) != in_fence(text);
    let opened = if within { OPENING } else { "" };
    let kept = format!("{head}{closed}{mark}{opened}{tail}");
    Some(match without_switches(&kept) {
        Some((fewer, _)) if without_switches(text).is_none() => fewer,
        _ => kept,
    })
}

/// Where the text is best cut: behind the last sentence, or the last word, of its second half.
fn good_end(text: &str) -> usize {
    let half = text.len() / 2;
    let mut sentence = None;
    let mut word = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if at < half {
            continue;
        }
        let after = at + c.len_utf8();
        let space = chars.peek().is_none_or(|(_, next)| next.is_whitespace());
        if matches!(c, '。' | '！' | '？' | '\n') || (space && matches!(c, '.' | '!' | '?' | '…'))
        {
            sentence = Some(after);
        }
        if c.is_whitespace() {
            word = Some(at);
        }
    }
    sentence.or(word).unwrap_or(text.len())
}

/// Whether a text leaves a code fence open.
pub(crate) fn in_fence(text: &str) -> bool {
    let fences = text
        .lines()
        .filter(|line| line.trim_start().starts_with(FENCE));
    fences.count() % 2 == 1
}
