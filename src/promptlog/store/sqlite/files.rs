//! The database's files.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, MAIN_DB, OpenFlags};
use rustix::fs::{Access, access};

use super::schema;
use crate::promptlog::store::{Identity, StoreError};

/// How long the writer waits for another process; it tries again at its next flush.
const WRITER_PATIENCE: Duration = Duration::from_millis(250);
/// How long a reader waits for the writer.
const READER_PATIENCE: Duration = Duration::from_secs(5);
/// The page cache of the writer, in KiB: it mostly appends, and its memory is the gateway's.
const WRITER_CACHE_KIB: i64 = 1024;
/// The page cache of a reader, in KiB.
const READER_CACHE_KIB: i64 = 4096;

/// SQLite's files beside the database.
const WAL: &str = "-wal";
const SHARED_MEMORY: &str = "-shm";
/// Ours: whoever writes to the log has a lock on it. Locks on the database itself are SQLite's.
const LOCK: &str = "-lock";

/// The file beside the database with this suffix.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::File {
        path: path.to_owned(),
        source,
    }
}

/// The files of a connection. Whoever deletes or moves one of them takes it away from all who open it later.
#[derive(Debug)]
pub(super) struct Files {
    database: PathBuf,
    /// Those that were there when it was opened.
    opened: Vec<(PathBuf, Identity)>,
}

impl Files {
    /// Those of a connection that has read something, so that all are there.
    pub(super) fn opened(database: &Path) -> Self {
        let companions = [WAL, SHARED_MEMORY].map(|suffix| beside(database, suffix));
        let files = std::iter::once(database.to_owned()).chain(companions);
        Self {
            database: database.to_owned(),
            opened: files
                .filter_map(|path| identity(&path).map(|identity| (path, identity)))
                .collect(),
        }
    }

    /// Whether they are where they were opened.
    pub(super) fn are_in_place(&self) -> bool {
        let mut opened = self.opened.iter();
        opened.all(|(path, opened)| identity(path) == Some(*opened))
    }

    /// The database alone.
    pub(super) fn database(&self) -> Option<Identity> {
        let database = self.opened.first();
        database.map(|(_, identity)| *identity)
    }

    /// Bytes of the write-ahead log.
    pub(super) fn wal_len(&self) -> u64 {
        fs::metadata(beside(&self.database, WAL)).map_or(0, |file| file.len())
    }

    /// Deletes what SQLite leaves behind when the database has been taken away from it: a new database in its place would
    /// take it for its own.
    pub(super) fn leave(&self) {
        if fs::symlink_metadata(&self.database).is_err() {
            for suffix in [WAL, SHARED_MEMORY] {
                // It may have been taken away, too.
                let _ = fs::remove_file(beside(&self.database, suffix));
            }
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let file = fs::metadata(path).ok()?;
    Some(Identity {
        device: file.dev(),
        inode: file.ino(),
    })
}

/// Keeps other processes from writing to the log, for as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    fn on(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(beside(path, LOCK))
            .map_err(unusable(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Taken {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(unusable(path)(source)),
        }
    }
}

/// Opens the file for its one writer; only its owner may read it. SQLite gives its companions the same mode.
///
/// What exists is looked at first and left alone where it is no log of ours. Only SQLite opens it: a process that closes a
/// file loses its locks on it, whoever in the process holds them.
pub(super) fn open_to_write(path: &Path) -> Result<(Connection, Lock), StoreError> {
    let is_there = path.try_exists().map_err(unusable(path))?;
    if is_there {
        look_at(path)?;
    }
    let lock = Lock::on(path)?;
    if is_there {
        let mode = fs::metadata(path).map_err(unusable(path))?;
        if mode.permissions().mode() & 0o077 != 0 {
            let owner_only = fs::Permissions::from_mode(0o600);
            fs::set_permissions(path, owner_only).map_err(unusable(path))?;
        }
    } else {
        let mut new = OpenOptions::new();
        new.write(true).create_new(true).mode(0o600);
        new.open(path).map_err(unusable(path))?;
    }
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, WRITER_PATIENCE)?;
    let failed = || StoreError::database("open");
    if connection.is_readonly(MAIN_DB).map_err(failed())? {
        return Err(unusable(path)(io::ErrorKind::PermissionDenied.into()));
    }
    set_up(&connection).map_err(failed())?;
    Ok((connection, lock))
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
pub(super) fn open_to_read(path: &Path) -> Result<(Connection, Files), StoreError> {
    fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::Missing {
            path: path.to_owned(),
        },
        _ => unusable(path)(source),
    })?;
    look_at(path)?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER_PATIENCE)?;
    let failed = StoreError::database("open");
    connection
        .pragma_update(None, "cache_size", -READER_CACHE_KIB)
        .map_err(failed)?;
    schema::check(&connection, path)?;
    Ok((connection, Files::opened(path)))
}

/// Refuses what is no log of ours by the database's first page alone, which takes no lock and makes no file beside it.
fn look_at(path: &Path) -> Result<(), StoreError> {
    // SQLite would not say what is wrong.
    access(path, Access::READ_OK).map_err(|error| unusable(path)(error.into()))?;
    if path.is_dir() {
        return Err(unusable(path)(io::ErrorKind::IsADirectory.into()));
    }
    let mut uri = match path.is_absolute() {
        true => "file://".to_owned(),
        false => "file:".to_owned(),
    };
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = open(Path::new(&uri), flags, READER_PATIENCE);
    let connection = connection.map_err(|error| match error {
        StoreError::File { source, .. } => unusable(path)(source),
        error => error,
    })?;
    schema::look_at(&connection, path)
}

fn open(path: &Path, access: OpenFlags, patience: Duration) -> Result<Connection, StoreError> {
    // Each connection stays with one thread at a time.
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| unusable(path)(io::Error::other(error)))?;
    connection
        .busy_timeout(patience)
        .map_err(StoreError::database("open"))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
