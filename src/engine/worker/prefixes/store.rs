//! The files: one directory for all models, one below it for each.
//!
//! `NAME.kv` is the runtime's, `NAME.ids` beside it says which ids it holds, and makes it valid: it is written last, and
//! has another name while the file is being loaded. `NAME.seen` remembers a head that no file holds yet.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};

/// Heads that are remembered before they are saved.
const SEEN: usize = 64;
/// Tokens behind a head that tell one conversation from another.
const TAIL: usize = 64;

/// A file that can be loaded.
#[derive(Debug)]
pub(super) struct Saved {
    name: String,
    /// What the KV cache holds once it is loaded.
    pub(super) ids: Vec<u32>,
    pub(super) bytes: u64,
}

/// Where a head was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Never,
    /// At the beginning of what may be the same conversation.
    InThis,
    InAnother,
}

/// The files of one model.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    dir: PathBuf,
    max_size: u64,
}

impl Store {
    /// # Errors
    /// The directory cannot be made or read.
    pub(super) fn open(root: &Path, identity: &str, max_size: u64) -> io::Result<Self> {
        let store = Self {
            root: root.to_owned(),
            dir: root.join(identity),
            max_size,
        };
        fs::create_dir_all(&store.dir)?;
        // What a process has left behind that was killed: this model has no other one now.
        for (path, kind) in list(&store.dir)? {
            match kind.as_str() {
                "part" => store.discard(&path),
                "trying" => {
                    store.discard(&path.with_extension("kv"));
                    store.discard(&path);
                }
                _ => {}
            }
        }
        Ok(store)
    }

    /// What can be loaded.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn saved(&self) -> io::Result<Vec<Saved>> {
        let ids = list(&self.dir)?.filter(|(_, kind)| kind == "ids");
        Ok(ids.filter_map(|(path, _)| read(&path)).collect())
    }

    /// The runtime's file.
    pub(super) fn path(&self, saved: &Saved) -> PathBuf {
        self.file(&saved.name, "kv")
    }

    /// Where the runtime is to write a file.
    pub(super) fn partial(&self, name: &str) -> PathBuf {
        self.file(name, "part")
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.dir.join(format!("{name}.{kind}"))
    }

    /// Takes a file before it is loaded; fails if it is gone.
    pub(super) fn take(&self, saved: &Saved) -> io::Result<()> {
        let Saved { name, .. } = saved;
        fs::rename(self.file(name, "ids"), self.file(name, "trying"))
    }

    /// Gives a file back that was loaded, as the one used last.
    pub(super) fn give_back(&self, saved: &Saved) -> io::Result<()> {
        let Saved { name, .. } = saved;
        let ids = self.file(name, "ids");
        fs::rename(self.file(name, "trying"), &ids)?;
        File::options()
            .append(true)
            .open(&ids)?
            .set_modified(SystemTime::now())
    }

    /// Removes a file that was taken.
    pub(super) fn remove(&self, saved: &Saved) {
        for kind in ["kv", "ids", "trying"] {
            self.discard(&self.file(&saved.name, kind));
        }
    }

    /// Removes what may be there.
    pub(super) fn discard(&self, path: &Path) {
        // What stays is removed with the directory or found again at the next start.
        let _ = fs::remove_file(path);
    }

    /// Makes what the runtime has written a file to load; it holds `ids`, and has `least` bytes.
    ///
    /// # Errors
    /// There is no such file, or the directory cannot be written.
    pub(super) fn keep(&self, name: &str, ids: &[u32], least: u64) -> io::Result<Saved> {
        let partial = self.partial(name);
        let bytes = fs::metadata(&partial)?.len();
        if bytes < least {
            return Err(io::Error::other(format!("it has {bytes} bytes only")));
        }
        fs::rename(&partial, self.file(name, "kv"))?;
        let text: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        fs::write(&partial, text)?;
        fs::rename(&partial, self.file(name, "ids"))?;
        self.discard(&self.file(name, "seen"));
        // An answer may have been longer than room was made for.
        self.make_room(0);
        Ok(Saved {
            name: name.to_owned(),
            ids: ids.to_vec(),
            bytes,
        })
    }

    /// Remembers that a prompt began with this head and went on with `own`, and tells whether one did before.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(super) fn see(&self, name: &str, own: &[u32]) -> io::Result<Seen> {
        let path = self.file(name, "seen");
        let now = self::name(own.get(..TAIL).unwrap_or(own));
        match fs::read_to_string(&path) {
            Ok(before) if before == now => Ok(Seen::InThis),
            Ok(_) => Ok(Seen::InAnother),
            Err(_) => {
                self.forget_old()?;
                fs::write(&path, now)?;
                Ok(Seen::Never)
            }
        }
    }

    fn forget_old(&self) -> io::Result<()> {
        let seen = list(&self.dir)?.filter(|(_, kind)| kind == "seen");
        let mut seen: Vec<(SystemTime, PathBuf)> = seen
            .filter_map(|(path, _)| Some((modified(&path)?, path)))
            .collect();
        seen.sort_unstable();
        let many = seen.len().saturating_sub(SEEN - 1);
        seen.iter()
            .take(many)
            .for_each(|(_, path)| self.discard(path));
        Ok(())
    }

    /// Removes the files, of all models, that were not used for longest, until there is room for so many bytes. Whether
    /// there is.
    pub(super) fn make_room(&self, bytes: u64) -> bool {
        let models = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut files: Vec<(SystemTime, PathBuf, u64)> = models
            .filter_map(|model| list(&model.path()).ok())
            .flatten()
            .filter(|(_, kind)| kind == "kv")
            .filter_map(|(path, _)| {
                let bytes = fs::metadata(&path).ok()?.len();
                let used = modified(&path.with_extension("ids"));
                Some((used.unwrap_or(SystemTime::UNIX_EPOCH), path, bytes))
            })
            .collect();
        files.sort_unstable();
        let mut total: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, size) in files {
            if total.saturating_add(bytes) <= self.max_size || bytes > self.max_size {
                break;
            }
            self.discard(&path.with_extension("ids"));
            self.discard(&path);
            total -= size;
        }
        total.saturating_add(bytes) <= self.max_size
    }
}

