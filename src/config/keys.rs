//! API keys: only their hashes are kept.

use std::fmt;

use sha2::{Digest, Sha256};

use super::file::KeysFile;
use crate::problem::Problem;

/// The keys that open rkgate.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    keys: Vec<Key>,
}

#[derive(Clone, PartialEq, Eq)]
struct Key {
    name: String,
    digest: [u8; 32],
    is_admin: bool,
}

impl Keys {
    /// Whether there is none, so that no key is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys' names, each with the SHA-256 digest of its key.
    pub fn digests(&self) -> impl Iterator<Item = (&str, [u8; 32])> {
        let keys = self.keys.iter();
        keys.map(|key| (key.name.as_str(), key.digest))
    }

    /// The name of the key that was presented, if it opens the admin port.
    #[must_use]
    pub fn admin(&self, presented: &str) -> Option<&str> {
        let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        // What the time of comparing hashes tells does not lead to a key.
        self.keys
            .iter()
            .find(|key| key.digest == hash && key.is_admin)
            .map(|key| key.name.as_str())
    }

    pub(super) fn checked(file: &KeysFile, problems: &mut Vec<Problem>) -> Self {
        let mut keys = Self::default();
        for entry in &file.key {
            let (name, sha256) = (&entry.name, &entry.sha256);
            if keys.keys.iter().any(|known| known.name == name.value) {
                problems.push(
                    Problem::error("C005", format!("two keys are named `{}`", name.value))
                        .at(name.span.clone(), "the second one"),
                );
            }
            match hash(&sha256.value) {
                Some(digest) => keys.keys.push(Key {
                    name: name.value.clone(),
                    digest,
                    is_admin: entry.admin,
                }),
                None => problems.push(
                    Problem::error(
                        "C009",
                        format!("the hash of the key `{}` is malformed", name.value),
                    )
                    .at(sha256.span.clone(), "expected 64 hexadecimal digits")
                    .help("make one with: printf %s \"$KEY\" | sha256sum"),
                ),
            }
        }
        keys
    }
}

/// Names only: logs must not even carry the hashes.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_set()
            .entries(self.keys.iter().map(|key| &key.name))
            .finish()
    }
}

fn hash(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (n, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(hash)
}
