//! The engine with real worker processes and the simulated runtime.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod bench;
mod by_hand;
mod cancelling;
mod economy;
mod embedding;
mod faults;
mod instances;
mod played;
mod prompt_cache;
mod queueing;
mod residency;
mod runs;
mod urgency;
