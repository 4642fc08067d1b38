//! The admin port. One file per subject; the routes meet here.

mod access;
mod engine;
mod health;
mod state;

use std::{path::PathBuf, sync::Arc, time::Instant};

use axum::{Router, middleware, routing::get};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    engine::Engine,
    telemetry::{Metrics, board::Board},
};

pub use engine::models_json;

/// What the admin port knows of the running gateway.
#[derive(Debug)]
pub struct Admin {
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
    /// The embedded engine.
    pub engine: Engine,
    /// Where the API really listens.
    pub api: String,
    /// The board.
    pub board: Board,
    /// When rkgate started.
    pub started: Instant,
    /// Cancelled once rkgate shuts down.
    pub stop: CancellationToken,
}

/// The admin port's routes.
pub fn router(admin: Arc<Admin>) -> Router {
    let api = Router::new()
        .route("/api/engine", get(engine::engine))
        .route("/api/state", get(state::state))
        .layer(middleware::from_fn_with_state(
            admin.clone(),
            access::with_key,
        ));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics_text))
        .merge(api)
        .with_state(admin)
}
