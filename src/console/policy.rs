//! The rules and policies in force, and loading them again.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Admin;
use crate::{
    policy::live::{Attempt, LoadError},
    problem::Report,
};

/// What came of the last attempt to load.
pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(told(&admin.policy.last_attempt()))
}

/// Loads the files again: 200 where they are in force now, 422 where an older state is kept.
pub(super) async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    let policy = Arc::clone(&admin.policy);
    let Ok(attempt) = tokio::task::spawn_blocking(move || policy.reload()).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    admin.metrics.policy_loaded(&attempt);
    let status = if attempt.error.is_none() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    (status, Json(told(&attempt))).into_response()
}

fn told(attempt: &Attempt) -> Value {
    let error = attempt.error.as_deref();
    let problems = match error {
        Some(LoadError::Wrong(report)) => problems(report),
        Some(LoadError::Unreadable(_)) => json!([]),
        None => problems(&attempt.warnings),
    };
    json!({
        "generation": attempt.generation,
        "ok": error.is_none(),
        "tests": attempt.tests,
        "error": error.map(ToString::to_string),
        "problems": problems,
    })
}

/// The problems with their places, in the form of `check --format json`.
fn problems(report: &Report) -> Value {
    let json = Report::to_json(std::slice::from_ref(report));
    json.and_then(|json| serde_json::from_str(&json))
        .unwrap_or_default()
}
