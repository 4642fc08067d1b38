//! What probes and scrapers ask for.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Admin;
use crate::telemetry::metrics;

/// 200 while requests are accepted and somebody can answer them.
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
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

pub(super) async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    // Reading the board means reading files.
    match tokio::task::spawn_blocking(move || admin.metrics.encode()).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
