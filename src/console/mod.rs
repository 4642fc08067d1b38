//! The admin port. One file per subject; the routes meet here.

mod access;
mod assets;
mod engine;
mod events;
mod explain;
mod health;
mod log;
mod policy;
mod residency;
mod session;
mod setup;
mod state;

use std::{path::PathBuf, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    engine::Engine,
    gateway::BoundAddress,
    policy::{Facts, live::Live},
    promptlog::PromptLog,
    telemetry::{Activity, Metrics, board::Board},
};

pub use engine::models_json;
pub use session::Sessions;

/// What the admin port knows of the running gateway.
#[derive(Debug)]
pub struct Admin {
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The requests of the moment.
    pub activity: Arc<Activity>,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
    /// The embedded engine.
    pub engine: Engine,
    /// The rules and policies in force.
    pub policy: Arc<Live>,
    /// What the rules are told of the models.
    pub facts: Arc<ArcSwap<Facts>>,
    /// The prompt log.
    pub prompt_log: Arc<PromptLog>,
    /// Where the API really listens.
    pub api: BoundAddress,
    /// The board.
    pub board: Board,
    /// Who has signed in.
    pub sessions: Sessions,
    /// When rkgate started.
    pub started: Instant,
    /// Cancelled once rkgate shuts down.
    pub stop: CancellationToken,
}

/// The admin port's routes.
pub fn router(admin: Arc<Admin>) -> Router {
    // As much as the API takes.
    let explain = post(explain::explain).layer(DefaultBodyLimit::max(
        usize::try_from(admin.config.limits.body).unwrap_or(usize::MAX),
    ));
    let known = Router::new()
        .route("/api/engine", get(engine::engine))
        .route("/api/events", get(events::events))
        .route("/api/explain", explain)
        .route("/api/log", get(log::page))
        .route("/api/log/series", get(log::series))
        .route("/api/log/stats", get(log::stats))
        .route("/api/log/stream", get(log::stream))
        .route("/api/log/{id}", get(log::one))
        .route("/api/log/{id}/explain", get(log::explain))
        .route("/api/setup", get(setup::setup))
        .route("/api/state", get(state::state))
        .merge(policy::routes())
        .merge(residency::routes())
        .layer(from_fn_with_state(admin.clone(), access::with_key));
    let session = get(session::show)
        .post(session::sign_in)
        .delete(session::sign_out);
    let api = known
        .route("/api/session", session)
        .layer(from_fn_with_state(admin.clone(), access::from_here));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics_text))
        .merge(assets::routes())
        .merge(api)
        .with_state(admin)
}
