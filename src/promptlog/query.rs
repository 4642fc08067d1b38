//! A filter on its way to SQL.

use super::{
    Filter, StoreError,
    store::{self, Term},
};

/// Where the numbers of records begin or end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    None,
    Below(i64),
    Above(i64),
}

/// A value in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Integer(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// In what the databases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// Records that belong to no segment are about to be deleted; PostgreSQL deletes them with their segment.
    pub(super) const fn living(self) -> &'static str {
        match self {
            Self::Sqlite => "id >= (SELECT min(first) FROM segments)",
            Self::Postgres => "true",
        }
    }

    /// Terms in the form that the search index asks for; `None` where there are none.
    pub(super) fn matching(self, terms: &[Term]) -> Option<String> {
        // No word has a quote in it.
        let term = |Term { word, is_open }: &Term| match (self, is_open) {
            (Self::Sqlite, false) => format!("\"{word}\""),
            (Self::Sqlite, true) => format!("\"{word}\"*"),
            (Self::Postgres, false) => format!("'{word}'"),
            (Self::Postgres, true) => format!("'{word}':*"),
        };
        let and = match self {
            Self::Sqlite => " ",
            Self::Postgres => " & ",
        };
        let terms: Vec<String> = terms.iter().map(term).collect();
        (!terms.is_empty()).then(|| terms.join(and))
    }
}

/// A filter as SQL.
pub(super) struct Query {
    /// The tables.
    pub(super) from: &'static str,
    /// The column of the record's number that the first table is sorted by.
    pub(super) id: &'static str,
    pub(super) condition: String,
    /// One for each `?` in the condition.
    pub(super) values: Vec<Value>,
}

impl Query {
    /// A filter as SQL; `None` where nothing can fit. `numbers` gives the numbers of the words that a test lets pass.
    pub(super) fn of(
        filter: &Filter,
        dialect: Dialect,
        mut numbers: impl FnMut(&dyn Fn(&str) -> bool) -> Result<Vec<i64>, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let mut query = Self::searching(filter, dialect);
        if let Some(since) = filter.since {
            if dialect == Dialect::Sqlite {
                // Segments know their times: what is older as a whole is passed over unread.
                let first = "SELECT first FROM segments WHERE newest >= ? ORDER BY id LIMIT 1";
                let begin = format!(" AND {} >= coalesce(({first}), 0)", query.id);
                query.add(&begin, since);
            }
            query.add(" AND time >= ?", since);
        }
        if let Some(until) = filter.until {
            query.add(" AND time < ?", until);
        }
        if let Some(conversation) = &filter.conversation {
            query.add(" AND conversation = ?", store::hash(conversation));
        }
        if let Some(request) = &filter.request {
            query.add(" AND request = ?", store::hash(request));
        }
        match filter.failed {
            Some(true) => query.condition.push_str(" AND status >= 400"),
            Some(false) => query.condition.push_str(" AND status < 400"),
            None => {}
        }
        for (column, wanted) in words(filter) {
            let Some(wanted) = wanted else { continue };
            let numbers = numbers(&|word| match column {
                "labels" => word.split(',').any(|label| label == wanted),
                _ => fits(wanted, word),
            })?;
            if numbers.is_empty() {
                return Ok(None);
            }
            let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
            let numbers = numbers.join(", ");
            query
                .condition
                .push_str(&format!(" AND {column} IN ({numbers})"));
        }
        Ok(Some(query))
    }

    /// What has the words that are searched for.
    fn searching(filter: &Filter, dialect: Dialect) -> Self {
        let text = filter.text.as_deref().map(store::terms);
        let text = text.and_then(|terms| dialect.matching(&terms));
        let all = |from, id| Self {
            from,
            id,
            condition: dialect.living().to_owned(),
            values: Vec::new(),
        };
        match (text, dialect) {
            // The index gives records in their order and is read until a page is full. Asked the other way round, which records
            // are among those found, SQLite first collects all that are found.
            (Some(text), Dialect::Sqlite) => {
                let from = "search CROSS JOIN records ON records.id = search.rowid";
                let mut query = all(from, "search.rowid");
                query.add(" AND search MATCH ?", text);
                query
            }
            (Some(text), Dialect::Postgres) => {
                let mut query = all("records", "id");
                let found = "SELECT id FROM details WHERE words @@ ?::text::tsquery";
                query.add(&format!(" AND id IN ({found})"), text);
                query
            }
            (None, _) => all("records", "id"),
        }
    }

    /// Adds a condition with its value.
    pub(super) fn add(&mut self, sql: &str, value: impl Into<Value>) {
        self.condition.push_str(sql);
        self.values.push(value.into());
    }
}

/// What is asked of values that many records share, by column.
fn words(filter: &Filter) -> [(&'static str, Option<&str>); 3] {
    [
        ("class", filter.class.as_deref()),
        ("model", filter.model.as_deref()),
        ("labels", filter.label.as_deref()),
    ]
}

/// Whether a name fits; `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
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
