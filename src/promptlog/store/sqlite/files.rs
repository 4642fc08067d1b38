//! The database's files.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::schema;
use crate::promptlog::store::StoreError;

/// How long the writer waits for another process; it tries again at its next flush.
const WRITER_PATIENCE: Duration = Duration::from_millis(250);
/// How long a reader waits for the writer.
const READER_PATIENCE: Duration = Duration::from_secs(5);
/// The page cache of the writer, in KiB: it mostly appends, and its memory is the gateway's.
const WRITER_CACHE_KIB: i64 = 1024;
/// The page cache of a reader, in KiB.
const READER_CACHE_KIB: i64 = 4096;

/// The file beside the database with this suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens the file for its one writer; only its owner may read it. SQLite gives its companions the same mode.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, StoreError> {
    let unusable = |source| StoreError::File {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(unusable)?;
    let mode = file.metadata().map_err(unusable)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(unusable)?;
    }
    drop(file);
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER_PATIENCE)?;
    let failed = StoreError::database("open");
    set_up(&connection).map_err(failed)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // Takes effect in a file without tables only.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Checkpoints are the store's to time.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// Opens the file of another writer.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::Missing {
            path: path.to_owned(),
        },
        _ => StoreError::File {
            path: path.to_owned(),
            source,
        },
    })?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER_PATIENCE)?;
    let failed = StoreError::database("open");
    connection
        .pragma_update(None, "cache_size", -READER_CACHE_KIB)
        .map_err(failed)?;
    schema::check(&connection, path)?;
    Ok(connection)
}

fn open(path: &Path, access: OpenFlags, patience: Duration) -> Result<Connection, StoreError> {
    // Each connection stays with one thread at a time.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| StoreError::File {
            path: path.to_owned(),
            source: io::Error::other(error),
        })?;
    connection
        .busy_timeout(patience)
        .map_err(StoreError::database("open"))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
