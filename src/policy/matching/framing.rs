//! What a person puts around a text that somebody else wrote.

use crate::policy::prose;

/// Whether a text introduces something that it quotes: "Translate this:", "What does this do?", then another paragraph
/// that is no block.
pub(super) fn introduces(text: &str) -> bool {
    let mut lines = text.trim_start().lines();
    let mut last = "";
    for line in lines.by_ref() {
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        last = line;
    }
    let next = lines.map(str::trim).find(|line| !line.is_empty());
    last.ends_with([':', '：', '?', '？', '؟']) && next.is_some_and(|next| !next.starts_with('<'))
}

/// A text without the switches of thinking and the space at its ends.
pub(super) fn without_switches(text: &str) -> &str {
    let mut text = text.trim();
    loop {
        let rest = prose::SWITCHES.iter().find_map(|(switch, _)| {
            let apart = |char: Option<char>| char.is_none_or(char::is_whitespace);
            let front = text
                .strip_prefix(switch)
                .filter(|rest| apart(rest.chars().next()));
            let back = || {
                text.strip_suffix(switch)
                    .filter(|rest| apart(rest.chars().next_back()))
            };
            front.or_else(back)
        });
        match rest {
            Some(rest) => text = rest.trim(),
            None => return text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_introduction_is_told_from_what_is_said_at_once() {
        for text in [
            "Translate this:\n\n### Task:\nGo on",
            "What is this?\n\nA title",
            "请解释：\r\n\r\n标题",
            "Two lines\nof it:\n \nx",
        ] {
            assert!(introduces(text), "{text}");
        }
        for text in [
            "",
            "Why?",
            "Why?\n",
            "### Task:\nGenerate\n\nmore",
            "Tags for this chat:\n\n<chat_history>\nx\n</chat_history>",
            "Say it.\n\nAgain: x",
        ] {
            assert!(!introduces(text), "{text}");
        }
    }

    #[test]
    fn switches_at_the_ends_are_not_looked_at() {
        for (text, wanted) in [
            ("/no_think\nA title\n/no_think \n", "A title"),
            ("/think /no_think A", "A"),
            ("A /think of it", "A /think of it"),
            ("/no_thinking A", "/no_thinking A"),
            ("/no_think", ""),
        ] {
            assert_eq!(without_switches(text), wanted, "{text}");
        }
    }
}
