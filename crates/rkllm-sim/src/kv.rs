//! The key-value cache of one sequence.

/// What the cache holds, as token ids. Rows that are no tokens (embeddings, images) are negative fingerprints.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kv {
    pub(crate) tokens: Vec<i32>,
    /// How many of the first tokens are the template's system part.
    pub(crate) system: usize,
}

impl Kv {
    /// How much of the cache a prompt can use. The last token of a prompt is always computed: the answer begins there.
    pub(crate) fn matching(&self, prompt: &[i32]) -> usize {
        let common = self
            .tokens
            .iter()
            .zip(prompt)
            .take_while(|(cached, new)| cached == new)
            .count();
        common.min(prompt.len().saturating_sub(1))
    }

    /// Keeps the first `length` tokens.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.tokens.truncate(length);
        self.system = self.system.min(self.tokens.len());
    }

    /// Removes `start..end`, as far as the cache holds it.
    pub(crate) fn remove(&mut self, start: usize, end: usize) {
        let end = end.min(self.tokens.len());
        if start < end {
            self.tokens.drain(start..end);
            self.system = self.system.min(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_common_prefix_is_used_but_for_the_last_token() {
        let kv = Kv {
            tokens: vec![1, 2, 3, 4],
            system: 0,
        };
        assert_eq!(kv.matching(&[1, 2, 9, 4]), 2);
        assert_eq!(kv.matching(&[1, 2, 3, 4]), 3);
        assert_eq!(kv.matching(&[1, 2, 3, 4, 5]), 4);
        assert_eq!(kv.matching(&[]), 0);
    }

    #[test]
    fn removing_keeps_what_is_outside_the_range() {
        let mut kv = Kv {
            tokens: vec![1, 2, 3, 4],
            system: 2,
        };
        kv.remove(1, 3);
        assert_eq!((kv.tokens.as_slice(), kv.system), ([1, 4].as_slice(), 1));
        kv.remove(1, 99);
        kv.remove(5, 6);
        assert_eq!(kv.tokens, [1]);
    }
}
