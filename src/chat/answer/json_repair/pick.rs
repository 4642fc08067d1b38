//! Finding the wanted value in what a model wrote.

use serde_json::Value;

use super::{
    Fix, Fixes, JsonShape, is_list,
    lenient::{Loose, Reader},
    prose, whole_words,
};

/// A value of the wanted kind and what was wrong with it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) fixes: Fixes,
}

/// The value of the wanted key in the objects of `text`.
///
/// Of several objects the last counts: examples and drafts come first. One that is complete counts more than one that
/// is not. Objects with one item each make up a list.
pub(super) fn from_objects(text: &str, shape: &JsonShape) -> Option<Found> {
    let (objects, surrounded) = objects(text);
    let mut found: Vec<Pick> = objects
        .into_iter()
        .filter_map(|(object, fixes)| pick(&object, shape, fixes))
        .collect();
    if found.iter().any(|pick| pick.named) {
        found.retain(|pick| pick.named);
    }
    let several = found.len() > 1;
    let mut chosen = if several && found.iter().all(|pick| pick.single) {
        let items = found.iter().flat_map(|pick| pick.found.value.as_array());
        let fixes = found.iter().flat_map(|pick| pick.found.fixes.clone());
        Found {
            value: items.flatten().cloned().collect(),
            fixes: fixes.collect(),
        }
    } else {
        let complete = |pick: &Pick| !pick.found.fixes.contains(&Fix::Truncated);
        let index = found.iter().rposition(complete);
        let index = index.or(found.len().checked_sub(1))?;
        found.swap_remove(index).found
    };
    if several {
        chosen.fixes.insert(Fix::Several);
    }
    if surrounded {
        chosen.fixes.insert(Fix::Surroundings);
    }
    Some(chosen)
}

/// The objects in `text`, each with what was wrong with it, and whether other text stands around them.
pub(super) fn objects(text: &str) -> (Vec<(Loose, Fixes)>, bool) {
    let mut objects = Vec::new();
    let mut outside = String::new();
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| rest.find('{')) {
        let start = at + offset;
        outside.push_str(text.get(at..start).unwrap_or_default());
        let mut reader = Reader::new(text, start);
        let object = reader.value();
        at = reader.end();
        objects.extend(object.map(|object| (object, reader.fixes)));
    }
    outside.push_str(text.get(at..).unwrap_or_default());
    // The brackets around a list of objects are no text.
    let is_text = |c: char| !c.is_whitespace() && !matches!(c, '[' | ']' | ',');
    (objects, outside.contains(is_text))
}

/// The last list of strings in `text` that stands without an object.
pub(super) fn from_lists(text: &str, shape: &JsonShape) -> Option<Found> {
    let mut found = None;
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| rest.find('[')) {
        let start = at + offset;
        let mut reader = Reader::new(text, start);
        let list = reader.value();
        at = reader.end();
        let mut fixes = reader.fixes;
        // Numbers in brackets are notes, and words in brackets asides.
        let quoted = text.get(start + 1..at).is_some_and(|inside| {
            let inside = inside.trim_start();
            inside.contains(',') || inside.starts_with(['"', '\'', '“'])
        });
        if let Some(list @ Loose::List(_)) = list.filter(|_| quoted)
            && let Some(value) = extract(&list, shape, &mut fixes)
        {
            fixes.insert(Fix::BareList);
            if text.len() > at - start + 2 {
                fixes.insert(Fix::Surroundings);
            }
            found = Some(Found { value, fixes });
        }
    }
    found
}

/// What one object has of the wanted.
struct Pick {
    found: Found,
    /// It stands under the key, however spelt.
    named: bool,
    /// It is a single item of a list.
    single: bool,
}

fn pick(object: &Loose, shape: &JsonShape, mut fixes: Fixes) -> Option<Pick> {
    let under_key = named(object, shape);
    let named = under_key.is_some();
    let candidate = under_key.or_else(|| guessed(object, shape, &fixes))?;
    let is_key = |(key, value): &(Option<String>, Loose)| {
        key.as_deref() == Some(&*shape.key) && std::ptr::eq(value, candidate.first)
    };
    if !matches!(object, Loose::Object { members, .. } if members.iter().any(is_key)) {
        fixes.insert(Fix::Key);
    }
    let single = is_list(shape)
        && candidate.more.is_empty()
        && matches!(candidate.first, Loose::Text { .. });
    let mut value = extract(candidate.first, shape, &mut fixes)?;
    if let (Value::Array(items), false) = (&mut value, candidate.more.is_empty()) {
        fixes.insert(Fix::Brackets);
        for more in candidate.more {
            collect(more, items, &mut fixes);
        }
    }
    Some(Pick {
        found: Found { value, fixes },
        named,
        single,
    })
}

/// A value, and the values without a key that follow it: items of a list whose brackets are missing.
struct Candidate<'v> {
    first: &'v Loose,
    more: Vec<&'v Loose>,
}

/// The value of the key, at any depth and in any spelling.
fn named<'v>(value: &'v Loose, shape: &JsonShape) -> Option<Candidate<'v>> {
    match value {
        Loose::Text { .. } => None,
        Loose::List(items) => items.iter().find_map(|item| named(item, shape)),
        Loose::Object { members, .. } => {
            let likeness = |key: &Option<String>| likeness(key.as_deref()?, &shape.key);
            let best = members.iter().filter_map(|(key, _)| likeness(key)).min();
            let Some(best) = best else {
                return members.iter().find_map(|(_, value)| named(value, shape));
            };
            let mut members = members
                .iter()
                .skip_while(|(key, _)| likeness(key) != Some(best));
            let (_, first) = members.next()?;
            // `"tag1": "a", "tag2": "b"`, and `"tags": "a", "b"`.
            let more = members.filter(|(key, _)| match key {
                None => true,
                Some(_) => best > 0 && likeness(key) == Some(best),
            });
            Some(Candidate {
                first,
                more: more.map(|(_, value)| value).collect(),
            })
        }
    }
}

