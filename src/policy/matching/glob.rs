//! Globs of names: `*` is any text, `?` one character; case of ASCII letters does not matter.

use std::fmt;

/// A glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(String);

impl Glob {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }

    /// How many characters are not wildcards.
    pub(crate) fn literals(&self) -> usize {
        self.0
            .chars()
            .filter(|char| !matches!(char, '*' | '?'))
            .count()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let (glob, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut read) = (0, 0);
        // Where to go on when the text after the last star does not fit.
        let mut retry = None;
        while let Some(byte) = name.get(read) {
            match glob.get(at) {
                Some(b'*') => {
                    at += 1;
                    retry = Some((at, read));
                }
                Some(b'?') => {
                    at += 1;
                    read += char_len(*byte);
                }
                Some(literal) if *literal == byte.to_ascii_lowercase() => {
                    at += 1;
                    read += 1;
                }
                _ => match retry {
                    Some((after, from)) => {
                        retry = Some((after, from + 1));
                        (at, read) = (after, from + 1);
                    }
                    None => return false,
                },
            }
        }
        glob.get(at..)
            .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
    }

    /// A name that both match.
    pub(crate) fn common(&self, other: &Self) -> Option<String> {
        let (a, b): (Vec<char>, Vec<char>) = (self.0.chars().collect(), other.0.chars().collect());
        let mut dead = vec![false; (a.len() + 1) * (b.len() + 1)];
        let mut name = Vec::new();
        common(&a, &b, &mut name, &mut dead, b.len() + 1).then(|| name.into_iter().collect())
    }

    /// Whether every name that `other` matches is matched by this one, as far as that can be seen by looking: false
    /// does not mean no.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        // Read as a name, the other's stars are characters that only a star of this one can take.
        self.0 == other.0
            || (!self.0.contains('?')
                && !other.0.contains('?')
                && self.matches(&other.0.replace('*', "\u{0}")))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn char_len(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

/// `dead` holds the pairs of positions from which no common name can be reached.
fn common(a: &[char], b: &[char], name: &mut Vec<char>, dead: &mut [bool], width: usize) -> bool {
    let place = a.len() * width + b.len();
    if dead.get(place).copied().unwrap_or(true) {
        return false;
    }
    let length = name.len();
    let found = match (a.split_first(), b.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) if common(rest, b, name, dead, width) => true,
        (_, Some(('*', rest))) if common(a, rest, name, dead, width) => true,
        (Some((x, a_rest)), Some((y, b_rest))) => {
            let (char, a, b) = match (x, y) {
                ('*', '*') => return fail(dead, place),
                ('*', y) => (*y, a, b_rest),
                (x, '*') => (*x, a_rest, b),
                ('?', y) => (*y, a_rest, b_rest),
                (x, '?') => (*x, a_rest, b_rest),
                (x, y) if x == y => (*x, a_rest, b_rest),
                _ => return fail(dead, place),
            };
            name.push(if char == '?' { 'x' } else { char });
            common(a, b, name, dead, width)
        }
        _ => false,
    };
    if !found {
        name.truncate(length);
        return fail(dead, place);
    }
    true
}

fn fail(dead: &mut [bool], place: usize) -> bool {
    if let Some(dead) = dead.get_mut(place) {
        *dead = true;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::Glob;

    #[test]
    fn stars_take_any_text() {
        for (glob, name, fits) in [
            ("qwen3*", "Qwen3-1.7B", true),
            ("*-1.7b", "qwen3-1.7b", true),
            ("qwen3-*", "qwen3", false),
            ("*", "", true),
            ("a*b*c", "a-bb-bc", true),
            ("a*b*c", "a-bb-b", false),
            ("gemma?-*", "gemma3-1b", true),
            ("?", "\u{e9}", true),
            ("", "x", false),
        ] {
            assert_eq!(Glob::new(glob).matches(name), fits, "{glob} {name}");
        }
    }

    #[test]
    fn a_common_name_is_found() {
        let common = |a: &str, b: &str| Glob::new(a).common(&Glob::new(b));
        assert_eq!(common("qwen3*", "*-1.7b").as_deref(), Some("qwen3-1.7b"));
        assert_eq!(common("qwen3-*", "phi*"), None);
        assert_eq!(common("a?c", "*b*").as_deref(), Some("abc"));
    }

    #[test]
    fn a_wider_glob_covers_a_narrower_one() {
        let covers = |a: &str, b: &str| Glob::new(a).covers(&Glob::new(b));
        assert!(covers("qwen*", "qwen3-*") && covers("*", "x") && covers("a*", "a*"));
        assert!(!covers("qwen3-*", "qwen*") && !covers("a*b", "a*"));
    }

    proptest! {
        #[test]
        fn a_common_name_is_matched_by_both(a in "[ab*?]{0,8}", b in "[ab*?]{0,8}") {
            let (a, b) = (Glob::new(&a), Glob::new(&b));
            if let Some(name) = a.common(&b) {
                prop_assert!(a.matches(&name) && b.matches(&name), "{name}");
            }
        }

        #[test]
        fn a_name_that_both_match_is_never_overlooked(a in "[ab*?]{0,6}", b in "[ab*?]{0,6}", name in "[ab]{0,6}") {
            let (a, b) = (Glob::new(&a), Glob::new(&b));
            if a.matches(&name) && b.matches(&name) {
                prop_assert!(a.common(&b).is_some());
            }
        }

        #[test]
        fn what_is_covered_is_matched(a in "[ab*]{0,6}", b in "[ab*]{0,6}", name in "[ab]{0,6}") {
            let (a, b) = (Glob::new(&a), Glob::new(&b));
            if a.covers(&b) && b.matches(&name) {
                prop_assert!(a.matches(&name));
            }
        }
    }
}
