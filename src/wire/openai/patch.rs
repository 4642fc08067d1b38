//! Changing some members of an object.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    json,
    raw::{Member, ObjectWriter},
};

/// Writes a value, given the one that it replaces.
type Write<'c> = Box<dyn Fn(&mut Vec<u8>, Option<&str>) + 'c>;

/// A field that has changed.
pub(super) struct Change<'c> {
    /// All names of the field, the usual one first.
    pub(super) names: &'static [&'static str],
    /// Its value; `None` removes it.
    pub(super) value: Option<Write<'c>>,
}

/// The changes of one object's fields.
#[derive(Default)]
pub(super) struct Changes<'c>(Vec<Change<'c>>);

impl<'c> Changes<'c> {
    /// Notes a field with a simple value, if it has changed.
    pub(super) fn field<T: Serialize + PartialEq>(
        &mut self,
        names: &'static [&'static str],
        before: &Option<T>,
        after: &'c Option<T>,
    ) {
        if before != after {
            let value = after
                .as_ref()
                .map(|value| -> Write<'c> { Box::new(move |out, _| json::write(out, value)) });
            self.0.push(Change { names, value });
        }
    }

    /// Notes a field that writes itself.
    pub(super) fn field_with(
        &mut self,
        names: &'static [&'static str],
        write: impl Fn(&mut Vec<u8>, Option<&str>) + 'c,
    ) {
        self.0.push(Change {
            names,
            value: Some(Box::new(write)),
        });
    }

    /// Notes a field that is gone.
    pub(super) fn remove(&mut self, names: &'static [&'static str]) {
        self.0.push(Change { names, value: None });
    }
}

/// Writes an object of the original's members and the changes. `before` and `after` are the fields that nobody
/// interprets; which member is one of them, `before` tells.
pub(super) fn write(
    out: &mut Vec<u8>,
    members: &[Member<'_>],
    Changes(changes): Changes<'_>,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) {
    let mut object = ObjectWriter::new(out);
    // A name that stands twice is written once where it changes.
    let mut done: Vec<&str> = Vec::new();
    for member in members {
        let name = &*member.name;
        if let Some(old) = before.get(name) {
            match after.get(name) {
                Some(new) if new == old => object.keep(member),
                Some(new) if !done.contains(&name) => {
                    object.replace(member, |out| json::write(out, new));
                    done.push(name);
                }
                _ => {}
            }
            continue;
        }
        let Some(Change { names, value }) =
            changes.iter().find(|change| change.names.contains(&name))
        else {
            object.keep(member);
            continue;
        };
        if let (Some(write), Some(usual)) = (value, names.first())
            && !done.contains(usual)
        {
            object.replace(member, |out| write(out, Some(member.value)));
            done.push(usual);
        }
    }
    for Change { names, value } in &changes {
        if let (Some(write), Some(usual)) = (value, names.first())
            && !done.contains(usual)
        {
            object.put_with(usual, |out| write(out, None));
        }
    }
    for (name, value) in after {
        if !before.contains_key(name) {
            object.put(name, value);
        }
    }
    object.end();
}
