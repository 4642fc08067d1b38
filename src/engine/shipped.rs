//! The simulator's own models on disk, for as long as somebody uses them.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

use tempfile::TempDir;

const PREFIX: &str = "rkgate-models-";
/// A file in each directory that its owner keeps locked. The lock ends with the process, however it ends.
const LOCK: &str = "in-use";
/// A lock file younger than this may belong to somebody who is about to lock it.
const SETTLED: Duration = Duration::from_secs(60);

/// A directory with the simulator's own models, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct ShippedModels {
    dir: TempDir,
    _lock: File,
}

impl ShippedModels {
    /// Writes the models below `parent`, and removes there what processes have left behind that were killed.
    ///
    /// # Errors
    /// The directory or a file cannot be written.
    pub(super) fn install(parent: &Path) -> io::Result<Self> {
        remove_abandoned(parent);
        let dir = TempDir::with_prefix_in(PREFIX, parent)?;
        let lock = File::create(dir.path().join(LOCK))?;
        lock.lock()?;
        rkllm_sim::shipped::install(dir.path()).map_err(io::Error::other)?;
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && is_abandoned(&entry.path()) {
            // Fails where somebody else removes it at the same time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_abandoned(dir: &Path) -> bool {
    let lock = dir.join(LOCK);
    let settled = fs::symlink_metadata(&lock).is_ok_and(|file| {
        let age = file.modified().ok().and_then(|time| time.elapsed().ok());
        file.is_file() && age.is_some_and(|age| age >= SETTLED)
    });
    settled && File::open(&lock).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::SystemTime;

    use super::*;

    fn directories(parent: &Path) -> usize {
        fs::read_dir(parent).unwrap().count()
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - 2 * SETTLED;
        let used = ShippedModels::install(parent.path()).unwrap();
        used._lock.set_modified(long_ago).unwrap();
        let killed = parent.path().join("rkgate-models-killed");
        let begun = parent.path().join("rkgate-models-begun");
        for dir in [&killed, &begun] {
            fs::create_dir(dir).unwrap();
            File::create(dir.join(LOCK)).unwrap();
        }
        let lock = File::open(killed.join(LOCK)).unwrap();
        lock.set_modified(long_ago).unwrap();
        drop(lock);
        fs::create_dir(parent.path().join("rkgate-models-of-mine")).unwrap();

        let second = ShippedModels::install(parent.path()).unwrap();
        assert!(!killed.exists(), "its lock was free");
        assert!(used.path().exists() && begun.exists());
        assert_eq!(directories(parent.path()), 4);
        drop((used, second));
        assert_eq!(directories(parent.path()), 2);
    }
}
