//! API keys.

use http::HeaderMap;
use sha2::{Digest, Sha256};

/// The API keys that are let in, as SHA-256 digests.
#[derive(Clone, Default)]
pub struct Keys(Vec<[u8; 32]>);

impl Keys {
    /// Keys from the SHA-256 digests of their text.
    #[must_use]
    pub fn new(digests: Vec<[u8; 32]>) -> Self {
        Self(digests)
    }

    /// Whether the request carries one of the keys as `Authorization: Bearer`.
    pub(super) fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(key) = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| bearer(value.as_bytes()))
        else {
            return false;
        };
        let digest: [u8; 32] = Sha256::digest(key).into();
        // Every key is compared in full, so that the time taken tells nothing about any of them.
        self.0
            .iter()
            .fold(false, |found, known| found | same(known, &digest))
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
        let keys = Keys::new(vec![
            Sha256::digest("sk-one").into(),
            Sha256::digest("sk-two").into(),
        ]);
        assert!(keys.admit(&headers("Bearer sk-one")));
        assert!(keys.admit(&headers("bearer  sk-two ")));
        for refused in [
            "Bearer sk-three",
            "Bearer ",
            "Basic sk-one",
            "sk-one",
            "Bearer",
        ] {
            assert!(!keys.admit(&headers(refused)), "{refused}");
        }
        assert!(!keys.admit(&HeaderMap::new()));
    }
}
