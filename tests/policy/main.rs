//! The shipped rules and policies against requests as clients send them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod boards;
mod fixtures;
mod golden;
mod invariants;
mod local;
mod recognition;
mod sampling;
mod tools;
mod trim;
mod windows;

use std::sync::{Arc, OnceLock};

use rkgate::policy::{self, Platform, Set};

/// The shipped set.
fn shipped() -> Arc<Set> {
    static SET: OnceLock<Arc<Set>> = OnceLock::new();
    SET.get_or_init(|| {
        let compiled = Set::compile(&policy::shipped::files(), Platform::Rk3588);
        Arc::new(compiled.unwrap_or_else(|report| panic!("{report}")).set)
    })
    .clone()
}
