//! The gateway over real sockets, with a scripted engine and scripted upstreams.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "../kit/mod.rs"]
mod kit;

mod local;
mod process;
mod relay;
mod service;
mod upstream_faults;
