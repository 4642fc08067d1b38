//! The log on a PostgreSQL server, for several instances of rkgate that write and read the same one.

mod insert;
mod read;
mod schema;
mod segments;
mod session;
mod tls;

#[cfg(test)]
pub(in crate::promptlog) mod tests;

pub(super) use read::Source;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{Limits, StoreError, segment::Segment, unpack::Unpackers};
use crate::{config::LogServer, promptlog::Record};
use session::Session;

/// Whoever writes or deletes holds this lock: records become visible in the order of their numbers, so that nobody who
/// follows the log misses one, and no segment goes while records are added to it. Readers are not held up.
const TAKE_TURNS: &str = "LOCK TABLE rkgate_log IN EXCLUSIVE MODE";

/// The writing side.
#[derive(Debug)]
pub(super) struct Store {
    session: Session,
    limits: Limits,
    open: Open,
}

/// What the writer knows of what it has written; not to be trusted after a failure.
#[derive(Debug, Default)]
struct Open {
    words: HashMap<String, i64>,
    unpackers: Unpackers,
    /// What records share texts in; begun anew each time the log is opened.
    segment: Option<Segment>,
}

impl Store {
    pub(super) fn open(server: &LogServer, limits: Limits) -> Result<Self, StoreError> {
        let mut session = Session::open(server)?;
        session.run("migrate", async |statements| {
            schema::bring_up_to_date(statements, server).await
        })?;
        Ok(Self {
            session,
            limits,
            open: Open::default(),
        })
    }
}

impl super::Store for Store {
    /// When it returns, records are as safe as the server keeps what it has committed.
    fn write(
        &mut self,
        records: &mut dyn Iterator<Item = &Record>,
    ) -> Result<Vec<i64>, StoreError> {
        let records: Vec<&Record> = records.collect();
        let (open, limits) = (&mut self.open, self.limits);
        let written = self.session.run("write to", async |statements| {
            insert::insert_all(statements, open, limits, &records).await
        });
        if written.is_err() {
            // Words and texts of the transaction are not in the database after all.
            self.open = Open::default();
        }
        written
    }

    fn tidy(&mut self, now: i64, patience: Duration) -> Result<bool, StoreError> {
        let limits = self.limits;
        let begun = Instant::now();
        loop {
            let dropped = self.session.run("tidy", async |statements| {
                segments::drop_oldest(statements, limits, now).await
            })?;
            if !dropped || begun.elapsed() >= patience {
                return Ok(dropped);
            }
        }
    }

    fn size(&mut self) -> Result<u64, StoreError> {
        self.session.run("read", async |statements| {
            segments::size(statements)
                .await
                .map_err(StoreError::server("read"))
        })
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}
