//! From texts to the file form: TOML with overrides, every key that serde refuses reported, not only the first.

use std::{borrow::Cow, ops::Range};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue, Deserializer, Error},
};

use crate::problem::{Problem, Sources, Span, closest, padded};

/// A value from outside the file for one key.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) section: String,
    pub(super) key: String,
    /// What was written, e.g. `RKGATE_ENGINE__LIBRARY=sim`.
    pub(super) text: String,
    /// Where in `text` the key is named.
    pub(super) key_at: Range<usize>,
    /// Where in `text` the value begins; it ends with it.
    pub(super) value_at: usize,
}

impl Override {
    /// `RKGATE_<SECTION>__<KEY>`; `None` for other variables. One underscore is not enough: Kubernetes sets
    /// `RKGATE_PORT` and its like for a service called rkgate.
    pub(super) fn from_env(name: &str, value: &str) -> Option<Self> {
        let prefix = "RKGATE_";
        let (section, key) = name.strip_prefix(prefix)?.split_once("__")?;
        Some(Self {
            section: section.to_lowercase(),
            key: key.to_lowercase(),
            text: format!("{name}={value}"),
            key_at: prefix.len()..name.len(),
            value_at: name.len() + 1,
        })
    }

    /// `<flag>=<value>` for a flag that stands for one key.
    pub(super) fn from_flag(flag: &str, section: &str, key: &str, value: &str) -> Self {
        Self {
            section: section.to_owned(),
            key: key.to_owned(),
            text: format!("{flag}={value}"),
            key_at: 0..flag.len(),
            value_at: flag.len() + 1,
        }
    }

    fn value_text(&self) -> &str {
        self.text.get(self.value_at..).unwrap_or_default()
    }
}

/// Reads `text` (TOML, from a source that was added at `base`) and the overrides, later ones over earlier ones.
///
/// A value that is refused is reported and taken out, so that the others are seen too; `None` when nothing sensible
/// is left.
pub(super) fn read<T: DeserializeOwned>(
    text: &str,
    base: usize,
    overrides: &[Override],
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let text = padded(base, text);
    let (mut document, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        problems.extend(
            errors
                .iter()
                .map(|error| Problem::error("C001", error.message()).at(error.span(), "")),
        );
        return None;
    }
    let bases: Vec<usize> = overrides
        .iter()
        .map(|change| {
            let name = if change.text.starts_with("RKGATE_") {
                "environment"
            } else {
                "command line"
            };
            sources.add(name, change.text.as_str())
        })
        .collect();
    let values: Vec<String> = overrides
        .iter()
        .zip(&bases)
        .map(|(change, base)| {
            padded(
                base + change.value_at - ASSIGN.len(),
                &format!("{ASSIGN}{}", change.value_text()),
            )
        })
        .collect();
    for ((change, base), value) in overrides.iter().zip(bases).zip(&values) {
        let key_at = base + change.key_at.start..base + change.key_at.end;
        let value = override_value(value, base + change.value_at);
        problems.extend(set(document.get_mut(), change, &key_at, value));
    }
    loop {
        match T::deserialize(Deserializer::from(document.clone())) {
            Ok(value) => return Some(value),
            Err(error) => {
                let span = error.span();
                problems.push(refused(&error));
                // Without the culprit the rest can be looked at; where it cannot be found, nothing more can be said.
                if !span.is_some_and(|span| take_out(document.get_mut(), &span)) {
                    return None;
                }
            }
        }
    }
}

/// Makes a document of a value. Every override has at least as much text before its value.
const ASSIGN: &str = "v=";

/// A boolean, an integer, a quoted string, an array or an inline table is read as TOML; all else is a string.
fn override_value(assignment: &str, start: usize) -> Spanned<DeValue<'_>> {
    if let Ok(mut table) = DeTable::parse(assignment)
        && table.get_ref().len() == 1
        && let Some(value) = table.get_mut().remove("v")
        && !matches!(value.get_ref(), DeValue::Float(_) | DeValue::Datetime(_))
    {
        return value;
    }
    let text = assignment.get(start..).unwrap_or_default();
    Spanned::new(start..assignment.len(), DeValue::String(text.into()))
}

fn set<'i>(
    document: &mut DeTable<'i>,
    change: &Override,
    key_at: &Span,
    value: Spanned<DeValue<'i>>,
) -> Option<Problem> {
    let spanned = |name: &str| Spanned::new(key_at.clone(), Cow::Owned(name.to_owned()));
    if !document.contains_key(change.section.as_str()) {
        let empty = DeValue::Table(DeTable::new());
        document.insert(
            spanned(&change.section),
            Spanned::new(key_at.clone(), empty),
        );
    }
    match document
        .get_mut(change.section.as_str())
        .map(Spanned::get_mut)
    {
        Some(DeValue::Table(section)) => {
            // Inserting over a key would keep the old one's span.
            section.remove(change.key.as_str());
            section.insert(spanned(&change.key), value);
            None
        }
        _ => Some(
            Problem::error("C002", format!("`{}` is a list", change.section))
                .at(Some(key_at.clone()), "lists can be set in the file only"),
        ),
    }
}

fn refused(error: &Error) -> Problem {
    let message = error.message();
    // serde puts every name into backticks: first the culprit, then what would have been right.
    let mut names = message.split('`').skip(1).step_by(2);
    let culprit = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let problem = if message.starts_with("unknown field") {
        Problem::error("C002", format!("unknown key `{culprit}`")).at(error.span(), "")
    } else if message.starts_with("unknown variant") {
        Problem::error("C003", format!("unknown value `{culprit}`")).at(error.span(), "")
    } else if message.starts_with("missing field") {
        return Problem::error("C004", format!("the key `{culprit}` is missing"))
            .at(error.span(), "");
    } else {
        let message = message.replace("expected usize", "expected a whole number from 0 up");
        return Problem::error("C003", message).at(error.span(), "");
    };
    match closest(culprit, &known) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None => problem.help(format!("known are: {}", known.join(", "))),
    }
}

/// Takes the key or the value at `span` out of the table, or, where it stands in a list of tables, that whole table:
/// without one of its values it would only be refused again. `false` if there is none.
fn take_out(table: &mut DeTable, span: &Span) -> bool {
    let culprit = table
        .iter()
        .find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = culprit.map(|(key, _)| key.clone()) {
        return table.remove(key.get_ref().as_ref()).is_some();
    }
    table
        .iter_mut()
        .any(|(_, value)| take_out_of(value.get_mut(), span))
}

fn take_out_of<'i>(value: &mut DeValue<'i>, span: &Span) -> bool {
    match value {
        DeValue::Table(table) => take_out(table, span),
        DeValue::Array(list) => {
            let before = list.len();
            let items = std::mem::replace(list, DeArray::new()).into_iter();
            *list = items
                .filter_map(|mut item| {
                    (item.span() != *span && !take_out_of(item.get_mut(), span)).then_some(item)
                })
                .collect();
            list.len() < before
        }
        _ => false,
    }
}
