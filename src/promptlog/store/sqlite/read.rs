//! Reading.

use std::{path::Path, sync::Arc};

use rusqlite::{
    Connection, OptionalExtension, ToSql, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};

use super::{
    files::{self, Files},
    segments::FLOOR,
};
use crate::promptlog::{
    query::{Dialect, Value},
    store::{self, Identity, StoreError, segment::EXAMPLES, unpack::Unpackers, unpack::gone},
};

/// The reading side.
pub(in crate::promptlog::store) struct Source {
    connection: Connection,
    files: Files,
    unpackers: Unpackers,
}

impl Source {
    pub(in crate::promptlog::store) fn open(path: &Path) -> Result<Self, StoreError> {
        let (connection, files) = files::open_to_read(path)?;
        Ok(Self {
            connection,
            files,
            unpackers: Unpackers::default(),
        })
    }
}

impl store::Source for Source {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&[Option<i64>]),
    ) -> Result<(), StoreError> {
        let mut read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut numbers = vec![None; statement.column_count()];
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                for (column, number) in numbers.iter_mut().enumerate() {
                    *number = row.get(column)?;
                }
                each(&numbers);
            }
            Ok(())
        };
        read().map_err(StoreError::database("read"))
    }

    fn words(&mut self, above: i64) -> Result<Vec<(i64, Arc<str>)>, StoreError> {
        self.connection
            .prepare_cached("SELECT id, text FROM words WHERE id > ?1")
            .and_then(|mut statement| {
                let words = statement.query_map([above], |row| {
                    Ok((row.get(0)?, row.get::<_, String>(1)?.into()))
                })?;
                words.collect()
            })
            .map_err(StoreError::database("read"))
    }

    fn detail(&mut self, record: i64) -> Result<Vec<u8>, StoreError> {
        detail(&self.connection, &mut self.unpackers, record)
    }

    fn image(&mut self, record: i64, number: u32) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT data FROM images WHERE record = ?1 AND number = ?2";
        let data = blob(&self.connection, record, sql, &[&record, &number])?;
        unpack(&self.connection, &mut self.unpackers, record, &data)
    }

    fn is_in_place(&self) -> bool {
        self.files.are_in_place()
    }

    fn log(&self) -> Option<Identity> {
        self.files.database()
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Integer(number) => ToSqlOutput::from(*number),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// The JSON of the last records, newest first, of those that can be read.
pub(super) fn latest(
    connection: &Connection,
    unpackers: &mut Unpackers,
) -> Result<impl Iterator<Item = Vec<u8>>, StoreError> {
    let latest: Vec<i64> = connection
        .prepare_cached(&format!(
            "SELECT id FROM details WHERE id >= {FLOOR} ORDER BY id DESC LIMIT {EXAMPLES}"
        ))
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(StoreError::database("read"))?;
    let details = latest
        .into_iter()
        .filter_map(|id| detail(connection, unpackers, id).ok());
    Ok(details)
}

fn detail(
    connection: &Connection,
    unpackers: &mut Unpackers,
    record: i64,
) -> Result<Vec<u8>, StoreError> {
    let sql = "SELECT data FROM details WHERE id = ?1";
    let data = blob(connection, record, sql, &[&record])?;
    unpack(connection, unpackers, record, &data)
}

/// Unpacks with the dictionary of the record's segment.
fn unpack(
    connection: &Connection,
    unpackers: &mut Unpackers,
    record: i64,
    data: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let dictionary: Option<i64> = connection
        .prepare_cached(
            "SELECT dictionary FROM segments WHERE first <= ?1 ORDER BY id DESC LIMIT 1",
        )
        .and_then(|mut statement| statement.query_row([record], |row| row.get(0)).optional())
        .map_err(StoreError::database("read"))?;
    let dictionary = dictionary.ok_or_else(|| gone(record))?;
    unpackers.unpack(record, data, dictionary, || {
        let sql = "SELECT data FROM dictionaries WHERE id = ?1";
        blob(connection, record, sql, &[&dictionary])
    })
}

fn blob(
    connection: &Connection,
    record: i64,
    sql: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<u8>, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row(values, |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })
        .map_err(|error| match StoreError::database("read")(error) {
            // The place of one record is spoilt; others can be read.
            malformed if malformed.is_malformed() => StoreError::damaged(record, malformed.words()),
            error => error,
        })?
        .ok_or_else(|| gone(record))
}
