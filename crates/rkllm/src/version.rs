//! The version of a librkllmrt.so, read from the file.
//!
//! No function tells it and 1.2.1 to 1.3.0 export the same names, so only the text that each build carries
//! (`RKLLM SDK (version: 1.2.3 | target: Linux | …)`) tells the interfaces apart.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use memchr::memmem::Finder;
use regex::bytes::Regex;

use crate::abi::Abi;

const MARK: &[u8] = b"RKLLM SDK (version:";
/// Room for a version number behind the mark.
const TAIL: usize = 64;
const CHUNK: usize = 64 * 1024;

static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?-u)^\s*([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})([0-9A-Za-z.+-]*)").ok()
});

/// The version of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// First number.
    pub major: u16,
    /// Second number.
    pub minor: u16,
    /// Third number.
    pub patch: u16,
    /// What follows the numbers without a space, such as `b1` of a beta build.
    pub suffix: String,
}

impl Version {
    /// The interface of this version, if it is known. Beta builds are not: 1.2.1b1 is neither 1.2.0 nor 1.2.1.
    #[must_use]
    pub fn abi(&self) -> Option<Abi> {
        if !self.suffix.is_empty() {
            return None;
        }
        match (self.major, self.minor, self.patch) {
            (1, 2, 0) => Some(Abi::V1_2_0),
            (1, 2, 1..=3) => Some(Abi::V1_2_1),
            (1, 3, 0) => Some(Abi::V1_3_0),
            _ => None,
        }
    }

    /// Reads the number behind the mark.
    fn parse(tail: &[u8]) -> Option<Self> {
        let captures = NUMBER.as_ref()?.captures(tail)?;
        let text = |group| {
            captures
                .get(group)
                .and_then(|found| std::str::from_utf8(found.as_bytes()).ok())
        };
        Some(Self {
            major: text(1)?.parse().ok()?,
            minor: text(2)?.parse().ok()?,
            patch: text(3)?.parse().ok()?,
            suffix: text(4)?.to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            patch,
            suffix,
        } = self;
        write!(f, "{major}.{minor}.{patch}{suffix}")
    }
}

/// Why the version of a library is not known.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file carries no version text.
    #[error("{} is no librkllmrt.so: it carries no RKLLM version", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the version of the library in `path` without loading it.
///
/// # Errors
/// [`VersionError`]: the file cannot be read or carries no version text.
pub fn read(path: &Path) -> Result<Version, VersionError> {
    let failed = |source| VersionError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    find(file)
        .map_err(failed)?
        .ok_or_else(|| VersionError::Absent {
            path: path.to_owned(),
        })
}

/// The first version text in a stream, which is read once and never held as a whole.
fn find(mut stream: impl Read) -> io::Result<Option<Version>> {
    let finder = Finder::new(MARK);
    let mut window = Vec::with_capacity(CHUNK + MARK.len() + TAIL);
    loop {
        let at_end = stream
            .by_ref()
            .take(CHUNK as u64)
            .read_to_end(&mut window)?
            == 0;
        let mut start = 0;
        while let Some(at) = window.get(start..).and_then(|rest| finder.find(rest)) {
            let tail = start + at + MARK.len();
            // A number that may go on in the next chunk is looked at again with it.
            if !at_end && window.len() < tail + TAIL {
                start += at;
                break;
            }
            let end = window.len().min(tail + TAIL);
            if let Some(version) = window.get(tail..end).and_then(Version::parse) {
                return Ok(Some(version));
            }
            start = tail;
        }
        if at_end {
            return Ok(None);
        }
        // Keep a mark whose number is incomplete, or what may be the beginning of a mark.
        let keep_from = start.max(window.len().saturating_sub(MARK.len() + TAIL));
        window.drain(..keep_from);
    }
}

#[cfg(test)]
mod tests;
