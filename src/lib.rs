//! rkgate: the gateway between Open WebUI and small language models on Rockchip boards.
//!
//! `docs/architecture.md` is the map of these rooms and of the invariants that hold between them.

#![forbid(unsafe_code)]

pub mod bench;
pub mod chat;
pub mod cli;
pub mod config;
pub mod console;
pub mod doctor;
pub mod engine;
mod excerpt;
pub mod explain;
pub mod gateway;
pub mod policy;
pub mod problem;
pub mod promptlog;
pub mod telemetry;
pub mod wire;
