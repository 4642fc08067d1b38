//! A table of a rule or policy file that was held against its keys; what is left can be read without surprises.

use std::{ops::Range, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::keys::{Key, Kind};
use crate::{
    config::Period,
    policy::{Class, ClassGlob},
    problem::{Problem, Span, closest},
};

/// A value together with its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// A table whose keys and kinds have been checked: getters give `None` for a key that is not there or was refused.
#[derive(Debug, Clone)]
pub(crate) struct Table<'a> {
    /// The whole table's place.
    pub(crate) span: Span,
    fields: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// Holds a table against its keys. Everything wrong with it goes to `problems`.
    pub(crate) fn check(
        span: Span,
        fields: &'a DeTable<'a>,
        keys: &[&[Key]],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let known = || keys.iter().copied().flatten();
        for (name, value) in fields {
            match known().find(|key| key.name == name.get_ref()) {
                Some(key) => check_value(&key.kind, key.name, key.doc, value, problems),
                None => {
                    let names: Vec<&Key> = known().collect();
                    problems.push(unknown(name.get_ref(), name.span(), &names));
                }
            }
        }
        for key in known().filter(|key| key.required && !fields.contains_key(key.name)) {
            let problem = Problem::error("P004", format!("the key `{}` is missing", key.name));
            problems.push(problem.at(Some(span.clone()), "").help(key.doc));
        }
        Self { span, fields }
    }

    /// The value of a key and its place.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value<'a>> {
        self.fields.get(name)
    }

    /// Where a key's value stands; the whole table where the key is not there.
    pub(crate) fn place(&self, name: &str) -> Span {
        self.get(name)
            .map_or_else(|| self.span.clone(), Spanned::span)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        text(self.get(name)?)
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<(&'a str, Span)> {
        self.get(name).map(texts).unwrap_or_default()
    }

    pub(crate) fn groups(&self, name: &str) -> Vec<Vec<(&'a str, Span)>> {
        match self.get(name).map(Spanned::get_ref) {
            Some(DeValue::Array(groups)) => groups.iter().map(texts).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name)?.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        integer(self.get(name)?.get_ref())
    }

    /// A count; the key's kind keeps it at 0 or above.
    pub(crate) fn count(&self, name: &str) -> Option<usize> {
        self.integer(name)
            .and_then(|value| usize::try_from(value).ok())
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        number(self.get(name)?.get_ref())
    }

    pub(crate) fn classes(&self, name: &str) -> Vec<ClassGlob> {
        let words = self.texts(name);
        words
            .iter()
            .filter_map(|(word, _)| ClassGlob::parse(word))
            .collect()
    }

    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        self.text(name)?
            .parse()
            .ok()
            .map(|Period(duration)| duration)
    }

    /// A table below a key, already checked with this one.
    pub(crate) fn table(&self, name: &str) -> Option<Table<'a>> {
        as_table(self.get(name)?)
    }

    /// The tables of a list of tables, already checked with this one.
    pub(crate) fn tables(&self, name: &str) -> Vec<Table<'a>> {
        match self.get(name).map(Spanned::get_ref) {
            Some(DeValue::Array(list)) => list.iter().filter_map(as_table).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a key holds a list with nothing in it, or with an empty list in it.
    pub(crate) fn is_hollow(&self, name: &str) -> bool {
        let is_empty =
            |value: &DeValue<'_>| matches!(value, DeValue::Array(list) if list.is_empty());
        match self.get(name).map(Spanned::get_ref) {
            Some(DeValue::Array(list)) => {
                list.is_empty() || list.iter().any(|item| is_empty(item.get_ref()))
            }
            _ => false,
        }
    }

    /// Every key with its value.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, Span, &'a Value<'a>)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.get_ref().as_ref(), name.span(), value))
    }
}

/// No key has this name.
pub(crate) fn unknown_key(name: &str, span: Span, keys: &[Key]) -> Problem {
    unknown(name, span, &keys.iter().collect::<Vec<_>>())
}

fn unknown(name: &str, span: Span, keys: &[&Key]) -> Problem {
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let problem = Problem::error("P002", format!("unknown key `{name}`")).at(Some(span), "");
    match closest(name, &names) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem.help(format!("known are: {}", names.join(", "))),
    }
}

/// A value as a table.
pub(crate) fn as_table<'a>(value: &'a Value<'a>) -> Option<Table<'a>> {
    match value.get_ref() {
        DeValue::Table(fields) => Some(Table {
            span: value.span(),
            fields,
        }),
        _ => None,
    }
}

/// A value as a string.
pub(crate) fn text<'a>(value: &'a Value<'a>) -> Option<&'a str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

