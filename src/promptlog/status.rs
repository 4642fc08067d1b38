//! How the log is.

use std::{
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;

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
        /// Why.
        reason: String,
    },
}

/// How the log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The database.
    pub path: PathBuf,
    /// Whether records are being written.
    #[serde(flatten)]
    pub health: Health,
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
    path: PathBuf,
    health: Mutex<Health>,
    pub(super) written: AtomicU64,
    pub(super) content_dropped: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) size: AtomicU64,
}

impl Board {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            health: Mutex::new(Health::Running),
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
            written: number(&self.written),
            content_dropped: number(&self.content_dropped),
            lost: number(&self.lost),
            size: number(&self.size),
        }
    }

    /// Notes that writing failed; says whether it had worked until now.
    pub(super) fn stopped(&self, now: i64, reason: String) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, was_running) = match *health {
            Health::Running => (now, true),
            Health::Stopped { since, .. } => (since, false),
        };
        *health = Health::Stopped { since, reason };
        was_running
    }

    /// Notes that writing works; says whether it had failed until now.
    pub(super) fn running(&self) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *health, Health::Running) != Health::Running
    }
}
