//! Changing the user's files: a change is compiled and its tests are run before anything is written.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use super::{Attempt, Live, LoadError, Origin};
use crate::policy::{
    Compiled, Source,
    shipped::{self, Unreadable},
};

/// Generations that can be returned to.
pub(super) const REMEMBERED: usize = 50;
/// Longest name of a file.
const LONGEST_NAME: usize = 80;
/// For whom a new file is readable: as for one that an editor writes.
const MODE: u32 = 0o644;

/// One of the user's files as it is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Whether it is a policy file; a rule file otherwise.
    pub is_policy: bool,
    /// Its name in its directory.
    pub name: FileName,
    /// What is to be in it; `None` removes it, so that a shipped file of the same name holds again.
    pub text: Option<String>,
}

/// The name of a rule or policy file: letters, digits, `.`, `-` and `_`, ending in `.toml`. It leads nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName(String);

impl FileName {
    /// Takes a name that is one.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let fine = name.ends_with(".toml")
            && !name.starts_with('.')
            && name.len() <= LONGEST_NAME
            && name.chars().all(fits);
        fine.then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A state of the user's files that took effect.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// When it took effect.
    pub at: SystemTime,
    /// All files, the shipped ones among them.
    pub files: Arc<[Source]>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The files would be wrong, or could not be read.
    #[error(transparent)]
    Refused(#[from] LoadError),
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Somebody else has changed the file meanwhile.
    #[error("{0} has changed since it was opened")]
    Changed(String),
    /// The generation is not remembered.
    #[error("generation {asked} is not remembered; {} are", told(.remembered))]
    Forgotten {
        /// The one that was asked for.
        asked: u64,
        /// Those that are, oldest first.
        remembered: Vec<u64>,
    },
    /// The file cannot be written.
    #[error(
        "cannot write {path} (`rules` and `policies` in [policy] must name directories that rkgate may write to)"
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Numbers as a person reads them.
fn told(generations: &[u64]) -> String {
    let numbers: Vec<String> = generations.iter().map(u64::to_string).collect();
    numbers.join(", ")
}

/// What tells one text of a file from another: a digest.
#[must_use]
pub fn version(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Draft {
    /// Where it is written.
    fn path(&self, origin: &Origin) -> PathBuf {
        let directory = if self.is_policy {
            &origin.policies
        } else {
            &origin.rules
        };
        directory.join(&self.name.0)
    }
}

impl Live {
    /// The files as they are on disk, with the shipped ones.
    ///
    /// # Errors
    /// When a directory or file is there and cannot be read.
    pub fn files(&self) -> Result<Vec<Source>, Unreadable> {
        shipped::with_directories(&self.origin.rules, &self.origin.policies)
    }

    /// The text of a file: the user's, or else the shipped one of that name.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn text(&self, is_policy: bool, name: &FileName) -> Result<Option<String>, Unreadable> {
        let draft = Draft {
            is_policy,
            name: name.clone(),
            text: None,
        };
        shipped::text_at(&draft.path(&self.origin), is_policy)
    }

    /// What a file is called in the console, whatever the directories are called: `rules/NAME` or `policies/NAME`.
    #[must_use]
    pub fn id_of(&self, path: &str) -> Option<String> {
        if let Some(shipped) = path.strip_suffix(shipped::MARK) {
            return Some(shipped.to_owned());
        }
        let (directory, name) = (Path::new(path).parent()?, Path::new(path).file_name()?);
        let kinds = [
            (&self.origin.rules, "rules"),
            (&self.origin.policies, "policies"),
        ];
        let (_, kind) = kinds
            .into_iter()
            .find(|(it, _)| directory == it.as_path())?;
        Some(format!("{kind}/{}", name.to_str()?))
    }

    /// The generations that can be returned to, oldest first; the last one is in force.
    #[must_use]
    pub fn generations(&self) -> Vec<Generation> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.iter().cloned().collect()
    }

    /// The set as it would be with these changes, and how many tests pass. Changes nothing.
    ///
    /// # Errors
    /// When a file cannot be read or would be wrong, or a test would fail.
    pub fn with_drafts(&self, drafts: &[Draft]) -> Result<(Compiled, usize), LoadError> {
        let Origin {
            rules, policies, ..
        } = &self.origin;
        let files = shipped::with_drafts(rules, policies, drafts)?;
        super::compile(&files, self.origin.platform)
    }

    /// Makes a change and lets it take effect, if the files are fine with it. `base` is the [`version`] of the text
    /// that was changed; empty for a file that is new.
    ///
    /// # Errors
    /// [`EditError`]; nothing has changed then.
    pub fn save(&self, draft: &Draft, base: &str) -> Result<Arc<Attempt>, EditError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.text(draft.is_policy, &draft.name)?;
        if now.as_deref().map(version).unwrap_or_default() != base {
            return Err(EditError::Changed(draft.name.0.clone()));
        }
        self.with_drafts(std::slice::from_ref(draft))?;
        write(&draft.path(&self.origin), draft.text.as_deref())?;
        Ok(self.load_again())
    }

    /// Returns to the files of an earlier generation, which becomes a new one.
    ///
    /// # Errors
    /// [`EditError`]. Where a file cannot be written, those before it have changed already; what is on disk is then
    /// in force, as far as it is fine.
    pub fn return_to(&self, generation: u64) -> Result<Arc<Attempt>, EditError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let generations = self.generations();
        let then = generations.iter().find(|it| it.number == generation);
        let then = then.ok_or_else(|| EditError::Forgotten {
            asked: generation,
            remembered: generations.iter().map(|it| it.number).collect(),
        })?;
        let drafts = drafts_between(&self.files()?, &then.files);
        self.with_drafts(&drafts)?;
        let written = drafts
            .iter()
            .try_for_each(|draft| write(&draft.path(&self.origin), draft.text.as_deref()));
        let attempt = self.load_again();
        written.map(|()| attempt)
    }
}

/// Remembers a generation and forgets the oldest.
pub(super) fn remember(history: &mut VecDeque<Generation>, number: u64, files: Vec<Source>) {
    if history.len() == REMEMBERED {
        history.pop_front();
    }
    history.push_back(Generation {
        number,
        at: SystemTime::now(),
        files: files.into(),
    });
}

/// What leads from one state of the user's files to another.
fn drafts_between(now: &[Source], then: &[Source]) -> Vec<Draft> {
    let own = |file: &&Source| !file.path.ends_with(shipped::MARK);
    let draft = |file: &Source, text: Option<String>| {
        let name = Path::new(&*file.path).file_name()?.to_str()?;
        Some(Draft {
            is_policy: file.is_policy,
            // A name that we would not write was not written by us; it stays as it is.
            name: FileName::new(name)?,
            text,
        })
    };
    let gone = now
        .iter()
        .filter(own)
        .filter(|file| !then.iter().any(|other| other.path == file.path))
        .filter_map(|file| draft(file, None));
    let changed = then
        .iter()
        .filter(own)
        .filter(|file| !now.contains(file))
        .filter_map(|file| draft(file, Some(file.text.clone())));
    gone.chain(changed).collect()
}

/// Replaces a file, or removes it, in one step: who reads it meanwhile sees the old text or the new one.
fn write(path: &Path, text: Option<&str>) -> Result<(), EditError> {
    let result = match text {
        Some(text) => replace(path, text),
        None => match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        },
    };
    result.map_err(|source| EditError::Unwritable {
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one; what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mode = fs::metadata(&path).map_or(MODE, |data| data.permissions().mode());
    let mut file = tempfile::Builder::new()
        .prefix(".rkgate-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
