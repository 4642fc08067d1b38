//! How many tokens a text is likely to have, without a tokenizer.

/// What a byte counts for in tokens: small letters and spaces share tokens, a digit is one of its own in most of today's
/// vocabularies, capitals and punctuation about half a one, and a byte of another script two fifths, which is more than
/// one token for an ideograph or an emoji.
const CAPITAL: f32 = 0.55;
const OTHER_SCRIPT: f32 = 0.4;
/// Vocabularies that do not know a script spell it byte by byte. That shows in what was learned of a model: below this
/// many characters per token, other scripts count for more.
const USUAL: f32 = 3.6;
/// Vocabularies know English words best. A text with other letters among its words has shorter tokens by so much.
const FOREIGN: f32 = 0.7;
/// One other byte to so many letters makes a text foreign; quotation marks and dashes are rarer.
const FOREIGN_SHARE: usize = 60;

/// Tokens of a text, estimated with care: rather too many than too few. `chars_per_token` is what ordinary text has.
/// Not rounded, so that the sum over many short texts does not grow by that.
pub(crate) fn tokens(text: &str, chars_per_token: f32) -> f32 {
    let (mut letters, mut digits, mut ascii) = (0_usize, 0_usize, 0_usize);
    // Sums of bytes in short runs, which compilers turn into vector code.
    for run in text.as_bytes().chunks(128) {
        let (mut l, mut d, mut a) = (0_u8, 0_u8, 0_u8);
        for &byte in run {
            l += u8::from(byte.is_ascii_lowercase() | (byte == b' '));
            d += u8::from(byte.is_ascii_digit());
            a += u8::from(byte.is_ascii());
        }
        letters += usize::from(l);
        digits += usize::from(d);
        ascii += usize::from(a);
    }
    let other = text.len() - ascii;
    let foreign = other * FOREIGN_SHARE > letters;
    let per_token = chars_per_token.max(0.5) * if foreign { FOREIGN } else { 1.0 };
    let unknown = (USUAL / chars_per_token.max(0.1)).clamp(1.0, 1.0 / OTHER_SCRIPT);
    letters as f32 / per_token
        + digits as f32
        + (ascii - letters - digits) as f32 * CAPITAL
        + other as f32 * OTHER_SCRIPT * unknown
}
