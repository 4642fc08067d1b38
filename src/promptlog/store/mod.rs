//! The databases that the log can be in, and what is the same in both: how a record is taken apart, shares its texts
//! with others, is compressed and found again.

mod compression;
mod detail;
mod error;
pub(super) mod postgres;
mod row;
mod search_text;
mod segment;
mod sqlite;
mod texts;
mod unpack;

pub(super) use detail::{Detail, Place, Resolver, preview};
pub use error::StoreError;
pub(super) use row::{COLUMNS, NOTHING, Numbers, hash};
pub(super) use search_text::{Term, terms};

use std::{fmt::Debug, sync::Arc, time::Duration};

use super::{
    Record,
    query::{Dialect, Value},
};
use crate::config::LogStore;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// No record is kept longer.
    pub retention: Duration,
    /// Largest size of the log in bytes; what waits in SQLite's write-ahead log, at most a few MiB, comes on top.
    pub max_size: u64,
}

/// The writing side.
pub(super) trait Store: Debug + Send {
    /// Writes records in one transaction and gives their numbers: all of them or none.
    fn write(&mut self, records: &mut dyn Iterator<Item = &Record>)
    -> Result<Vec<i64>, StoreError>;

    /// Writes records that others follow in the same flush: as [`Self::write`], but where that is cheaper a power cut may
    /// take them until those are written.
    fn write_ahead(
        &mut self,
        records: &mut dyn Iterator<Item = &Record>,
    ) -> Result<Vec<i64>, StoreError> {
        self.write(records)
    }

    /// Deletes what the log may not keep, little by little for about this time; says whether there is more to do.
    fn tidy(&mut self, now: i64, patience: Duration) -> Result<bool, StoreError>;

    /// Bytes that the log takes, without room that is free to be written again.
    fn size(&mut self) -> Result<u64, StoreError>;

    /// Whether what is written goes where readers look for it.
    fn is_in_place(&self) -> bool {
        true
    }

    /// Leaves the log such that it needs nobody to be read.
    fn close(self: Box<Self>) -> Result<(), StoreError>;
}

/// Opens a log to write to it, makes it where it is not there, and brings it to the present format.
pub(super) fn open(place: &LogStore, limits: Limits) -> Result<Box<dyn Store>, StoreError> {
    Ok(match place {
        LogStore::Sqlite(path) => Box::new(sqlite::Store::open(path, limits)?),
        LogStore::Postgres(server) => Box::new(postgres::Store::open(server, limits)?),
    })
}

/// The reading side, in questions that each database answers in its own way.
pub(super) trait Source: Send {
    /// How questions are put.
    fn dialect(&self) -> Dialect;

    /// Calls `each` with every row of whole numbers that a query gives.
    fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&[Option<i64>]),
    ) -> Result<(), StoreError>;

    /// The words with numbers above this one.
    fn words(&mut self, above: i64) -> Result<Vec<(i64, Arc<str>)>, StoreError>;

    /// A record's [`Detail`] as JSON.
    fn detail(&mut self, record: i64) -> Result<Vec<u8>, StoreError>;

    /// An image that a record brought.
    fn image(&mut self, record: i64, number: u32) -> Result<Vec<u8>, StoreError>;

    /// Whether what is read is what is written at present.
    fn is_in_place(&self) -> bool {
        true
    }

    /// What tells this log's file from every other; `None` where a log stays the same.
    fn log(&self) -> Option<Identity> {
        None
    }

    /// The first number of a query's first row.
    fn number(&mut self, sql: &str, values: &[Value]) -> Result<Option<i64>, StoreError> {
        let mut found = None;
        self.each(sql, values, &mut |row| {
            found = found.or(row.first().copied().flatten());
        })?;
        Ok(found)
    }
}

/// A file's device and inode: its own for as long as it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// Opens a log that somebody else writes.
pub(super) fn open_to_read(place: &LogStore) -> Result<Box<dyn Source>, StoreError> {
    Ok(match place {
        LogStore::Sqlite(path) => Box::new(sqlite::Source::open(path)?),
        LogStore::Postgres(server) => Box::new(postgres::Source::open(server)?),
    })
}
