//! The wrapper seen from both sides: what a caller gets, and what the library is called with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod aborts;
mod fake;
mod models;
mod runs;

/// Every generation.
const ALL: [rkllm::Abi; 3] = [rkllm::Abi::V1_2_0, rkllm::Abi::V1_2_1, rkllm::Abi::V1_3_0];
