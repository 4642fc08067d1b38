//! The test kit: a client and an upstream that speak HTTP byte by byte, and an engine that does what a test says.
//!
//! Nothing here sleeps; every wait is for an event, under the one deadline of [`soon`].

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; not every test binary uses every part"
)]

pub(crate) mod client;
pub(crate) mod engine;
pub(crate) mod gateway;
pub(crate) mod message;
pub(crate) mod process;
pub(crate) mod upstream;

use std::{future::Future, time::Duration};

/// Waits for what must happen. The deadline only ends tests that fail.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited 30 s for {what}"),
    }
}
