//! Reading JSON of a known shape in one pass, with the places where its parts stand.
//!
//! Conversations are long strings, and serde_json goes through them once to find their ends and once more to read
//! them. Whatever is odd here has no value (`None`), and is left to serde_json, which says what is wrong with it.

use std::{borrow::Cow, ops::Range};

use serde::de::IgnoredAny;
use serde_json::Value;

use super::unescape::{self, Unescaper};

/// A text and how far it has been read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    unescaper: Unescaper,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            unescaper: Unescaper::default(),
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

    /// Passes over any value; what escapes stand for is not looked at.
    pub(super) fn skip(&mut self) -> Option<()> {
        if self.eat(b'"').is_none() {
            let rest = self.text.get(self.at..)?;
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
            values.next()?.ok()?;
            self.at += values.byte_offset();
            return Some(());
        }
        self.at += unescape::skip(self.text.as_bytes().get(self.at..)?)?;
        Some(())
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Option<Cow<'a, str>> {
        self.eat(b'"')?;
        let rest = self.text.as_bytes().get(self.at..)?;
        let plain = plain_length(rest);
        if *rest.get(plain)? == b'"' {
            let start = self.at;
            self.at += plain + 1;
            return self.text.get(start..start + plain).map(Cow::Borrowed);
        }
        let (text, length) = self.unescaper.read(rest)?;
        self.at += length;
        Some(Cow::Owned(text))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }
}

/// Bytes before the first quotation mark, backslash or control character. Looks at eight bytes at a time: in a word
/// minus a byte in each place, the lowest place that borrowed is one that held less than that byte.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = (equal(word, b'"') | equal(word, b'\\') | below(word, 0x20)) & HIGHS;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    let tail = rest.iter().position(special).unwrap_or(rest.len());
    bytes.len() - rest.len() + tail
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
        fn strings_are_read_as_serde_json_reads_them(text in r#"[ -~é\\"nu0d8🙂\n]{0,300}"#) {
            let text = format!("\"{text}\"");
            prop_assert_eq!(string(&text), serde_json::from_str(&text).ok());
        }

        #[test]
        fn what_is_plain_ends_at_the_first_byte_that_is_not(bytes in prop::collection::vec(0x1e_u8..0x60, 0..40)) {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
            let expected = bytes.iter().position(special).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), expected);
        }
    }
}
