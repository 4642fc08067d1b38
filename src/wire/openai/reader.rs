//! Reading JSON of a known shape in one pass, with the places where its parts stand.
//!
//! Conversations are long strings, and serde_json goes through them once to find their ends and once more to read
//! them. Whatever is odd here has no value (`None`), and is left to serde_json, which says what is wrong with it.

use std::{borrow::Cow, ops::Range};

use serde_json::Value;

/// A text and how far it has been read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// For strings with escapes; kept, so that each grows no buffer of its own.
    unescaped: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            unescaped: Vec::new(),
        }
    }

    /// What the next value begins with.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Nothing but white space may be left.
    pub(super) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Reads an object: `member` gets each name with its quoted place, and reads the value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>, Range<usize>) -> Option<()>,
    ) -> Option<()> {
        self.eat(b'{')?;
        if self.eat(b'}').is_some() {
            return Some(());
        }
        loop {
            let (name, place) = self.placed(Self::string)?;
            self.eat(b':')?;
            member(self, name, place)?;
            if self.eat(b',').is_none() {
                return self.eat(b'}');
            }
        }
    }

    /// Reads a list: `element` reads each value.
    pub(super) fn list(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.eat(b'[')?;
        if self.eat(b']').is_some() {
            return Some(());
        }
        loop {
            element(self)?;
            if self.eat(b',').is_none() {
                return self.eat(b']');
            }
        }
    }

    /// Reads with `read` and says where what was read stands.
    pub(super) fn placed<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<(T, Range<usize>)> {
        self.peek()?;
        let start = self.at;
        let value = read(self)?;
        Some((value, start..self.at))
    }

    /// Reads any value.
    pub(super) fn value(&mut self) -> Option<Value> {
        if self.peek()? == b'"' {
            return self.string().map(|text| Value::String(text.into_owned()));
        }
        let rest = self.text.get(self.at..)?;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }

    /// Reads a string.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.eat(b'"')?;
        let rest = self.text.get(self.at..)?;
        let plain = plain_length(rest.as_bytes());
        if rest.as_bytes().get(plain) == Some(&b'"') {
            self.at += plain + 1;
            return rest.get(..plain).map(Cow::Borrowed);
        }
        // No escape is shorter than what it stands for, so there is always room.
        if self.unescaped.len() < rest.len() {
            self.unescaped.resize(rest.len(), 0);
        }
        let (read, written) = unescape(rest.as_bytes(), &mut self.unescaped)?;
        self.at += read;
        let text = std::str::from_utf8(self.unescaped.get(..written)?).ok()?;
        Some(Cow::Owned(text.to_owned()))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }
}

/// Looks at eight bytes at a time: marks the lowest place with a quotation mark, a backslash or a control character,
/// and perhaps some above it. In a word minus a byte in each place, the lowest place that borrowed is one that held less
/// than that byte.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (equal(word, b'"') | equal(word, b'\\') | below(word, 0x20)) & HIGHS
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | ..0x20)
}

/// Bytes before the first quotation mark, backslash or control character.
fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let tail = rest.iter().position(|byte| is_special(*byte));
    bytes.len() - rest.len() + tail.unwrap_or(rest.len())
}

/// Writes a string without its escapes, up to its end. Returns how much was read, the closing quotation mark included, and
/// how much was written.
fn unescape(bytes: &[u8], to: &mut [u8]) -> Option<(usize, usize)> {
    let (mut read, mut written) = (0, 0);
    loop {
        // Whole words are copied, whatever of them counts.
        if let Some(word) = bytes.get(read..).and_then(<[u8]>::first_chunk::<8>)
            && let Some(room) = to.get_mut(written..).and_then(<[u8]>::first_chunk_mut)
        {
            *room = *word;
            let found = special(u64::from_le_bytes(*word));
            let plain = found.trailing_zeros() as usize / 8;
            read += plain;
            written += plain;
            if found == 0 {
                continue;
            }
        }
        match *bytes.get(read)? {
            b'"' => return Some((read + 1, written)),
            b'\\' => {
                let (char, length) = escape(bytes.get(read + 1..)?)?;
                read += 1 + length;
                written += char.encode_utf8(to.get_mut(written..)?).len();
            }
            // Control characters have to be escaped.
            ..0x20 => return None,
            byte => {
                *to.get_mut(written)? = byte;
                read += 1;
                written += 1;
            }
        }
    }
}

/// What an escape behind its backslash stands for, and how long it is.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let char = match bytes.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(bytes),
        _ => return None,
    };
    Some((char, 1))
}

/// `uXXXX`, or two of them that stand for one character.
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str) -> Option<String> {
        let mut reader = Reader::new(text);
        let string = reader.string()?.into_owned();
        reader.end().map(|()| string)
    }

    #[test]
    fn strings() {
        for (text, expected) in [
            (r#""""#, Some("")),
            (
                r#"  "plain, longer than a word"  "#,
                Some("plain, longer than a word"),
            ),
            (
                r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude42""#,
                Some("\"\\/\u{8}\u{c}\n\r\té🙂"),
            ),
            (r#""ééééééé\n🙂 and on""#, Some("ééééééé\n🙂 and on")),
            (r#""\ud83d""#, None),
            (r#""\ude42\ud83d""#, None),
            (r#""\ud83d\u0041""#, None),
            (r#""\x""#, None),
            (r#""\u00""#, None),
            (r#""+\u+0e9""#, None),
            ("\"line\nbreak\"", None),
            (r#""open"#, None),
            (r#""open\"#, None),
            (r#""a" b"#, None),
        ] {
            assert_eq!(string(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn strings_are_read_as_serde_json_reads_them(text in r#"[ -~é\\"nu0d8🙂\n]{0,40}"#) {
            let text = format!("\"{text}\"");
            prop_assert_eq!(string(&text), serde_json::from_str(&text).ok());
        }

        #[test]
        fn what_is_plain_ends_at_the_first_byte_that_is_not(bytes in prop::collection::vec(0x1e_u8..0x60, 0..40)) {
            let expected = bytes.iter().position(|byte| is_special(*byte)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), expected);
        }
    }
}
