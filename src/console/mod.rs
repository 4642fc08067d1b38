//! The admin port: metrics, health and state. Nothing here changes anything.

use std::{path::PathBuf, sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    config::{Config, Keys},
    engine::{Engine, ModelCard},
    telemetry::{Metrics, board::Board, metrics},
};

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
        .route("/api/engine", get(engine))
        .route("/api/state", get(state))
        .layer(middleware::from_fn_with_state(admin.clone(), with_key));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .merge(api)
        .with_state(admin)
}

/// Where there are keys, state is for those who have one; health and metrics are for probes, which have none.
async fn with_key(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if admin.config.keys.is_empty() || has_key(&admin.config.keys, request.headers()) {
        return next.run(request).await;
    }
    let error =
        json!({ "error": { "message": "this needs an API key: Authorization: Bearer <key>" } });
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        Json(error),
    )
        .into_response()
}

fn has_key(keys: &Keys, headers: &HeaderMap) -> bool {
    let authorization = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let presented = authorization.and_then(|value| value.strip_prefix("Bearer "));
    presented.is_some_and(|key| keys.name_of(key.trim()).is_some())
}

/// 200 while requests are accepted and somebody can answer them.
async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    if admin.stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else if admin.engine.models().is_empty() && admin.config.upstreams.is_empty() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "no model and no upstream\n",
        )
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    // Reading the board means reading files.
    match tokio::task::spawn_blocking(move || admin.metrics.encode()).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A model of the embedded engine.
#[derive(Debug, Serialize)]
struct Model<'a> {
    id: &'a str,
    name: &'a str,
    path: String,
    family: &'a str,
    size: Option<&'a str>,
    quantisation: Option<&'a str>,
    context: u32,
    memory_bytes: u64,
    prefill_tokens_per_second: Option<f64>,
    decode_tokens_per_second: Option<f64>,
    warnings: &'a [String],
}

impl<'a> From<&'a ModelCard> for Model<'a> {
    fn from(card: &'a ModelCard) -> Self {
        Self {
            id: &card.id,
            name: &card.name,
            path: card.path.display().to_string(),
            family: &card.family,
            size: card.size.as_deref(),
            quantisation: card.quantisation.as_deref(),
            context: card.context_or_default(),
            memory_bytes: card.expected_memory(),
            prefill_tokens_per_second: card.expectation.as_ref().map(|expect| expect.prefill),
            decode_tokens_per_second: card.expectation.as_ref().map(|expect| expect.decode),
            warnings: &card.warnings,
        }
    }
}

/// The local models as JSON.
#[must_use]
pub fn models_json(models: &[ModelCard]) -> Value {
    json!(models.iter().map(Model::from).collect::<Vec<_>>())
}

async fn engine(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let status = admin.engine.status();
    let workers: Vec<Value> = status
        .workers
        .iter()
        .map(|worker| {
            let resident = worker.resident.as_ref();
            json!({
                "model": worker.model,
                "pid": worker.pid,
                "in_use": worker.in_use,
                "loaded": resident.is_some(),
                "runtime": resident.and_then(|it| it.runtime.clone()),
                "abi": resident.map(|it| &it.abi),
                "context": resident.map(|it| it.context),
                "memory_bytes": resident.map(|it| it.memory),
            })
        })
        .collect();
    let counters = status.counters;
    Json(json!({
        "library": status.library.map_or_else(|| "simulator".to_owned(), |path| path.display().to_string()),
        "models_dir": status.models_dir,
        "shipped_models": status.shipped_models,
        "memory_budget_bytes": status.memory_budget,
        "queued": status.queued,
        "workers": workers,
        "counters": {
            "completed": counters.completed,
            "failed": counters.failed,
            "cancelled": counters.cancelled,
            "prompt_tokens": counters.prompt_tokens,
            "cached_tokens": counters.cached_tokens,
            "completion_tokens": counters.completion_tokens,
            "loads": counters.loads,
            "workers_lost": counters.workers_lost,
        },
        "models": models_json(admin.engine.models()),
    }))
}

async fn state(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let upstreams: Vec<Value> = admin
        .config
        .upstreams
        .iter()
        .map(|it| json!({ "name": it.name, "urls": it.urls.iter().map(Url::as_str).collect::<Vec<_>>() }))
        .collect();
    let memory = admin.board.memory();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": admin.started.elapsed().as_secs(),
        "shutting_down": admin.stop.is_cancelled(),
        "config_file": admin.file,
        "api": admin.api,
        "api_keys": !admin.config.keys.is_empty(),
        "upstreams": upstreams,
        "board": {
            "chip": admin.board.chip(),
            "memory_bytes": memory.map(|memory| memory.total),
            "memory_available_bytes": memory.map(|memory| memory.available),
            "npu_driver": admin.board.npu_driver(),
        },
    }))
}
