//! Where JSON strings hold more than plain text: quotation marks, backslashes, control characters.
//!
//! Conversations are long strings with something special every twenty bytes. To look at many bytes at once and to copy
//! blocks of a fixed size, whose end is written over, takes half the time of going from one special byte to the next.

use wide::u8x16;

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 64;
/// A block and as much behind it, so that a copy of a block's size may begin anywhere in it.
pub(super) const WINDOW: usize = 2 * BLOCK;

/// The part of a text that begins at some place.
#[derive(Debug)]
pub(super) struct Window<'a> {
    bytes: &'a [u8; WINDOW],
}

impl<'a> Window<'a> {
    /// The window at `start`; `None` at the end of the text. What is behind the end are spaces, which are never special.
    #[inline]
    pub(super) fn at(text: &'a [u8], start: usize, padding: &'a mut [u8; WINDOW]) -> Option<Self> {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let bytes = match rest.first_chunk() {
            Some(bytes) => bytes,
            None => {
                let (end, behind) = padding.split_at_mut_checked(rest.len())?;
                end.copy_from_slice(rest);
                behind.fill(b' ');
                padding
            }
        };
        Some(Self { bytes })
    }

    /// One bit for each byte of the block from `from` on, set where the byte is special.
    #[inline]
    pub(super) fn specials(&self, from: usize) -> u64 {
        let (parts, _) = self.bytes.as_chunks::<16>();
        let parts = parts.iter().take(BLOCK / 16).enumerate();
        let bits = parts.fold(0, |bits, (index, part)| {
            let part = u8x16::new(*part);
            let special = part.simd_eq(u8x16::splat(b'"'))
                | part.simd_eq(u8x16::splat(b'\\'))
                | part.min(u8x16::splat(0x1f)).simd_eq(part);
            bits | u64::from(special.to_bitmask()) << (index * 16)
        });
        bits & from_place(from)
    }

    /// The byte at a place of the block.
    #[inline]
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// As many bytes as a block has, from a place of the block on.
    #[inline]
    pub(super) fn block(&self, from: usize) -> Option<&[u8; BLOCK]> {
        self.bytes.get(from..)?.first_chunk()
    }
}

/// The bits of all places from `from` on; none for places behind the block.
#[inline]
pub(super) fn from_place(from: usize) -> u64 {
    u32::try_from(from)
        .ok()
        .and_then(|from| u64::MAX.checked_shl(from))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_special_byte_of_a_block_has_its_bit(bytes in prop::collection::vec(any::<u8>(), 1..200), start in 0_usize..200, from in 0..2 * BLOCK) {
            let mut padding = [b'\\'; WINDOW];
            let window = Window::at(&bytes, start, &mut padding);
            prop_assert_eq!(window.is_some(), start < bytes.len());
            let Some(window) = window else { return Ok(()) };
            let bits = window.specials(from);
            for place in 0..BLOCK {
                let special = bytes.get(start + place).is_some_and(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
                prop_assert_eq!(bits >> place & 1 == 1, special && place >= from);
            }
        }
    }
}
