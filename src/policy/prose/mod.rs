//! Text as the rewrite stages read it: sentences and what they carry, marked blocks, words, and how long it is.

mod blocks;
mod cut;
mod sentences;
mod switches;
mod tokens;
mod weight;
mod words;

pub(crate) use blocks::{blocks, outer_block};
pub(crate) use cut::{cut, cut_middle, in_fence};
pub(crate) use sentences::{leave_out, sentences};
pub(crate) use switches::{SWITCHES, without_switches};
pub(crate) use tokens::tokens;
pub(crate) use weight::{Padding, carries};
pub(crate) use words::{keys, name_keys, word_key, words};

#[cfg(test)]
mod tests;
