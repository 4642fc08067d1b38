//! The numbers a simulated model computes besides text: hidden states and logits.

use crate::vocabulary::Vocabulary;

/// The feature that every row has.
const SHARED: u64 = 1;

/// The last hidden layer for each of `ids`, `width` values a row.
///
/// A row adds up hashed features of the words so far, so that texts that share words have similar last rows. Words
/// rather than ids: upper case and a space before a word make no difference. A part that all rows share keeps a text
/// without words from having no direction at all.
pub(crate) fn hidden_states(vocabulary: &Vocabulary, ids: &[i32], width: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(ids.len() * width);
    let mut sum = vec![0.0_f32; width];
    add(&mut sum, SHARED, 0.5);
    let mut before = 0;
    for &id in ids {
        let word = normalised(vocabulary, id);
        if !word.is_empty() {
            let this = hash(0, word.bytes());
            add(&mut sum, this, 1.0);
            add(&mut sum, hash(before, word.bytes()), 0.5);
            before = this;
        }
        rows.extend_from_slice(&sum);
    }
    rows
}

fn normalised(vocabulary: &Vocabulary, id: i32) -> String {
    if vocabulary.is_special(id) {
        return String::new();
    }
    String::from_utf8_lossy(&vocabulary.bytes(id))
        .trim()
        .to_lowercase()
}

/// Adds a feature as a few signed entries, so that unrelated features are nearly orthogonal.
fn add(row: &mut [f32], feature: u64, weight: f32) {
    let width = row.len().max(1) as u64;
    let mut bits = feature;
    for _ in 0..8 {
        bits = mix(bits);
        let sign = if bits & 1 == 0 { weight } else { -weight };
        if let Some(value) = row.get_mut(((bits >> 1) % width) as usize) {
            *value += sign;
        }
    }
}

/// The logits of one step over `vocabulary` ids: low noise, and `chosen` on top.
pub(crate) fn logits(vocabulary: usize, chosen: i32, step: u32) -> Vec<f32> {
    let seed = mix(u64::from(step) << 32 | u64::from(chosen.unsigned_abs()));
    let noise = |id: u64| (mix(seed ^ id) >> 40) as f32 / (1_u64 << 24) as f32;
    let mut logits: Vec<f32> = (0..vocabulary as u64)
        .map(|id| noise(id) * 8.0 - 8.0)
        .collect();
    if let Some(top) = usize::try_from(chosen)
        .ok()
        .and_then(|id| logits.get_mut(id))
    {
        *top = 12.0;
    }
    logits
}

/// A negative id that stands for a row of numbers in the cache: equal rows, equal ids.
pub(crate) fn fingerprint(row: &[f32]) -> i32 {
    let bits = hash(
        1,
        row.iter().flat_map(|value| value.to_bits().to_le_bytes()),
    );
    -1 - (bits >> 33) as i32
}

/// FNV-1a.
fn hash(seed: u64, bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::tests::sample;

    fn last(text: &str) -> Vec<f32> {
        let vocabulary = sample();
        hidden_states(&vocabulary, &vocabulary.encode(text), 256).split_off_last(256)
    }

    trait SplitOffLast {
        fn split_off_last(self, width: usize) -> Vec<f32>;
    }

    impl SplitOffLast for Vec<f32> {
        fn split_off_last(mut self, width: usize) -> Vec<f32> {
            self.split_off(self.len() - width)
        }
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn similar_texts_are_nearer_than_others() {
        let (cats, kittens, cars) = (
            last("the cat is on the mat"),
            last("The cat is on a mat"),
            last("you go by car?"),
        );
        assert!(cosine(&cats, &kittens) > cosine(&cats, &cars) + 0.2);
        assert_eq!(cats, last("the cat is on the mat"));
    }

    #[test]
    fn a_text_without_words_has_a_direction() {
        assert!(last(" \n").iter().any(|value| *value != 0.0));
    }

    #[test]
    fn the_chosen_token_has_the_highest_logit() {
        let logits = logits(100, 42, 3);
        let top = (0..100).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
        assert_eq!((logits.len(), top), (100, Some(42)));
    }

    #[test]
    fn fingerprints_are_negative_and_differ_with_the_numbers() {
        assert!(fingerprint(&[0.5, 0.25]) < 0);
        assert_eq!(fingerprint(&[0.5, 0.25]), fingerprint(&[0.5, 0.25]));
        assert_ne!(fingerprint(&[0.5, 0.25]), fingerprint(&[0.25, 0.5]));
    }
}
