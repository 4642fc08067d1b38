//! The gateway over real sockets, with a scripted engine and scripted upstreams.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "../kit/mod.rs"]
mod kit;

mod embeddings;
mod local;
mod policy;
mod policy_upstream;
mod process;
mod relay;
mod reload;
mod service;
mod shared;
mod upstream_faults;
