//! The prompt log: whether it can be read and written.

use std::path::Path;

use rustix::fs::{Access, access};

use super::Finding;
use crate::{
    config::LogStore,
    promptlog::{Health, Reader, StoreError},
};

const ABOUT: &str = "log";
const SEE: &str = "see \"The prompt log\" in docs/operations.md";

/// As whoever asks finds it.
pub(super) fn finding(place: &LogStore) -> Finding {
    let is_there = match Reader::open(place) {
        // The next start brings an older one to the present format.
        Ok(_) | Err(StoreError::Older { .. }) => true,
        Err(StoreError::Missing { .. }) => false,
        Err(error) => return trouble(&error.words()),
    };
    if let LogStore::Sqlite(path) = place
        && let Some(closed) = closed(path, is_there)
    {
        return Finding::fail(
            ABOUT,
            format!("this user may not write to {}", closed.display()),
            "run rkgate as the user that both belong to, or set log.path",
        );
    }
    let what = match is_there {
        true => "can be read and written",
        false => "is begun with the first request",
    };
    Finding::ok(ABOUT, format!("{place} {what}"))
}

/// As its writer finds it.
pub(super) fn of_writer(place: &LogStore, health: &Health) -> Finding {
    match health {
        Health::Running => Finding::ok(ABOUT, format!("{place} is written")),
        Health::Stopped { reason, .. } => trouble(reason),
    }
}

/// The log's errors name the cure behind the last semicolon.
fn trouble(words: &str) -> Finding {
    let (what, cure) = words.rsplit_once("; ").unwrap_or((words, SEE));
    Finding::fail(ABOUT, format!("it cannot be written: {what}"), cure)
}

/// What of file and directory cannot be written to. SQLite makes files beside its own.
fn closed(path: &Path, is_there: bool) -> Option<&Path> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let files = [(path, is_there), (directory, true)];
    files
        .into_iter()
        .find(|(path, look)| *look && access(*path, Access::WRITE_OK).is_err())
        .map(|(path, _)| path)
}
