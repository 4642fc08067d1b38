//! JSON that does nothing to a terminal: what would act on it is escaped.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter, Serializer};

use crate::cli::paint::acts;

/// A value as indented JSON.
pub(super) fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    let mut json = Vec::new();
    let formatter = Safe(PrettyFormatter::new());
    value.serialize(&mut Serializer::with_formatter(&mut json, formatter))?;
    // The serializer writes whole characters.
    Ok(String::from_utf8_lossy(&json).into_owned())
}

struct Safe<'a>(PrettyFormatter<'a>);

macro_rules! as_pretty {
    ($($name:ident($($arg:ident: $type:ty),*)),* $(,)?) => {
        $(fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $arg: $type)*) -> io::Result<()> {
            self.0.$name(writer $(, $arg)*)
        })*
    };
}

impl Formatter for Safe<'_> {
    as_pretty! {
        begin_array(),
        end_array(),
        begin_array_value(first: bool),
        end_array_value(),
        begin_object(),
        end_object(),
        begin_object_key(first: bool),
        begin_object_value(),
        end_object_value(),
        write_char_escape(char_escape: CharEscape),
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| acts(*c)) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        let json = to_string(&json!({"a": "\u{202e}\u{9b}\u{e0041}\u{1b}"})).unwrap();
        assert_eq!(
            json,
            "{\n  \"a\": \"\\u202e\\u009b\\udb40\\udc41\\u001b\"\n}"
        );
    }

    proptest! {
        #[test]
        fn it_reads_back_as_it_was(text in "(?s).*", key in "\\PC*") {
            let value = json!({key: [text, {}, [], 1.5]});
            let json = to_string(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
            prop_assert!(!json.chars().any(|c| c != '\n' && acts(c)));
        }
    }
}
