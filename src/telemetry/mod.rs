//! What rkgate tells about itself: logs, Prometheus metrics, the requests of the moment and readings of the board.

pub mod activity;
pub mod board;
mod engine;
pub mod logging;
pub mod metrics;
mod policy;
mod prompt_log;
pub mod traces;

pub use activity::Activity;
pub use metrics::{Metrics, Operation, RequestRecord};
