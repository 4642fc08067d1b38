//! Choices that look free but depend on the prompt and the sampling values alone.

use super::conversation::Conversation;
use crate::Sampling;

/// A source of choices. Each is named, so that one more choice does not change the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance(u64);

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn fnv(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, &byte| {
        (state ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    })
}

impl Chance {
    /// The choices of a model that reads `conversation`. What it has already said of its answer does not count, so
    /// that a continued answer goes on as it would have.
    pub(crate) fn of(conversation: &Conversation, sampling: &Sampling) -> Self {
        let mut state = fnv(FNV_OFFSET, conversation.before_answer.as_bytes());
        for value in [
            sampling.top_p,
            sampling.temperature,
            sampling.repeat_penalty,
            sampling.frequency_penalty,
            sampling.presence_penalty,
        ] {
            state = fnv(state, &value.to_bits().to_le_bytes());
        }
        Self(fnv(state, &sampling.top_k.to_le_bytes()))
    }

    /// A number below `bound`, the same for the same `name`; 0 if `bound` is 0.
    pub(crate) fn below(&self, name: &str, bound: usize) -> usize {
        let mut mixed = fnv(self.0, name.as_bytes());
        // FNV's low bits are weak: mix the high ones in.
        mixed ^= mixed >> 33;
        mixed = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^= mixed >> 33;
        let bound = bound as u64;
        mixed.checked_rem(bound).unwrap_or(0) as usize
    }

    /// One of `choices`.
    pub(crate) fn pick<'a>(&self, name: &str, choices: &[&'a str]) -> &'a str {
        choices
            .get(self.below(name, choices.len()))
            .copied()
            .unwrap_or_default()
    }

    /// `choices` in an order of their own.
    pub(crate) fn shuffled<'a>(&self, name: &str, choices: &[&'a str]) -> Vec<&'a str> {
        let mut left = choices.to_vec();
        let mut order = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let at = self.below(&format!("{name} {}", left.len()), left.len());
            order.push(left.swap_remove(at));
        }
        order
    }

    #[cfg(test)]
    pub(crate) fn fixed() -> Self {
        Self(FNV_OFFSET)
    }
}
