//! JSON strings with escapes.

use std::ops::Range;

use simdutf8::basic::from_utf8;

use super::special::{BLOCK, WINDOW, Window, from_place};

/// What becomes of a string as it is gone through. `None` ends it: it is no valid string.
trait Sink {
    /// A part of the window's block that stands for itself.
    fn plain(&mut self, window: &Window<'_>, part: Range<usize>) -> Option<()>;

    /// An escape; `text` begins behind its backslash. Returns how long it is.
    fn escape(&mut self, text: &[u8]) -> Option<usize>;
}

/// Goes through a string whose opening quotation mark stands before `text`. Returns the place behind its closing mark.
#[inline]
fn walk(text: &[u8], sink: &mut impl Sink) -> Option<usize> {
    // Where the block begins, and what of it has been gone through.
    let (mut start, mut through) = (0, 0);
    let mut padding = [0; WINDOW];
    loop {
        let window = Window::at(text, start, &mut padding)?;
        let mut specials = window.specials(through);
        while specials != 0 {
            let special = specials.trailing_zeros() as usize;
            sink.plain(&window, through..special)?;
            match window.byte(special)? {
                b'"' => return Some(start + special + 1),
                b'\\' => {
                    let behind = special + 1;
                    through = behind + sink.escape(text.get(start + behind..)?)?;
                    specials &= from_place(through);
                }
                // Control characters have to be escaped.
                _ => return None,
            }
        }
        if through < BLOCK {
            sink.plain(&window, through..BLOCK)?;
        }
        through = through.saturating_sub(BLOCK);
        start += BLOCK;
    }
}

/// Passes over a string as [`walk`] does; what escapes stand for is not looked at.
pub(super) fn skip(text: &[u8]) -> Option<usize> {
    struct Nothing;

    impl Sink for Nothing {
        fn plain(&mut self, _: &Window<'_>, _: Range<usize>) -> Option<()> {
            Some(())
        }

        fn escape(&mut self, text: &[u8]) -> Option<usize> {
            text.first().map(|_| 1)
        }
    }

    walk(text, &mut Nothing)
}

/// Reads strings. What they stand for is put together in one buffer, so that each grows none of its own.
#[derive(Debug, Default)]
pub(super) struct Unescaper {
    /// Longer than what is in it, so that whole blocks can be written at its end.
    buffer: Vec<u8>,
    length: usize,
}

impl Unescaper {
    /// Reads a string as [`walk`] does, and returns what it stands for as well.
    pub(super) fn read(&mut self, text: &[u8]) -> Option<(String, usize)> {
        self.length = 0;
        let end = walk(text, self)?;
        let read = from_utf8(self.buffer.get(..self.length)?).ok()?;
        Some((read.to_owned(), end))
    }
}

impl Sink for Unescaper {
    #[inline]
    fn plain(&mut self, window: &Window<'_>, part: Range<usize>) -> Option<()> {
        const HALF: usize = BLOCK / 2;
        // What is written here, and an escape behind it.
        let needed = self.length + BLOCK + char::MAX.len_utf8();
        if self.buffer.len() < needed {
            self.buffer.resize(2 * needed, 0);
        }
        let (block, room) = (
            window.block(part.start)?,
            self.buffer.get_mut(self.length..)?,
        );
        room.first_chunk_mut::<HALF>()?
            .copy_from_slice(block.first_chunk::<HALF>()?);
        if part.len() > HALF {
            let room = room.first_chunk_mut::<BLOCK>()?.last_chunk_mut::<HALF>()?;
            room.copy_from_slice(block.last_chunk::<HALF>()?);
        }
        self.length += part.len();
        Some(())
    }

    #[inline]
    fn escape(&mut self, text: &[u8]) -> Option<usize> {
        let room = self.buffer.get_mut(self.length..)?.first_chunk_mut::<4>()?;
        let (written, taken) = match SHORT.get(usize::from(*text.first()?)) {
            Some(0) | None => {
                let (char, taken) = unicode(text)?;
                (char.encode_utf8(room).len(), taken)
            }
            Some(byte) => {
                room[0] = *byte;
                (1, 1)
            }
        };
        self.length += written;
        Some(taken)
    }
}

/// What a backslash and one character stand for; 0 for what is no such escape.
const SHORT: [u8; 128] = {
    let mut table = [0; 128];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'/' as usize] = b'/';
    table[b'b' as usize] = 0x08;
    table[b'f' as usize] = 0x0c;
    table[b'n' as usize] = b'\n';
    table[b'r' as usize] = b'\r';
    table[b't' as usize] = b'\t';
    table
};

/// `uXXXX`, or two of them that stand for one character.
#[cold]
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    if bytes.first() != Some(&b'u') {
        return None;
    }
    let unit = |at: usize| -> Option<u32> {
        let digits = bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit << 4 | char::from(*digit).to_digit(16)?)
        })
    };
    let first = unit(1)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 5));
    }
    let second = unit(7)
        .filter(|second| bytes.get(5..7) == Some(br"\u") && (0xdc00..0xe000).contains(second))?;
    let char = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Some((char::from_u32(char)?, 11))
}
