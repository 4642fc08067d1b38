//! What can go wrong with a database.

use std::{error::Error, path::PathBuf};

use rusqlite::ErrorCode;

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no file to read.
    #[error(
        "there is no prompt log at {path}; `rkgate serve` begins it, and `--config` names another rkgate.toml, whose `log.path` says where it is"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file or its directory cannot be used.
    #[error(
        "cannot open the prompt log {path}; the directory must exist, and both must belong to the user that rkgate runs as (`log.path` says where the log is)"
    )]
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
    /// The PostgreSQL server refused, or cannot be reached.
    #[error("cannot {attempt} the prompt log on its server")]
    Server {
        /// What was attempted.
        attempt: &'static str,
        /// Why.
        source: tokio_postgres::Error,
    },
    /// The PostgreSQL server did not answer in time.
    #[error("cannot {attempt} the prompt log: its server does not answer")]
    Silent {
        /// What was attempted.
        attempt: &'static str,
    },
    /// What a connection to the server needs cannot be set up.
    #[error("cannot connect to the prompt log's server: {reason}")]
    Connection {
        /// Why.
        reason: String,
    },
    /// A later version wrote it.
    #[error(
        "the prompt log is of format {found}, and this version knows up to {known}; use the version that wrote it, or move the log away (`log.path`, `log.url`) and rkgate begins a new one"
    )]
    Newer {
        /// The log's format.
        found: u32,
        /// The last one known here.
        known: u32,
    },
    /// An earlier version wrote it, and none has brought it up to date.
    #[error(
        "the prompt log is of format {found}, this version reads {known}; `rkgate serve` brings it up to date when it starts"
    )]
    Older {
        /// The log's format.
        found: u32,
        /// The one that is read here.
        known: u32,
    },
    /// It is some other program's database.
    #[error(
        "{place} is a database, but no prompt log; set `log.path` or `log.url` to another place"
    )]
    Foreign {
        /// The file or the server.
        place: String,
    },
    /// Not every text can be stored in it.
    #[error("the database {place} is encoded in {encoding}; a prompt log needs UTF8")]
    Encoding {
        /// The server.
        place: String,
        /// The database's encoding.
        encoding: String,
    },
    /// Another process writes to it.
    #[error(
        "another rkgate writes to the prompt log {path}; set `log.path` of one of them to another file"
    )]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// A record cannot be brought into the form that is kept.
    #[error("record {place} of those to be written cannot be packed: {reason}")]
    Unfit {
        /// Its position among them, from 0.
        place: usize,
        /// Why.
        reason: String,
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
    /// What went wrong and the whole chain of reasons.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            words.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        if self.is_malformed() {
            words.push_str("; move the file away (`log.path`) and rkgate begins a new one");
        }
        words
    }

    /// Whether the file itself is not what SQLite wrote.
    pub(super) fn is_malformed(&self) -> bool {
        let Self::Database { source, .. } = self else {
            return false;
        };
        matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    }

    /// Wraps an error of SQLite.
    pub(super) fn database(attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database { attempt, source }
    }

    /// Wraps an error of PostgreSQL.
    pub(super) fn server(attempt: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Server { attempt, source }
    }

    pub(super) fn unfit(place: usize, reason: &std::io::Error) -> Self {
        Self::Unfit {
            place,
            reason: reason.to_string(),
        }
    }

    pub(in crate::promptlog) fn damaged(id: i64, reason: impl ToString) -> Self {
        Self::Damaged {
            id,
            reason: reason.to_string(),
        }
    }
}
