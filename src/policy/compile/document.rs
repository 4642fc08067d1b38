//! From texts to tables: files are parsed, rules of the same id replaced, and `[[change]]` applied, all with the places
//! where each word was written.

use std::{borrow::Cow, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Source;
use crate::{
    policy::{
        Origin,
        file::{
            keys::{Key, Kind},
            policies::POLICIES,
            rules::{CHANGE, RULES},
            table::{self, Table, Value},
        },
    },
    problem::{Problem, Sources, Span, closest, padded},
};

/// One table of a file: a rule, a profile, a test...
#[derive(Debug, Clone)]
pub(in crate::policy) struct Item<'a> {
    /// The top-level key that it stands under, e.g. `classify`.
    pub(in crate::policy) kind: &'static str,
    /// What others call it by; `profile.NAME` for a profile.
    pub(super) id: String,
    /// Where its id stands, or what comes nearest to it.
    pub(super) id_span: Span,
    pub(super) origin: Origin,
    pub(super) span: Span,
    pub(super) fields: DeTable<'a>,
}

impl Item<'_> {
    /// The table, for keys that have been checked already.
    pub(in crate::policy) fn check(
        &self,
        keys: &[&[Key]],
        problems: &mut Vec<Problem>,
    ) -> Table<'_> {
        Table::check(self.span.clone(), &self.fields, keys, problems)
    }
}

/// The texts with white space before them, so that each has spans of its own.
#[derive(Debug)]
pub(super) struct Texts(Vec<String>);

impl Texts {
    pub(super) fn new(files: &[Source], sources: &mut Sources) -> Self {
        let text = |file: &Source| {
            let base = sources.add(file.path.as_ref(), file.text.as_str());
            // Some editors put a mark before the text; it is three bytes long.
            padded(
                base,
                &file.text.replacen(
                    '\u{feff}',
                    "   ",
                    usize::from(file.text.starts_with('\u{feff}')),
                ),
            )
        };
        Self(files.iter().map(text).collect())
    }
}

/// The tables of all files of a kind.
#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    pub(super) items: Vec<Item<'a>>,
    changes: Vec<Item<'a>>,
}

/// Reads files in their order.
pub(super) fn read<'a>(
    files: &[Source],
    texts: &'a Texts,
    platform: &str,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Document<'a> {
    let mut document = Document::default();
    for (file, text) in files.iter().zip(&texts.0) {
        let keys = if file.is_policy { POLICIES } else { RULES };
        let (parsed, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let error = |error: &toml::de::Error| {
                Problem::error("P001", error.message())
                    .at(error.span(), "")
                    .help("TOML: `[[rewrite]]` begins a table of a list, `key = \"text\"` stands on a line of its own")
            };
            problems.extend(errors.iter().map(error));
            continue;
        }
        let path: Arc<str> = file.path.clone();
        let origin = |span: &Span| Origin {
            file: path.clone(),
            line: sources.line(span),
        };
        let mut items = Document::default();
        let mut here = true;
        let parsed = parsed.into_inner();
        let has_schema = parsed.contains_key("schema");
        let known = |name: &str| POLICIES.iter().chain(RULES).any(|key| key.name == name);
        if !parsed.is_empty() && !parsed.keys().any(|name| known(name.get_ref())) {
            let base = text.len() - file.text.len();
            let problem = Problem::error("P004", "this is neither a rule nor a policy file");
            let problem = problem.at(Some(base..base), "");
            problems.push(problem.help("a configuration is checked with `rkgate check --config FILE`; rule and policy files begin with `schema = 1`"));
            continue;
        }
        for (name, value) in parsed {
            let Some(key) = keys.iter().find(|key| key.name == name.get_ref()) else {
                problems.push(table::unknown_key(name.get_ref(), name.span(), keys));
                continue;
            };
            match (key.kind, value.get_ref()) {
                (Kind::Tables(_) | Kind::Rewrites, DeValue::Array(_)) => {
                    items.take_list(key.name, value, &origin, problems);
                }
                (Kind::Map(_), DeValue::Table(_)) => {
                    items.take_map(key.name, value, &origin, problems)
                }
                (Kind::Table(_), DeValue::Table(_)) => {
                    let id = key.name.to_owned();
                    items.take(key.name, id, name.span(), value, &origin, problems);
                }
                _ => {
                    table::check_value(&key.kind, key.name, key.doc, &value, problems);
                    if key.name == "platform"
                        && table::text(&value).is_some_and(|word| word != platform)
                    {
                        here = false;
                    }
                }
            }
        }
        if !has_schema {
            let base = text.len() - file.text.len();
            let problem =
                Problem::error("P004", "the key `schema` is missing").at(Some(base..base), "");
            problems.push(problem.help("begin the file with `schema = 1`"));
        }
        if here {
            document.add(items, problems);
        }
    }
    document.apply_changes(problems);
    document
}

