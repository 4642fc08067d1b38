//! Made-up text: words as often as they stand in the documentation, in no order, the same every time.

/// What words are drawn from.
const TEXT: &str = concat!(
    include_str!("../../docs/operations.md"),
    include_str!("../../docs/policies.md"),
    include_str!("../../docs/rkllm.md"),
);

/// Words without end.
pub(crate) struct Words {
    words: Vec<&'static str>,
    random: u64,
}

impl Words {
    /// Each seed but 0 gives other words.
    pub(crate) fn new(seed: u64) -> Self {
        let plain = |word: &&str| {
            word.chars()
                .all(|c| c.is_ascii_alphanumeric() || ",.'".contains(c))
        };
        Self {
            words: TEXT.split_whitespace().filter(plain).collect(),
            random: seed,
        }
    }

    pub(crate) fn word(&mut self) -> &'static str {
        let word = self.number() as usize % self.words.len();
        self.words[word]
    }

    /// Xorshift.
    pub(crate) fn number(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 1
    }
}
