//! How the log is.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use rusqlite::ErrorCode;
use serde::Serialize;
use tokio_postgres::error::SqlState;

use super::StoreError;

/// Whether records are being written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// They are.
    Running,
    /// They are not; what can be held in memory will be written once it works again.
    Stopped {
        /// Since when, in milliseconds since 1970.
        since: i64,
        /// What kind of failure it is.
        failure: FailureKind,
        /// Why.
        reason: String,
    },
}

/// Why nothing can be written, as far as a metric's label may tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The disk, or the file's quota, is full.
    DiskFull,
    /// The file or its directory cannot be opened or written to.
    NoAccess,
    /// The disk fails, or the file may not grow.
    Io,
    /// Another process holds the database.
    Busy,
    /// The database is no prompt log, a later version's, or damaged.
    Unusable,
    /// The database's server cannot be reached, or does not answer.
    Unreachable,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::DiskFull,
        Self::NoAccess,
        Self::Io,
        Self::Busy,
        Self::Unusable,
        Self::Unreachable,
        Self::Other,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::NoAccess => "no_access",
            Self::Io => "io",
            Self::Busy => "busy",
            Self::Unusable => "unusable",
            Self::Unreachable => "unreachable",
            Self::Other => "other",
        }
    }
}

impl From<&StoreError> for FailureKind {
    fn from(error: &StoreError) -> Self {
        let code = match error {
            StoreError::File { .. } | StoreError::Missing { .. } => return Self::NoAccess,
            StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::Foreign { .. }
            | StoreError::Encoding { .. }
            | StoreError::Unfit { .. }
            | StoreError::Damaged { .. } => return Self::Unusable,
            StoreError::Taken { .. } => return Self::Busy,
            StoreError::Silent { .. } => return Self::Unreachable,
            StoreError::Connection { .. } => return Self::Other,
            StoreError::Server { source, .. } => return Self::of_server(source.code()),
            StoreError::Database { source, .. } => source.sqlite_error_code(),
        };
        match code {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::NoAccess
            }
            Some(ErrorCode::SystemIoFailure) => Self::Io,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Unusable,
            _ => Self::Other,
        }
    }
}

impl FailureKind {
    /// By what the server said; where it said nothing, the connection failed.
    fn of_server(code: Option<&SqlState>) -> Self {
        let Some(code) = code else {
            return Self::Unreachable;
        };
        match code {
            &SqlState::DISK_FULL => Self::DiskFull,
            &SqlState::IO_ERROR => Self::Io,
            &SqlState::LOCK_NOT_AVAILABLE | &SqlState::TOO_MANY_CONNECTIONS => Self::Busy,
            &SqlState::INVALID_PASSWORD
            | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            | &SqlState::INVALID_CATALOG_NAME
            | &SqlState::INSUFFICIENT_PRIVILEGE
            | &SqlState::READ_ONLY_SQL_TRANSACTION => Self::NoAccess,
            &SqlState::ADMIN_SHUTDOWN
            | &SqlState::CRASH_SHUTDOWN
            | &SqlState::CANNOT_CONNECT_NOW
            | &SqlState::QUERY_CANCELED => Self::Unreachable,
            _ => Self::Other,
        }
    }
}

/// How the log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The database: a file, or a server's URL.
    pub path: String,
    /// Whether records are being written.
    #[serde(flatten)]
    pub health: Health,
    /// Records that wait to be written.
    pub waiting: u64,
    /// Bytes of content in them.
    pub waiting_bytes: u64,
    /// Records written since rkgate started.
    pub written: u64,
    /// Records whose content was left out, because the writer could not keep up.
    pub content_dropped: u64,
    /// Records that were not written at all.
    pub lost: u64,
    /// Size of the database in bytes.
    pub size: u64,
}

/// What sender and writer note.
#[derive(Debug)]
pub(super) struct Board {
    path: String,
    health: Mutex<Health>,
    pub(super) waiting: AtomicU64,
    /// Bytes of content that wait.
    pub(super) held: AtomicUsize,
    pub(super) written: AtomicU64,
    pub(super) content_dropped: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) size: AtomicU64,
}

impl Board {
    pub(super) fn new(path: String) -> Self {
        Self {
            path,
            health: Mutex::new(Health::Running),
            waiting: AtomicU64::new(0),
            held: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            content_dropped: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            size: AtomicU64::new(0),
        }
    }

    pub(super) fn status(&self) -> Status {
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Status {
            path: self.path.clone(),
            health: self
                .health
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            waiting: number(&self.waiting),
            waiting_bytes: self.held.load(Ordering::Relaxed) as u64,
            written: number(&self.written),
            content_dropped: number(&self.content_dropped),
            lost: number(&self.lost),
            size: number(&self.size),
        }
    }

    /// Notes that writing failed; says whether it had worked until now.
    pub(super) fn stopped(&self, now: i64, failure: FailureKind, reason: String) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, was_running) = match *health {
            Health::Running => (now, true),
            Health::Stopped { since, .. } => (since, false),
        };
        *health = Health::Stopped {
            since,
            failure,
            reason,
        };
        was_running
    }

    /// Notes that writing works; says whether it had failed until now.
    pub(super) fn running(&self) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *health, Health::Running) != Health::Running
    }
}
