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
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    let unready = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    if admin.stop.is_cancelled() {
        return unready("shutting down");
    }
    if admin.config.upstreams.is_empty() {
        if admin.engine.models().is_empty() {
            return unready("no model and no upstream");
        }
        // Looking means reading a file.
        let engine = admin.engine.clone();
        let looked = tokio::task::spawn_blocking(move || engine.runtime_problem()).await;
        if let Ok(Some(problem)) = looked {
            return unready(&problem);
        }
    }
    (StatusCode::OK, "ready\n".to_owned())
}

pub(super) async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    // Reading the board means reading files.
    match tokio::task::spawn_blocking(move || admin.metrics.encode()).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