/// A value as a list of strings.
pub(crate) fn texts<'a>(value: &'a Value<'a>) -> Vec<(&'a str, Span)> {
    match value.get_ref() {
        DeValue::Array(list) => {
            let words = list.iter();
            words
                .filter_map(|word| Some((text(word)?, word.span())))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        _ => None,
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(float) => float.as_str().parse().ok(),
        value => integer(value).map(|integer| integer as f64),
    }
}

/// Tells what is wrong with the value of a key; `doc` is what the key means.
pub(crate) fn check_value(
    kind: &Kind,
    name: &str,
    doc: &str,
    value: &Value<'_>,
    problems: &mut Vec<Problem>,
) {
    let inside = value.get_ref();
    let right = match kind {
        Kind::Any => true,
        Kind::Text => text(value).is_some(),
        Kind::Texts => all(inside, &|item| matches!(item, DeValue::String(_))),
        Kind::Groups => all(inside, &|group| {
            all(group, &|item| matches!(item, DeValue::String(_)))
        }),
        Kind::Bool => matches!(inside, DeValue::Boolean(_)),
        Kind::Integer(min, max) => {
            integer(inside).is_some_and(|value| (*min..=*max).contains(&value))
        }
        Kind::Number(min, max) => {
            number(inside).is_some_and(|value| (*min..=*max).contains(&value))
        }
        Kind::Choice(words) => return check_choice(words, name, value, problems),
        Kind::Duration => text(value).is_some_and(|text| text.parse::<Period>().is_ok()),
        Kind::Classes => return check_classes(value, problems),
        Kind::Class => match text(value) {
            Some(word) if Class::parse(word).is_none() => {
                return problems.push(unknown_class(word, value.span()));
            }
            word => word.is_some(),
        },
        // Each table's keys depend on its operation.
        Kind::Rewrites => all(inside, &|item| matches!(item, DeValue::Table(_))),
        Kind::Table(keys) => match inside {
            DeValue::Table(fields) => {
                Table::check(value.span(), fields, &[keys], problems);
                true
            }
            _ => false,
        },
        Kind::Map(kind) => match inside {
            DeValue::Table(fields) => {
                for (name, value) in fields {
                    check_value(kind, name.get_ref(), doc, value, problems);
                }
                true
            }
            _ => false,
        },
        Kind::Tables(keys) => match inside {
            DeValue::Array(list) if all(inside, &|item| matches!(item, DeValue::Table(_))) => {
                for item in list.iter() {
                    check_value(&Kind::Table(keys), name, doc, item, problems);
                }
                true
            }
            _ => false,
        },
        Kind::TextOr(kind) => match inside {
            DeValue::String(_) => true,
            DeValue::Array(_) | DeValue::Table(_) => {
                return check_value(kind, name, doc, value, problems);
            }
            _ => false,
        },
    };
    if !right {
        problems.push(
            Problem::error("P003", format!("`{name}` must be {}", kind.expected()))
                .at(Some(value.span()), "is not")
                .help(doc),
        );
    }
}

fn all(value: &DeValue<'_>, right: &dyn Fn(&DeValue<'_>) -> bool) -> bool {
    match value {
        DeValue::Array(list) => list.iter().all(|item| right(item.get_ref())),
        _ => false,
    }
}

fn check_choice(words: &[&str], name: &str, value: &Value<'_>, problems: &mut Vec<Problem>) {
    let word = text(value).unwrap_or_default();
    if words.contains(&word) {
        return;
    }
    let problem = match text(value) {
        Some(word) => format!("`{name}` cannot be \"{word}\""),
        None => format!("`{name}` must be a string"),
    };
    let problem = Problem::error("P003", problem).at(Some(value.span()), "");
    problems.push(match closest(word, words) {
        Some(meant) => problem.help(format!("did you mean \"{meant}\"?")),
        None => problem.help(format!("known are: {}", words.join(", "))),
    });
}

fn check_classes(value: &Value<'_>, problems: &mut Vec<Problem>) {
    if !all(value.get_ref(), &|item| matches!(item, DeValue::String(_))) {
        let expected = Kind::Classes.expected();
        problems.push(
            Problem::error("P003", format!("this must be {expected}"))
                .at(Some(value.span()), "")
                .help("for example: [\"chat\", \"task/*\"]"),
        );
    }
    for (word, span) in texts(value) {
        if ClassGlob::parse(word).is_none() {
            problems.push(unknown_class(word, span));
        }
    }
}

/// No class or group has this name.
pub(crate) fn unknown_class(word: &str, span: Range<usize>) -> Problem {
    let classes = Class::ALL.iter().map(|class| class.as_str());
    let names: Vec<&str> = classes.chain(["task/*", "*"]).collect();
    let problem = Problem::error("P005", format!("there is no class `{word}`")).at(Some(span), "");
    let part = names
        .iter()
        .find(|name| word.len() > 2 && name.contains(word));
    match closest(word, &names).or(part.copied()) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem.help(format!("known are: {}", names.join(", "))),
    }
}
