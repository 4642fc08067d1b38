//! The database: one writer, any number of readers.

mod compression;
mod detail;
mod files;
mod insert;
mod schema;
mod search_text;
mod segment;
mod texts;
mod unpack;
mod words;

pub(super) use detail::{Detail, Place, Resolver, preview};
pub(super) use files::open_to_read;
pub(super) use insert::hash;
pub(super) use search_text::query as search_query;
pub(super) use unpack::Unpackers;
pub(super) use words::NOTHING;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use super::Record;
use segment::Segment;
use words::Words;

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its directory cannot be used.
    #[error("cannot open the prompt log {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("cannot {attempt} the prompt log")]
    Database {
        /// What was attempted.
        attempt: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
    /// A later version wrote it.
    #[error("the prompt log is of format {found}; this version knows up to {known}")]
    Newer {
        /// The file's format.
        found: u32,
        /// The last one known here.
        known: u32,
    },
    /// It is some other program's database.
    #[error("{path} is a database, but no prompt log")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A record is not what was written.
    #[error("record {id} of the prompt log is damaged: {reason}")]
    Damaged {
        /// The record.
        id: i64,
        /// In what way.
        reason: String,
    },
}

impl StoreError {
    /// Wraps an error of SQLite.
    pub(super) fn database(attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database { attempt, source }
    }

    pub(super) fn damaged(id: i64, reason: impl ToString) -> Self {
        Self::Damaged {
            id,
            reason: reason.to_string(),
        }
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// No record is kept longer.
    pub retention: Duration,
    /// Largest size of the database in bytes; what waits in its write-ahead log, at most a few MiB, comes on top.
    pub max_size: u64,
}

/// The writing side.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    unpackers: Unpackers,
    wal: PathBuf,
    limits: Limits,
    words: Words,
    /// The number of the next record.
    next: i64,
    /// What records share texts in; begun anew each time the log is opened.
    segment: Option<Segment>,
    /// Flushes that may not reach for the disk again, because a checkpoint did so more often than one flush may.
    resting: u32,
}

/// Flushes that share the price of a checkpoint: it syncs the write-ahead log, the database, and later the new header
/// of the write-ahead log.
const CHECKPOINT_REST: u32 = 3;
/// A checkpoint is made once the write-ahead log is this large.
const CHECKPOINT_BYTES: u64 = 4 << 20;

impl Store {
    /// Opens the log, makes it where it is not there, and brings it to the present format.
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let mut connection = files::open_to_write(path)?;
        schema::bring_up_to_date(&mut connection, path)?;
        let failed = StoreError::database("read");
        let next = connection
            .query_row("SELECT coalesce(max(id), 0) + 1 FROM records", [], |row| {
                row.get(0)
            })
            .map_err(failed)?;
        Ok(Self {
            unpackers: Unpackers::default(),
            words: Words::default(),
            wal: files::beside(path, "-wal"),
            connection,
            limits,
            next,
            segment: None,
            resting: 0,
        })
    }

    /// Writes records in one transaction and gives their numbers: all of them or none. When it returns they survive
    /// the end of the process; a power cut from the next flush on, but for the flushes that follow a checkpoint.
    pub(super) fn write<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Vec<i64>, StoreError> {
        let sync = if self.resting == 0 { "FULL" } else { "NORMAL" };
        let failed = StoreError::database("write to");
        self.connection
            .pragma_update(None, "synchronous", sync)
            .map_err(failed)?;
        let written = self.insert_all(records);
        match written {
            Ok(_) => self.resting = self.resting.saturating_sub(1),
            // Words and texts of the transaction are not in the database after all.
            Err(_) => {
                self.words = Words::default();
                self.segment = None;
            }
        }
        written
    }

    /// Keeps the log within its limits, a bounded amount of work at a time; says whether there is more to do.
    pub(super) fn tidy(&mut self, now: i64) -> Result<bool, StoreError> {
        let open = self.segment.as_ref().map(|segment| segment.id);
        let dropped = segment::drop_oldest(&self.connection, self.limits, now)
            .map_err(StoreError::database("tidy"))?;
        if dropped.is_some() && dropped == open {
            self.segment = None;
        }
        let more = segment::purge(&mut self.connection).map_err(StoreError::database("tidy"))?;
        if !more {
            segment::give_back(&self.connection, self.limits)
                .map_err(StoreError::database("tidy"))?;
        }
        self.checkpoint()?;
        Ok(more)
    }

    /// Bytes that the database holds; free pages in it are not counted.
    pub(super) fn size(&self) -> Result<u64, StoreError> {
        segment::size(&self.connection).map_err(StoreError::database("read"))
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let large = std::fs::metadata(&self.wal).is_ok_and(|file| file.len() >= CHECKPOINT_BYTES);
        if large {
            // A reader may hold it up; then the next flush tries again.
            self.connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(StoreError::database("checkpoint"))?;
            self.resting = CHECKPOINT_REST;
        }
        Ok(())
    }
}
