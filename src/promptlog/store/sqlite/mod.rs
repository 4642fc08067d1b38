//! The log in a file: one writer, any number of readers.

mod files;
mod insert;
mod read;
mod schema;
mod segments;
mod words;

pub(super) use read::Source;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{Limits, StoreError, segment::Segment, unpack::Unpackers};
use crate::promptlog::Record;
use files::{Files, Lock};
use segments::Tidied;
use words::Words;

/// The writing side.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    unpackers: Unpackers,
    files: Files,
    limits: Limits,
    words: Words,
    /// The number of the next record.
    next: i64,
    /// What records share texts in; begun anew each time the log is opened.
    segment: Option<Segment>,
    /// Flushes that may not reach for the disk again, because a checkpoint did so more often than one flush may.
    resting: u32,
    /// Given back last.
    lock: Lock,
}

/// Flushes that share the price of a checkpoint: it syncs the write-ahead log, the database, and later the new header
/// of the write-ahead log.
const CHECKPOINT_REST: u32 = 3;
/// A checkpoint is made once the write-ahead log is this large.
const CHECKPOINT_BYTES: u64 = 4 << 20;

impl Store {
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let (mut connection, lock) = files::open_to_write(path)?;
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
            files: Files::opened(path),
            connection,
            limits,
            next,
            segment: None,
            resting: 0,
            lock,
        })
    }

    fn set_sync(&self, sync: &str) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "synchronous", sync)
    }

    fn write_synced(
        &mut self,
        records: &mut dyn Iterator<Item = &Record>,
        sync: &str,
    ) -> Result<Vec<i64>, StoreError> {
        self.set_sync(sync)
            .map_err(StoreError::database("write to"))?;
        let written = self.insert_all(records);
        if written.is_err() {
            // Words and texts of the transaction are not in the database after all.
            self.words = Words::default();
            self.segment = None;
        }
        written
    }

    fn checkpoint(&self) -> Result<(), StoreError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(StoreError::database("checkpoint"))
    }
}

impl super::Store for Store {
    /// When it returns, records survive the end of the process; a power cut from the next flush on, but for the flushes
    /// that follow a checkpoint.
    fn write(
        &mut self,
        records: &mut dyn Iterator<Item = &Record>,
    ) -> Result<Vec<i64>, StoreError> {
        let sync = if self.resting == 0 { "FULL" } else { "NORMAL" };
        let written = self.write_synced(records, sync);
        if written.is_ok() {
            self.resting = self.resting.saturating_sub(1);
        }
        written
    }

    fn write_ahead(
        &mut self,
        records: &mut dyn Iterator<Item = &Record>,
    ) -> Result<Vec<i64>, StoreError> {
        self.write_synced(records, "NORMAL")
    }

    fn tidy(&mut self, now: i64, patience: Duration) -> Result<bool, StoreError> {
        let failed = || StoreError::database("tidy");
        let begun = Instant::now();
        // The records of this flush are safe. What a power cut brings back is deleted again, and need not reach for the
        // disk.
        self.set_sync("NORMAL").map_err(failed())?;
        let more = loop {
            let open = self.segment.as_ref().map(|segment| segment.id);
            let Tidied { dropped, more } =
                segments::tidy(&mut self.connection, self.limits, now).map_err(failed())?;
            if dropped.is_some() && dropped == open {
                self.segment = None;
            }
            if !more || begun.elapsed() >= patience {
                break more;
            }
        };
        if self.files.wal_len() >= CHECKPOINT_BYTES {
            // A reader may hold it up; then the next flush tries again.
            self.checkpoint()?;
            self.resting = CHECKPOINT_REST;
        }
        Ok(more)
    }

    fn size(&mut self) -> Result<u64, StoreError> {
        segments::size(&self.connection).map_err(StoreError::database("read"))
    }

    fn is_in_place(&self) -> bool {
        self.files.are_in_place()
    }

