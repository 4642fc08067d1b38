//! The prompt log: what every request was, what was sent in its place, why, and what came of it.
//!
//! The gateway hands an [`Entry`] to [`PromptLog::send`] when a request has ended and never waits. One thread owns the
//! database, writes what has come in one transaction per flush interval, and keeps the log within its limits. Readers
//! open the same file on their own, in this process or another.

mod answer;
pub mod export;
mod filter;
pub mod json;
mod query;
mod queue;
mod reader;
mod recall;
mod record;
mod redact;
pub mod replay;
mod series;
mod stats;
mod status;
mod store;
pub mod transcript;
mod weight;
mod writer;

pub use answer::{Coding, LARGEST_REPLY, Reply, ReplyBody, read_reply};
pub use filter::{Filter, NoTime, When};
pub use queue::{Entry, PromptLog, Settings};
pub use reader::{Page, Reader};
pub use record::{Content, Kept, NOBODY, Record, Summary, Timings};
pub use series::{Bucket, Series};
pub use stats::{Group, Quantiles, Sums};
pub use status::{FailureKind, Health, Status};
pub use store::{Limits, StoreError};

#[cfg(test)]
mod tests;
