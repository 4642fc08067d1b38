//! The JSON values in which models write their calls.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

/// Finds the end of a JSON object or array that arrives in pieces.
///
/// It counts brackets only, and gives up on the first character that no JSON value has at that place, so that
/// text behind a broken value is not held back to the end of the answer.
#[derive(Debug, Default)]
pub(super) struct Extent {
    seen: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// What [`Extent::find`] knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The value goes on.
    More,
    /// The value ends after so many bytes of the text.
    Whole(usize),
    /// This is no object and no array.
    Broken,
}

impl Extent {
    /// Looks at `text`, which begins with all text of earlier calls.
    pub(super) fn find(&mut self, text: &str) -> Progress {
        for byte in text.bytes().skip(self.seen) {
            self.seen += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    0..=0x1f => return Progress::Broken,
                    _ => {}
                }
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'{' | b'[' => self.depth += 1,
                _ if self.depth == 0 => return Progress::Broken,
                b'}' | b']' => self.depth -= 1,
                b'"' => self.in_string = true,
                b':' | b',' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'E' => {}
                // The letters of true, false, null and exponents.
                b'a' | b'e' | b'f' | b'l' | b'n' | b'r' | b's' | b't' | b'u' => {}
                _ => return Progress::Broken,
            }
            if self.depth == 0 && matches!(byte, b'}' | b']') {
                return Progress::Whole(self.seen);
            }
        }
        Progress::More
    }
}

/// One call as the model wrote it.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) name: String,
    /// A JSON object.
    pub(super) arguments: String,
    /// Whether the model wrote any arguments.
    pub(super) has_arguments: bool,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, alias = "parameters")]
    arguments: Option<&'a RawValue>,
}

/// The calls in a JSON object or in an array of objects; `None` if it is something else.
pub(super) fn calls(json: &str) -> Option<Vec<Spoken>> {
    let written: Vec<Written<'_>> = if json.trim_start().starts_with('[') {
        serde_json::from_str(json).ok()?
    } else {
        vec![serde_json::from_str(json).ok()?]
    };
    if written.is_empty() {
        return None;
    }
    written.into_iter().map(spoken).collect()
}

fn spoken(written: Written<'_>) -> Option<Spoken> {
    let arguments = match written.arguments.map(RawValue::get) {
        None => "{}".to_owned(),
        Some(object) if object.starts_with('{') => object.to_owned(),
        // Some models write what the wire format wants: an object inside a string.
        Some(string) if string.starts_with('"') => {
            let object: String = serde_json::from_str(string).ok()?;
            let is_object = object.trim_start().starts_with('{')
                && serde_json::from_str::<IgnoredAny>(&object).is_ok();
            is_object.then_some(object)?
        }
        Some(_) => return None,
    };
    Some(Spoken {
        name: written.name.into_owned(),
        arguments,
        has_arguments: written.arguments.is_some(),
    })
}

/// Whether the beginning `text` of an object, or of an array of objects, has or may get a first key that calls
/// have. Once it is false, it stays false for any longer text.
pub(super) fn begins_like_a_call(text: &str) -> bool {
    const KEYS: [&str; 5] = [
        "\"name\"",
        "\"arguments\"",
        "\"parameters\"",
        "\"type\"",
        "\"id\"",
    ];
    let text = text.trim_start();
    let text = text.strip_prefix('[').unwrap_or(text).trim_start();
    if text.is_empty() {
        return true;
    }
    let Some(members) = text.strip_prefix('{').map(str::trim_start) else {
        return false;
    };
    KEYS.iter()
        .any(|key| members.starts_with(key) || key.starts_with(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extent_ends_at_the_outer_bracket() {
        let text = r#" {"a":"}\"]","b":[1,{}]} tail"#;
        assert_eq!(
            Extent::default().find(text),
            Progress::Whole(text.len() - 5)
        );
        let mut extent = Extent::default();
        assert_eq!(extent.find(r#" {"a":"}\"#), Progress::More);
        assert_eq!(extent.find(text), Progress::Whole(text.len() - 5));
    }

    #[test]
    fn what_is_no_json_is_given_up_at_once() {
        for text in ["x", "1", "{<", "{\"a\nb\"", "}", "{\"a\": x"] {
            assert_eq!(Extent::default().find(text), Progress::Broken, "{text}");
        }
    }

    #[test]
    fn arguments_keep_their_spelling() {
        let found = calls(r#"{"name":"f","arguments":{ "b" : 1.0, "a":"\u00e9" }}"#).unwrap();
        assert_eq!(found[0].arguments, r#"{ "b" : 1.0, "a":"\u00e9" }"#);
        let found = calls(r#"[{"name":"f","parameters":"{\"a\": 1}"}]"#).unwrap();
        assert_eq!(found[0].arguments, r#"{"a": 1}"#);
        assert_eq!(calls(r#"{"name":"f"}"#).unwrap()[0].arguments, "{}");
    }

    #[test]
    fn what_is_no_call() {
        for json in [
            "{}",
            "[]",
            r#"{"name":1}"#,
            r#"{"name":"f","arguments":[1]}"#,
            r#"{"name":"f","arguments":"x"}"#,
            r#"[{"name":"f"},1]"#,
            r#"{"name":"f",}"#,
        ] {
            assert!(calls(json).is_none(), "{json}");
        }
    }

    #[test]
    fn a_first_key_that_calls_do_not_have_decides_early() {
        for text in ["{", "[", "[ {", "{ \"na", "{\"name\": 1", "[{\"type\""] {
            assert!(begins_like_a_call(text), "{text}");
        }
        for text in ["[1", "[[", "{}", "{\"title\"", "{\"nb", "[]"] {
            assert!(!begins_like_a_call(text), "{text}");
        }
    }
}
