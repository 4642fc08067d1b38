//! API keys.

use std::sync::Arc;

use http::HeaderMap;
use sha2::{Digest, Sha256};

/// The API keys that are let in: their names, and their SHA-256 digests.
#[derive(Clone, Default)]
pub struct Keys(Vec<(Arc<str>, [u8; 32])>);

impl Keys {
    /// Keys from their names and the SHA-256 digests of their text.
    #[must_use]
    pub fn new<'k>(keys: impl IntoIterator<Item = (&'k str, [u8; 32])>) -> Self {
        let keys = keys.into_iter();
        Self(keys.map(|(name, digest)| (name.into(), digest)).collect())
    }

    /// The name of the key that the request carries as `Authorization: Bearer`, if it is one of these.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let value = headers.get(http::header::AUTHORIZATION)?;
        let key = bearer(value.as_bytes())?;
        let digest: [u8; 32] = Sha256::digest(key).into();
        // Every key is compared in full, so that the time taken tells nothing about any of them.
        self.0
            .iter()
            .fold(None, |found, (name, known)| {
                if same(known, &digest) {
                    Some(name)
                } else {
                    found
                }
            })
            .cloned()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| key.trim_ascii())
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter()
        .zip(b)
        .fold(0, |difference, (a, b)| difference | (a ^ b))
        == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[test]
    fn admits_a_known_key_only() {
        let keys = Keys::new([
            ("one", Sha256::digest("sk-one").into()),
            ("two", Sha256::digest("sk-two").into()),
        ]);
        let name = |authorization| keys.admit(&headers(authorization));
        assert_eq!(name("Bearer sk-one").as_deref(), Some("one"));
        assert_eq!(name("bearer  sk-two ").as_deref(), Some("two"));
        for refused in [
            "Bearer sk-three",
            "Bearer ",
            "Basic sk-one",
            "sk-one",
            "Bearer",
        ] {
            assert_eq!(name(refused), None, "{refused}");
        }
        assert_eq!(keys.admit(&HeaderMap::new()), None);
    }
}