impl<'a> Document<'a> {
    fn take_list(
        &mut self,
        kind: &'static str,
        list: Value<'a>,
        origin: &dyn Fn(&Span) -> Origin,
        problems: &mut Vec<Problem>,
    ) {
        let DeValue::Array(list) = list.into_inner() else {
            return;
        };
        for value in list {
            let DeValue::Table(fields) = value.get_ref() else {
                let problem = Problem::error("P003", format!("`{kind}` must be a list of tables"));
                let problem = problem.at(Some(value.span()), "is not");
                problems.push(problem.help(format!("begin each with a line `[[{kind}]]`")));
                continue;
            };
            let id = ["id", "name", "match"].iter().find_map(|key| {
                let value = fields.get(*key)?;
                Some((table::text(value)?.to_owned(), value.span()))
            });
            let (id, id_span) = id.unwrap_or_else(|| (String::new(), value.span()));
            self.take(kind, id, id_span, value, origin, problems);
        }
    }

    /// `[profile.NAME]`.
    fn take_map(
        &mut self,
        kind: &'static str,
        map: Value<'a>,
        origin: &dyn Fn(&Span) -> Origin,
        problems: &mut Vec<Problem>,
    ) {
        let DeValue::Table(map) = map.into_inner() else {
            return;
        };
        for (name, value) in map {
            let id = format!("{kind}.{}", name.get_ref());
            self.take(kind, id, name.span(), value, origin, problems);
        }
    }

    fn take(
        &mut self,
        kind: &'static str,
        id: String,
        id_span: Span,
        value: Value<'a>,
        origin: &dyn Fn(&Span) -> Origin,
        problems: &mut Vec<Problem>,
    ) {
        let span = value.span();
        let DeValue::Table(fields) = value.into_inner() else {
            problems.push(
                Problem::error("P003", format!("`{id}` must be a table"))
                    .at(Some(span), "is not")
                    .help(format!("begin it with a line `[{id}]`")),
            );
            return;
        };
        let item = Item {
            kind,
            id,
            origin: origin(&id_span),
            id_span,
            span,
            fields,
        };
        if kind == "change" {
            self.changes.push(item);
        } else {
            self.items.push(item);
        }
    }

    /// Adds a file's tables to those of the files before it.
    fn add(&mut self, file: Self, problems: &mut Vec<Problem>) {
        for item in file.items {
            // Several files say what becomes of client values: later ones key by key, below.
            let single = !matches!(item.kind, "test" | "client_sampling") && !item.id.is_empty();
            let earlier = self.items.iter_mut().find(|earlier| {
                single
                    && earlier.id == item.id
                    && (earlier.kind == item.kind
                        || item.kind != "model" && earlier.kind != "model")
            });
            let replace = item
                .fields
                .get("replace")
                .is_some_and(|value| matches!(value.get_ref(), DeValue::Boolean(true)));
            match earlier {
                Some(earlier) if replace && earlier.kind == item.kind => *earlier = item,
                Some(earlier) => problems.push(
                    Problem::error("P010", format!("two tables are called `{}`", item.id))
                        .at(Some(item.id_span.clone()), "the second")
                        .at(Some(earlier.id_span.clone()), "the first")
                        .help("give one another id; or say `replace = true` in the second to have it take the first one's place"),
                ),
                None if replace => problems.push(
                    Problem::error("P011", format!("there is no earlier `{}` to replace", item.id))
                        .at(Some(item.id_span.clone()), "")
                        .help("files are read in the byte order of their names"),
                ),
                None => self.items.push(item),
            }
        }
        self.changes.extend(file.changes);
    }

