//! The beginning of a text that somebody else chose, for places that keep or repeat it: one request must not take the
//! memory of thousands.

use std::borrow::Cow;

/// Characters of a name: more than any model, conversation or user has.
const NAME: usize = 200;
/// Characters of a message: the longest of our own, with the names of the models that are known, has fewer.
const MESSAGE: usize = 4000;
/// Stands for the rest.
const REST: &str = "...";

/// A name as it is told.
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    beginning(text, NAME)
}

/// A message as it is told.
pub(crate) fn message(text: &str) -> Cow<'_, str> {
    beginning(text, MESSAGE)
}

fn beginning(text: &str, most: usize) -> Cow<'_, str> {
    let end = text.char_indices().nth(most).map(|(at, _)| at);
    match end.and_then(|end| text.get(..end)) {
        Some(beginning) => format!("{beginning}{REST}").into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_long_is_cut_and_never_within_a_character() {
        for text in ["", "qwen3-1.7b", &"ö".repeat(NAME)] {
            assert_eq!(name(text), text);
        }
        let expected = "ö".repeat(NAME) + REST;
        assert_eq!(name(&"ö".repeat(NAME + 1)), expected);
        assert_eq!(name(&"ö".repeat(1 << 20)), expected);
        assert_eq!(message(&"x".repeat(1 << 20)).len(), MESSAGE + REST.len());
    }
}