/// The only value that it can be: translated keys, and values without any.
///
/// Not where the end of the text is missing, which may be where the value would be.
fn guessed<'v>(object: &'v Loose, shape: &JsonShape, fixes: &Fixes) -> Option<Candidate<'v>> {
    let Loose::Object { members, .. } = object else {
        return None;
    };
    if fixes.contains(&Fix::Truncated) {
        return None;
    }
    let wanted = |value: &Loose| matches!(value, Loose::List(_)) == is_list(shape);
    let values: Vec<&Loose> = members.iter().map(|(_, value)| value).collect();
    let keyless = members.iter().all(|(key, _)| key.is_none());
    let mut right_kind = values.iter().copied().filter(|value| wanted(value));
    let numbered = |key: &Option<String>| {
        key.as_deref()
            .is_some_and(|key| key.ends_with(|c: char| c.is_ascii_digit()))
    };
    match (values.as_slice(), right_kind.next(), right_kind.next()) {
        ([first, more @ ..], _, _)
            if is_list(shape) && (keyless || members.iter().all(|(key, _)| numbered(key))) =>
        {
            Some(Candidate {
                first,
                more: more.to_vec(),
            })
        }
        (&[only], _, _) | (_, Some(only), None) => Some(Candidate {
            first: only,
            more: Vec::new(),
        }),
        _ => None,
    }
}

/// How a key resembles the wanted one, best first; `None` if it does not.
pub(super) fn likeness(key: &str, wanted: &str) -> Option<u8> {
    if key == wanted {
        return Some(0);
    }
    let (key, wanted) = (plain(key), plain(wanted));
    if key.is_empty() {
        None
    } else if key == wanted {
        Some(1)
    } else if singular(&key) == singular(&wanted) {
        Some(2)
    } else if key.contains(&singular(&wanted)) {
        Some(3)
    } else {
        let tolerated = if wanted.len() > 5 { 2 } else { 1 };
        (strsim::damerau_levenshtein(&key, &wanted) <= tolerated).then_some(4)
    }
}

/// A key's letters, in small letters.
pub(super) fn plain(key: &str) -> String {
    // Longer keys are sentences.
    let letters = key.chars().take(64).filter(|c| c.is_alphabetic());
    letters.flat_map(char::to_lowercase).collect()
}

fn singular(word: &str) -> String {
    match (word.strip_suffix("ies"), word.strip_suffix('s')) {
        (Some(stem), _) => format!("{stem}y"),
        (None, Some(stem)) => stem.to_owned(),
        (None, None) => word.to_owned(),
    }
}

/// The value in the wanted kind.
fn extract(value: &Loose, shape: &JsonShape, fixes: &mut Fixes) -> Option<Value> {
    if is_list(shape) {
        let mut items = Vec::new();
        match value {
            Loose::List(list) => list
                .iter()
                .for_each(|item| collect(item, &mut items, fixes)),
            Loose::Text { text, whole, .. } => {
                fixes.insert(Fix::Kind);
                let text = if *whole { text } else { whole_words(text) };
                items = prose::split_list(text)
                    .into_iter()
                    .map(Value::from)
                    .collect();
            }
            Loose::Object { .. } => collect(value, &mut items, fixes),
        }
        let emptied = items.is_empty()
            && !matches!(value, Loose::List(list) if list.is_empty() && !fixes.contains(&Fix::Truncated));
        return (!emptied).then_some(Value::Array(items));
    }
    if !matches!(value, Loose::Text { .. }) {
        fixes.insert(Fix::Kind);
    }
    first_text(value).map(Value::from)
}

/// The strings of a list's item; of an object its first.
fn collect(item: &Loose, items: &mut Vec<Value>, fixes: &mut Fixes) {
    match item {
        Loose::Text {
            text, whole: true, ..
        } => items.push(text.as_str().into()),
        Loose::Text { whole: false, .. } => {}
        Loose::List(inner) => {
            fixes.insert(Fix::Kind);
            inner.iter().for_each(|item| collect(item, items, fixes));
        }
        Loose::Object { members, .. } => {
            fixes.insert(Fix::Kind);
            // `{"1": "a", "2": "b"}` is a list, `{"name": "a", "why": "b"}` an item.
            let list = members.iter().all(|(key, _)| {
                key.as_deref()
                    .is_none_or(|key| key.ends_with(|c: char| c.is_ascii_digit()))
            });
            let count = if list { members.len() } else { 1 };
            for (_, value) in members.iter().take(count) {
                collect(value, items, fixes);
            }
        }
    }
}

/// The first string; of one that the end of the text cuts, the whole words.
fn first_text(value: &Loose) -> Option<String> {
    match value {
        Loose::Text {
            text, whole: true, ..
        } => Some(text.clone()),
        Loose::Text {
            text, whole: false, ..
        } => Some(whole_words(text).to_owned()),
        Loose::List(items) => items.iter().find_map(first_text),
        Loose::Object { members, .. } => members.iter().find_map(|(_, value)| first_text(value)),
    }
}
