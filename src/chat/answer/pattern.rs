//! Finding fixed strings in text that arrives in pieces.

/// The first of `patterns` in `text`: where it begins and which one it is.
///
/// Meant for patterns of which none overlaps another (tags), so that "first" has one meaning.
pub(super) fn first_match<'p>(
    text: &str,
    patterns: impl Iterator<Item = &'p str>,
) -> Option<(usize, &'p str)> {
    patterns
        .filter_map(|pattern| text.find(pattern).map(|at| (at, pattern)))
        .min_by_key(|(at, _)| *at)
}

/// Where the longest end of `text` begins that could grow into one of `patterns`; `text.len()` if there is none.
///
/// What stands before this place can be let go; the rest is shorter than the longest pattern.
pub(super) fn open_end<'p>(text: &str, patterns: impl Iterator<Item = &'p str> + Clone) -> usize {
    let longest = patterns.clone().map(str::len).max().unwrap_or(0);
    let earliest = (text.len() + 1).saturating_sub(longest);
    (earliest..text.len())
        .find(|&at| {
            // Inside a character there is no place to cut.
            text.get(at..)
                .is_some_and(|end| patterns.clone().any(|pattern| pattern.starts_with(end)))
        })
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_is_the_leftmost() {
        let tags = ["</b>", "</a>"];
        assert_eq!(
            first_match("x</a></b>", tags.into_iter()),
            Some((1, "</a>"))
        );
        assert_eq!(first_match("x</c>", tags.into_iter()), None);
    }

    #[test]
    fn an_open_end_is_the_longest_beginning_of_a_pattern() {
        let patterns = ["abab!", "◁x▷"];
        assert_eq!(open_end("xabab", patterns.into_iter()), 1);
        assert_eq!(open_end("xabac", patterns.into_iter()), 5);
        assert_eq!(open_end("é◁", patterns.into_iter()), 2);
        assert_eq!(open_end("", patterns.into_iter()), 0);
        assert_eq!(open_end("abc", [].into_iter()), 3);
    }

    #[test]
    fn a_whole_pattern_is_no_open_end() {
        assert_eq!(open_end("ab", ["ab"].into_iter()), 2);
    }
}
