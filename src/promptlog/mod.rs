//! The prompt log: what every request was, what was sent in its place, why, and what came of it.
//!
//! The gateway hands an [`Entry`] to [`PromptLog::send`] when a request has ended and never waits. One thread owns the
//! database, writes what has come in one transaction per flush interval, and keeps the log within its limits. Readers
//! open the same file on their own, in this process or another.

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
mod reply;
mod series;
mod stats;
mod status;
mod store;
pub mod transcript;
mod weight;
mod writer;

pub use filter::{Filter, NoTime, When};
pub use queue::{Entry, PromptLog, Settings};
pub use reader::{Page, Reader};
pub use record::{Content, Kept, NOBODY, Record, Summary, Timings};
pub use reply::{Coding, ReplyBody};
pub use series::{Bucket, Series};
pub use stats::{Group, Quantiles, Sums};
pub use status::{FailureKind, Health, Status};
pub use store::{Limits, StoreError};

#[cfg(test)]
mod tests;