    /// All is in the one file then, even while a reader keeps the others from being deleted.
    fn close(self: Box<Self>) -> Result<(), StoreError> {
        let checkpointed = self.checkpoint();
        let Self {
            connection,
            files,
            lock,
            ..
        } = *self;
        drop(connection);
        files.leave();
        drop(lock);
        checkpointed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::promptlog::{
        FailureKind,
        store::Store as _,
        tests::{LIMITS, NOW, chat},
    };

    #[test]
    fn a_full_disk_is_told_as_such_and_leaves_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("log.sqlite"), LIMITS).unwrap();
        let small = chat(NOW, "hello", "hi");
        assert_eq!(store.write(&mut [&small].into_iter()).unwrap(), [1]);
        let pages: i64 = store
            .connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        let limit = |store: &Store, pages: i64| {
            let limit = store
                .connection
                .pragma_update(None, "max_page_count", pages);
            limit.unwrap();
        };
        limit(&store, pages + 1);
        let much: String = (0..50_000_u64).map(|n| format!("{:x}", n * n)).collect();
        let large = chat(NOW, &much, "hi");
        let full = store.write(&mut [&small, &large].into_iter()).unwrap_err();
        assert_eq!(FailureKind::from(&full), FailureKind::DiskFull, "{full:?}");
        limit(&store, 1 << 20);
        let written = store.write(&mut [&small, &large].into_iter()).unwrap();
        assert_eq!(written, [2, 3]);
    }

    /// Frames of the write-ahead log that end a transaction: they tell the database's size.
    fn commits(path: &Path) -> usize {
        const HEADER: usize = 32;
        const FRAME: usize = 24 + 4096;
        let wal = std::fs::read(path.with_extension("sqlite-wal")).unwrap();
        let frames = wal[HEADER..].chunks_exact(FRAME);
        frames.filter(|frame| frame[4..8] != [0; 4]).count()
    }

    #[test]
    fn deleting_is_one_transaction_and_does_not_reach_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.sqlite");
        let mut store = Store::open(&path, LIMITS).unwrap();
        let chats: Vec<_> = (0..10).map(|n| chat(NOW + n, "hello", "hi")).collect();
        store.write(&mut chats.iter()).unwrap();
        let before = commits(&path);
        let later = NOW + i64::try_from(LIMITS.retention.as_millis()).unwrap() + 20;
        assert!(store.tidy(later, Duration::ZERO).unwrap());
        assert_eq!(commits(&path), before + 1);
        let number = |sql: &str| {
            let number = store.connection.query_row(sql, [], |row| row.get(0));
            number.unwrap_or(-1_i64)
        };
        assert_eq!(number("SELECT count(*) FROM records"), 0);
        assert_eq!(number("PRAGMA synchronous"), NORMAL);
    }

    const NORMAL: i64 = 1;
    const FULL: i64 = 2;

    #[test]
    fn a_flush_reaches_for_the_disk_once_and_those_after_a_checkpoint_make_up_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.sqlite");
        let mut store = Store::open(&path, LIMITS).unwrap();
        let small = chat(NOW, "hello", "hi");
        let sync = |store: &Store| {
            let sync = store
                .connection
                .pragma_query_value(None, "synchronous", |row| row.get(0));
            sync.unwrap_or(-1_i64)
        };
        store.write_ahead(&mut [&small].into_iter()).unwrap();
        assert_eq!(sync(&store), NORMAL);
        let noise = |n: u64| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let much: String = (0..700_000).map(noise).collect();
        store
            .write(&mut [&chat(NOW, &much, "hi")].into_iter())
            .unwrap();
        assert_eq!(sync(&store), FULL);
        assert!(store.files.wal_len() >= CHECKPOINT_BYTES);
        store.tidy(NOW, Duration::ZERO).unwrap();
        let after = (0..=CHECKPOINT_REST).map(|_| {
            store.write(&mut [&small].into_iter()).unwrap();
            sync(&store)
        });
        assert_eq!(after.collect::<Vec<_>>(), [NORMAL, NORMAL, NORMAL, FULL]);
    }
}
