//! What rkgate tells about itself: logs, Prometheus metrics and readings of the board.

pub mod board;
mod engine;
pub mod logging;
pub mod metrics;

pub use metrics::{Metrics, Operation, RequestRecord};
