//! Writing JSON without intermediate values.

use std::ops::Range;

use bytes::BufMut;
use serde::Serialize;

use super::special::{BLOCK, WINDOW, Window};

/// Appends `value` as JSON.
pub(super) fn write<T: Serialize + ?Sized>(out: &mut impl BufMut, value: &T) {
    let written = serde_json::to_writer(out.writer(), value);
    // Memory takes any number of bytes, and no type of this room has a map with keys that are no strings.
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Appends a long text as [`write`] does.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    let text = text.as_bytes();
    out.push(b'"');
    let (mut start, mut padding) = (0, [0; WINDOW]);
    while let Some(window) = Window::at(text, start, &mut padding) {
        let mut specials = window.specials(0);
        let mut through = 0;
        while specials != 0 {
            let special = specials.trailing_zeros() as usize;
            plain(out, &window, through..special);
            escape(out, window.byte(special).unwrap_or_default());
            through = special + 1;
            specials &= specials - 1;
        }
        plain(out, &window, through..BLOCK.min(text.len() - start));
        start += BLOCK;
    }
    out.push(b'"');
}

/// Appends a part of the window's block. Copies of a fixed size that are cut short are faster than exact ones.
#[inline]
fn plain(out: &mut Vec<u8>, window: &Window<'_>, part: Range<usize>) {
    let length = out.len() + part.len();
    if let Some(block) = window.block(part.start) {
        match block.first_chunk::<{ BLOCK / 2 }>() {
            Some(half) if part.len() <= half.len() => out.extend_from_slice(half),
            _ => out.extend_from_slice(block),
        }
    }
    out.truncate(length);
}

#[inline]
fn escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        8 => b'b',
        12 => b'f',
        _ => return out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_written_as_serde_json_writes_them(text in r#"([ -~]{0,40}|["\\é🙂\x00-\x1f\x7f]){0,12}"#) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            write_text(&mut ours, &text);
            write(&mut theirs, &text);
            prop_assert_eq!(ours, theirs);
        }
    }
}
