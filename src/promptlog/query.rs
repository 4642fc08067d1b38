//! A filter on its way to SQL.

use rusqlite::types::Value;

/// Records that belong to no segment are about to be deleted.
pub(super) const LIVING: &str = "id >= (SELECT min(first) FROM segments)";

/// Where the numbers of records begin or end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    None,
    Below(i64),
    Above(i64),
}

/// A filter as SQL.
pub(super) struct Query {
    /// The tables.
    pub(super) from: &'static str,
    /// The column of the record's number that the first table is sorted by.
    pub(super) id: &'static str,
    pub(super) condition: String,
    pub(super) values: Vec<Value>,
}

impl Query {
    /// All records, read from these tables.
    pub(super) fn of(from: &'static str, id: &'static str) -> Self {
        Self {
            from,
            id,
            condition: LIVING.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds a condition with its value.
    pub(super) fn add(&mut self, sql: &str, value: impl Into<Value>) {
        self.condition.push_str(sql);
        self.values.push(value.into());
    }
}

/// Whether a name fits; `*` stands for any characters.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(name),
        Some((start, rest)) => {
            let begins = name
                .get(..start.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(start));
            let ends = |from: usize| name.get(from..).is_some_and(|end| fits(rest, end));
            begins && (start.len()..=name.len()).any(ends)
        }
    }
}
