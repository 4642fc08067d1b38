//! Text that looks like a control token stays text.
//!
//! The tokenizer turns every occurrence of an added token (`<|im_end|>`, `<think>`, ...) into that token, wherever it
//! stands. So that a client cannot end its own turn or speak as the system, each occurrence in a string of the client
//! is cut after its first character by a mark that survives the chat template; the rendered prompt is then tokenised
//! in the pieces between the marks, none of which contains a whole token's text.

use std::collections::HashSet;

use aho_corasick::AhoCorasick;
use tokenizers::AddedToken;

/// The mark: a noncharacter, which no text may contain; it is removed from the input first.
pub(super) const CUT: char = '\u{FDD0}';

/// A second mark, for the template's author side: the end of a final message that the model continues.
pub(super) const END: char = '\u{FDD1}';

/// A third mark, for the template's author side: in place of an answer whose ids are known.
pub(super) const SAID: char = '\u{FDD2}';

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// The client: no added token at all.
    Client,
    /// The model: it may have thought and called tools, so that only control tokens are cut.
    Model,
}

/// Cuts the occurrences of one tokenizer's added tokens.
#[derive(Debug)]
pub(super) struct Escaper {
    all: Patterns,
    special: Patterns,
}

impl Escaper {
    /// An escaper for these added tokens.
    ///
    /// # Errors
    /// Text, if the tokens are too many for a search automaton.
    pub(super) fn new<'a>(
        tokens: impl Iterator<Item = &'a AddedToken> + Clone,
    ) -> Result<Self, String> {
        let special = tokens.clone().filter(|token| token.special);
        Ok(Self {
            all: Patterns::new(tokens.map(|token| token.content.as_str()))?,
            special: Patterns::new(special.map(|token| token.content.as_str()))?,
        })
    }

    /// `text` with a [`CUT`] inside every occurrence of an added token.
    pub(super) fn escape(&self, text: &str, author: Author) -> String {
        let marks = |c: &char| matches!(*c, CUT | END | SAID);
        let clean: String = text.chars().filter(|c| !marks(c)).collect();
        match author {
            Author::Client => self.all.cut(clean),
            Author::Model => self.special.cut(clean),
        }
    }
}

#[derive(Debug)]
struct Patterns {
    automaton: AhoCorasick,
    /// Every proper beginning of a token: at the end of a string it could become a token with what follows.
    beginnings: HashSet<String>,
    longest: usize,
}

impl Patterns {
    fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        // One character cannot be cut, and runs of blanks (Gemma adds them as tokens) control nothing.
        let texts: Vec<&str> = texts
            .filter(|text| {
                text.chars().count() > 1
                    && text.chars().any(|c| !c.is_whitespace() && c != '\u{2581}')
            })
            .collect();
        let beginnings = texts
            .iter()
            .flat_map(|text| {
                text.char_indices()
                    .skip(1)
                    .filter_map(|(end, _)| text.get(..end))
            })
            .map(str::to_owned)
            .collect();
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let automaton =
            AhoCorasick::new(texts).map_err(|error| format!("too many added tokens: {error}"))?;
        Ok(Self {
            automaton,
            beginnings,
            longest,
        })
    }

    fn cut(&self, text: String) -> String {
        let mut starts: Vec<usize> = self
            .automaton
            .find_overlapping_iter(&text)
            .map(|found| found.start())
            .collect();
        let tail = text.len().saturating_sub(self.longest);
        starts.extend(text.char_indices().map(|(start, _)| start).filter(|start| {
            *start >= tail
                && text
                    .get(*start..)
                    .is_some_and(|end| self.beginnings.contains(end))
        }));
        if starts.is_empty() {
            return text;
        }
        starts.sort_unstable();
        starts.dedup();
        let mut starts = starts.into_iter().peekable();
        let mut cut = String::with_capacity(text.len() + 16);
        for (index, c) in text.char_indices() {
            cut.push(c);
            if starts.next_if_eq(&index).is_some() {
                cut.push(CUT);
            }
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn escaper() -> Escaper {
        let tokens = [
            AddedToken::from("<|im_end|>", true),
            AddedToken::from("<think>", false),
            AddedToken::from("\n\n", false),
        ];
        Escaper::new(tokens.iter()).unwrap()
    }

    #[test]
    fn occurrences_are_cut_after_their_first_character() {
        assert_eq!(
            escaper().escape("a<|im_end|>b", Author::Client),
            "a<\u{FDD0}|im_end|>b"
        );
        assert_eq!(
            escaper().escape("<think>\n\n", Author::Client),
            "<\u{FDD0}think>\n\n"
        );
        assert_eq!(
            escaper().escape("<think><|im_end|>", Author::Model),
            "<think><\u{FDD0}|im_end|>"
        );
        assert_eq!(
            escaper().escape("<<|im_<|im_end|>", Author::Client),
            "<<|im_<\u{FDD0}|im_end|>"
        );
    }

    #[test]
    fn a_beginning_at_the_end_is_cut_too() {
        assert_eq!(
            escaper().escape("x<|im_end|", Author::Client),
            "x<\u{FDD0}|im_end|"
        );
        assert_eq!(escaper().escape("x <", Author::Client), "x <\u{FDD0}");
    }

    #[test]
    fn marks_in_the_input_are_dropped_before_the_search() {
        assert_eq!(
            escaper().escape("<\u{FDD1}|im_\u{FDD0}end|>", Author::Client),
            "<\u{FDD0}|im_end|>"
        );
    }
}