    fn apply_changes(&mut self, problems: &mut Vec<Problem>) {
        for change in std::mem::take(&mut self.changes) {
            let before = problems.len();
            change.check(&[CHANGE], problems);
            if problems.len() > before {
                continue;
            }
            let Some(item) = self
                .items
                .iter_mut()
                .find(|item| item.id == change.id && item.kind != "test")
            else {
                let ids: Vec<&str> = self
                    .items
                    .iter()
                    .map(|item| item.id.as_str())
                    .filter(|id| !id.is_empty())
                    .collect();
                let problem =
                    Problem::error("P011", format!("there is no `{}` to change", change.id))
                        .at(Some(change.id_span.clone()), "");
                problems.push(match closest(&change.id, &ids) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem.help("`rkgate explain` shows the ids of rules"),
                });
                continue;
            };
            for (key, value) in change.fields {
                match (key.get_ref().as_ref(), value.get_ref()) {
                    ("mode", _) => put(&mut item.fields, key, value),
                    ("set", DeValue::Table(table)) => set(&mut item.fields, table),
                    ("add", DeValue::Table(table)) => add(&mut item.fields, table, problems),
                    ("set" | "add", _) => {
                        let problem =
                            Problem::error("P003", format!("`{}` must be a table", key.get_ref()));
                        let problem = problem.at(Some(value.span()), "is not");
                        problems.push(problem.help("for example: { key = value }"));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Inserting over a key would keep the old one's place.
fn put<'a>(fields: &mut DeTable<'a>, key: Spanned<Cow<'a, str>>, value: Value<'a>) {
    fields.remove(key.get_ref().as_ref());
    fields.insert(key, value);
}

/// Puts the changes over the fields, tables key by key.
pub(super) fn set<'a>(fields: &mut DeTable<'a>, changes: &DeTable<'a>) {
    for (key, value) in changes {
        match (
            fields.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut),
            value.get_ref(),
        ) {
            (Some(DeValue::Table(old)), DeValue::Table(new)) => set(old, new),
            _ => put(fields, key.clone(), value.clone()),
        }
    }
}

fn add<'a>(fields: &mut DeTable<'a>, changes: &DeTable<'a>, problems: &mut Vec<Problem>) {
    for (key, value) in changes {
        match (
            fields.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut),
            value.get_ref(),
        ) {
            (Some(DeValue::Table(old)), DeValue::Table(new)) => add(old, new, problems),
            (Some(DeValue::Array(old)), DeValue::Array(new)) => {
                for item in new.iter() {
                    old.push(item.clone());
                }
            }
            (None, _) => put(fields, key.clone(), value.clone()),
            (Some(_), _) => problems.push(
                Problem::error(
                    "P003",
                    format!("nothing can be added to `{}`", key.get_ref()),
                )
                .at(Some(key.span()), "is no list")
                .help("`set` gives a key another value"),
            ),
        }
    }
}

/// `client_sampling` tables in the order of their files, merged: later ones key by key.
pub(super) fn merged<'a>(items: &[Item<'a>], kind: &str) -> Option<Item<'a>> {
    let mut all = items.iter().filter(|item| item.kind == kind);
    let mut merged = all.next()?.clone();
    for item in all {
        set(&mut merged.fields, &item.fields);
    }
    Some(merged)
}
