//! Tokens to text: whole characters only.

/// Joins the bytes of tokens until they are whole characters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    held: Vec<u8>,
}

impl Pieces {
    /// Adds a token's bytes. The text so far held back and not yet given, or nothing while its last character is
    /// incomplete. Bytes that can never become UTF-8 are given as they are.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.held.extend_from_slice(bytes);
        if ends_inside_character(&self.held) {
            None
        } else {
            Some(std::mem::take(&mut self.held))
        }
    }
}

fn ends_inside_character(bytes: &[u8]) -> bool {
    let tail = bytes.len().saturating_sub(3);
    // A character has at most four bytes: only the last three can begin one that is not yet whole.
    (tail..bytes.len()).any(|from| {
        bytes.get(from..).is_some_and(|rest| {
            matches!(std::str::from_utf8(rest), Err(error) if error.valid_up_to() == 0 && error.error_len().is_none())
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_incomplete_character_waits_for_its_rest() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.push(b"a"), Some(b"a".to_vec()));
        assert_eq!(pieces.push(b"b\xF0\x9F"), None);
        assert_eq!(pieces.push(b"\x98"), None);
        assert_eq!(
            pieces.push(b"\x80!"),
            Some("b\u{1F600}!".as_bytes().to_vec())
        );
    }

    #[test]
    fn bytes_that_never_become_text_do_not_hold_up_the_rest() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.push(b"\xFFa"), Some(b"\xFFa".to_vec()));
        assert_eq!(pieces.push(b"\x80"), Some(b"\x80".to_vec()));
    }

    proptest! {
        #[test]
        fn any_split_of_any_text_gives_whole_characters_and_the_same_text(
            text in "\\PC{0,40}",
            cuts in proptest::collection::vec(0_usize..200, 0..40),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut pieces = Pieces::default();
            let mut joined = String::new();
            for pair in cuts.windows(2) {
                if let Some(piece) = pieces.push(&text.as_bytes()[pair[0]..pair[1]]) {
                    joined.push_str(&String::from_utf8(piece).unwrap());
                }
            }
            prop_assert_eq!(joined, text);
        }
    }
}
