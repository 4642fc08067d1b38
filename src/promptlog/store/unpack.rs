//! Reading what was packed, with the dictionary that it was packed with.

use std::collections::{HashMap, hash_map::Entry};

use rusqlite::{Connection, OptionalExtension, ToSql};

use super::{Detail, StoreError, compression::Unpacker};

/// One for each dictionary that segments were written with.
#[derive(Debug, Default)]
pub(in crate::promptlog) struct Unpackers(HashMap<i64, Unpacker>);

impl Unpackers {
    /// What is kept of a record beside its numbers.
    pub(in crate::promptlog) fn detail(
        &mut self,
        connection: &Connection,
        id: i64,
    ) -> Result<Detail, StoreError> {
        let json = self.json(connection, id)?;
        serde_json::from_slice(&json).map_err(|error| StoreError::damaged(id, error))
    }

    pub(super) fn json(&mut self, connection: &Connection, id: i64) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT data FROM details WHERE id = ?1";
        self.data(connection, id, sql, &[&id])
    }

    /// What was packed in the segment of a record.
    pub(in crate::promptlog) fn data(
        &mut self,
        connection: &Connection,
        record: i64,
        sql: &str,
        values: &[&dyn ToSql],
    ) -> Result<Vec<u8>, StoreError> {
        let read = |sql: &str, values: &[&dyn ToSql]| {
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    statement
                        .query_row(values, |row| row.get::<_, Vec<u8>>(0))
                        .optional()
                })
                .map_err(StoreError::database("read"))?
                .ok_or_else(|| StoreError::damaged(record, "it is no longer there"))
        };
        let data = read(sql, values)?;
        let dictionary: Option<i64> = connection
            .prepare_cached(
                "SELECT dictionary FROM segments WHERE first <= ?1 ORDER BY id DESC LIMIT 1",
            )
            .and_then(|mut statement| statement.query_row([record], |row| row.get(0)).optional())
            .map_err(StoreError::database("read"))?;
        let dictionary =
            dictionary.ok_or_else(|| StoreError::damaged(record, "it is no longer there"))?;
        let unpacker = match self.0.entry(dictionary) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let sql = "SELECT data FROM dictionaries WHERE id = ?1";
                let text = read(sql, &[&dictionary])?;
                let unpacker = Unpacker::new(&text);
                new.insert(unpacker.map_err(|error| StoreError::damaged(record, error))?)
            }
        };
        unpacker
            .unpack(&data)
            .map_err(|error| StoreError::damaged(record, error))
    }
}
