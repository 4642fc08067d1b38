//! NPU memory: each address domain holds 4 GB, for all handles of all processes together.

use std::{
    fs::{File, OpenOptions, read_dir, remove_file},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// A model's share of a domain, given back when dropped or when the process ends.
///
/// Every share is a file that its owner holds locked. A file without a lock is what a dead process left.
#[derive(Debug)]
pub(crate) struct Share {
    path: PathBuf,
    _held: File,
}

/// Whether a model got its memory.
#[derive(Debug)]
pub(crate) enum Placement {
    Fits(Share),
    Full,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Places `mb` megabytes in `domain`, which holds `capacity_mb`. A model alone in its domain always fits in one of the
/// usual size: what is over spills into the following ones.
///
/// # Errors
/// The files beside the NPU's lock cannot be used.
pub(crate) fn place(npu: &Path, domain: i32, mb: f64, capacity_mb: f64) -> io::Result<Placement> {
    let mut shares = npu.as_os_str().to_owned();
    shares.push(".memory");
    let shares = PathBuf::from(shares);
    std::fs::create_dir_all(&shares)?;
    let ledger = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(shares.join("lock"))?;
    ledger.lock()?;
    let prefix = format!("{domain}-");
    let mut used = 0.0;
    for entry in read_dir(&shares)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            used += held_mb(&entry.path())?;
        }
    }
    let spills = used == 0.0 && capacity_mb >= 4096.0;
    if used + mb > capacity_mb && !spills {
        return Ok(Placement::Full);
    }
    let path = shares.join(format!(
        "{prefix}{}-{}",
        process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    let mut held = File::create(&path)?;
    held.lock()?;
    write!(held, "{mb}")?;
    Ok(Placement::Fits(Share { path, _held: held }))
}

/// Megabytes of a share that a live process holds; 0 for one left behind, which is removed, and for one given back
/// just now.
fn held_mb(path: &Path) -> io::Result<f64> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0.0),
        Err(error) => return Err(error),
    };
    if file.try_lock().is_ok() {
        let _ = remove_file(path);
        return Ok(0.0);
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text.parse().unwrap_or(0.0))
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(npu: &Path, domain: i32, mb: f64, capacity: f64) -> Option<Share> {
        match place(npu, domain, mb, capacity).unwrap() {
            Placement::Fits(share) => Some(share),
            Placement::Full => None,
        }
    }

    #[test]
    fn two_big_models_need_two_domains() {
        let dir = tempfile::tempdir().unwrap();
        let npu = dir.path().join("npu");
        let first = placed(&npu, 0, 3000.0, 4096.0);
        assert!(first.is_some());
        assert!(placed(&npu, 0, 2000.0, 4096.0).is_none());
        assert!(placed(&npu, 1, 2000.0, 4096.0).is_some());
        drop(first);
        assert!(placed(&npu, 0, 2000.0, 4096.0).is_some());
    }

    #[test]
    fn a_model_above_the_size_of_a_domain_spills_unless_the_board_is_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let npu = dir.path().join("npu");
        assert!(placed(&npu, 0, 9000.0, 4096.0).is_some());
        assert!(placed(&npu, 0, 900.0, 500.0).is_none());
    }

    #[test]
    fn what_a_dead_process_left_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let npu = dir.path().join("npu");
        std::fs::create_dir(dir.path().join("npu.memory")).unwrap();
        std::fs::write(dir.path().join("npu.memory/0-1-0"), "4000").unwrap();
        assert!(placed(&npu, 0, 3000.0, 4096.0).is_some());
    }
}
