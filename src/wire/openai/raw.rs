//! JSON objects and lists in pieces, so that what does not change keeps its bytes.

use std::borrow::Cow;

use bytes::BufMut;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{json, reader::Reader};

/// A member of an object as it is written.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, str>,
    /// The name with its quotes and escapes.
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// The members of an object, in order; `None` if this is no object.
pub(super) fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let mut reader = Reader::new(text);
    let mut members = Vec::new();
    reader.object(|reader, name, key| {
        let ((), value) = reader.placed(Reader::skip)?;
        members.push(Member {
            name,
            key: text.get(key)?,
            value: text.get(value)?,
        });
        Some(())
    })?;
    reader.end()?;
    Some(members)
}

/// The elements of a list; `None` if this is no list.
pub(super) fn elements(text: &str) -> Option<Vec<&str>> {
    let list: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(list.into_iter().map(RawValue::get).collect())
}

/// A string; `None` if this is none.
pub(super) fn string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// The first member of this name.
pub(super) fn find<'a>(members: &[Member<'a>], name: &str) -> Option<&'a str> {
    let member = members.iter().find(|member| member.name == name)?;
    Some(member.value)
}

/// A string that is borrowed where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Writes an object member by member.
#[derive(Debug)]
pub(super) struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> ObjectWriter<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        out.put_u8(b'{');
        Self { out, empty: true }
    }

    /// A member as it was.
    pub(super) fn keep(&mut self, member: &Member<'_>) {
        self.replace(member, |out| out.put_slice(member.value.as_bytes()));
    }

    /// A member with another value.
    pub(super) fn replace(&mut self, member: &Member<'_>, value: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        self.out.put_slice(member.key.as_bytes());
        self.out.put_u8(b':');
        value(self.out);
    }

    /// A new member.
    pub(super) fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.put_with(name, |out| json::write(out, value));
    }

    /// A new member that writes itself.
    pub(super) fn put_with(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        json::write(self.out, name);
        self.out.put_u8(b':');
        value(self.out);
    }

    pub(super) fn end(self) {
        self.out.put_u8(b'}');
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.empty) {
            self.out.put_u8(b',');
        }
    }
}

/// Writes a list of things that write themselves.
pub(super) fn write_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.put_u8(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        write(item, out);
    }
    out.put_u8(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_spelling() {
        let text = r#" { "a" : 1.0 , "b\u0063":[ 1e3,{"x":null} ] ,"a":2} "#;
        let found = members(text).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|member| (&*member.name, member.value))
            .collect();
        assert_eq!(
            told,
            [("a", "1.0"), ("bc", r#"[ 1e3,{"x":null} ]"#), ("a", "2")]
        );
        assert_eq!(elements(found[1].value).unwrap(), ["1e3", r#"{"x":null}"#]);
        assert_eq!(find(&found, "a"), Some("1.0"));
        let mut out = Vec::new();
        let mut object = ObjectWriter::new(&mut out);
        for member in &found {
            object.keep(member);
        }
        object.put("n\"", &1);
        object.end();
        assert_eq!(
            out,
            &br#"{"a":1.0,"b\u0063":[ 1e3,{"x":null} ],"a":2,"n\"":1}"#[..]
        );
    }

    #[test]
    fn what_is_something_else() {
        for text in ["", "[]", "1", "{", r#"{"a"}"#, "{} x"] {
            assert!(members(text).is_none(), "{text}");
        }
        assert!(elements("{}").is_none());
        assert!(string("1").is_none());
    }
}