/// A name for these ids.
pub(super) fn name(ids: &[u32]) -> String {
    let mut hash = Sha256::new();
    for id in ids {
        hash.update(id.to_le_bytes());
    }
    hash.finalize()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn list(dir: &Path) -> io::Result<impl Iterator<Item = (PathBuf, String)> + use<>> {
    Ok(fs::read_dir(dir)?.flatten().filter_map(|entry| {
        let path = entry.path();
        let kind = path.extension()?.to_str()?.to_owned();
        Some((path, kind))
    }))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// A file with what it holds; nothing if one of the two is gone or broken.
fn read(path: &Path) -> Option<Saved> {
    let text = fs::read(path).ok()?;
    let (ids, rest) = text.as_chunks();
    let bytes = fs::metadata(path.with_extension("kv")).ok()?.len();
    let name = path.file_stem()?.to_str()?.to_owned();
    rest.is_empty().then(|| Saved {
        name,
        ids: ids.iter().map(|id| u32::from_le_bytes(*id)).collect(),
        bytes,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::*;

    fn keep(store: &Store, ids: &[u32], bytes: u64) -> io::Result<Saved> {
        let name = name(ids);
        File::create(store.partial(&name))
            .unwrap()
            .set_len(bytes)
            .unwrap();
        store.keep(&name, ids, 10)
    }

    fn held(store: &Store) -> Vec<Vec<u32>> {
        let mut ids: Vec<_> = store
            .saved()
            .unwrap()
            .into_iter()
            .map(|it| it.ids)
            .collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn a_file_is_there_for_the_next_process_unless_loading_it_has_killed_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "m", 1000).unwrap();
        let saved = keep(&store, &[1, 2, 3], 10).unwrap();
        let again = || Store::open(dir.path(), "m", 1000).unwrap();
        assert_eq!(held(&again()), [[1, 2, 3]]);
        assert!(
            Store::open(dir.path(), "other", 1000)
                .unwrap()
                .saved()
                .unwrap()
                .is_empty()
        );
        store.take(&saved).unwrap();
        store.give_back(&saved).unwrap();
        assert_eq!(held(&again()), [[1, 2, 3]]);
        store.take(&saved).unwrap();
        assert!(held(&again()).is_empty());
        assert!(!store.path(&saved).exists());
        assert!(store.take(&saved).is_err());
    }

    #[test]
    fn what_the_runtime_did_not_write_whole_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "m", 1000).unwrap();
        assert!(keep(&store, &[1], 9).is_err());
        assert!(store.keep("none", &[1], 0).is_err());
        assert!(held(&store).is_empty());
    }

    #[test]
    fn the_files_used_least_recently_make_room_whosever_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let other = Store::open(dir.path(), "other", 100).unwrap();
        let store = Store::open(dir.path(), "m", 100).unwrap();
        let kept: Vec<Saved> = [(&other, 1), (&store, 2), (&store, 3)]
            .map(|(store, id)| keep(store, &[id], 30).unwrap())
            .into();
        let age = |store: &Store, saved: &Saved, seconds| {
            let ids = File::options()
                .append(true)
                .open(store.file(&saved.name, "ids"));
            ids.unwrap()
                .set_modified(SystemTime::now() - Duration::from_secs(seconds))
                .unwrap();
        };
        age(&other, &kept[0], 20);
        age(&store, &kept[1], 30);
        age(&store, &kept[2], 10);
        assert!(
            !store.make_room(101) && held(&store).len() == 2,
            "nothing is gained"
        );
        assert!(store.make_room(10) && held(&store).len() == 2);
        assert!(store.make_room(40));
        assert_eq!((held(&other), held(&store)), (vec![vec![1]], vec![vec![3]]));
        assert!(store.make_room(70));
        assert_eq!((held(&other).len(), held(&store)), (0, vec![vec![3]]));
    }

    #[test]
    fn a_head_is_known_again_and_another_conversation_told_from_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "m", 100).unwrap();
        assert_eq!(store.see("head", &[1, 2]).unwrap(), Seen::Never);
        assert_eq!(store.see("head", &[1, 2]).unwrap(), Seen::InThis);
        assert_eq!(store.see("head", &[1, 3]).unwrap(), Seen::InAnother);
        for head in 0..2 * SEEN {
            store.see(&format!("{head}"), &[]).unwrap();
        }
        assert_eq!(list(&store.dir).unwrap().count(), SEEN);
    }
}
