//! Rules and policies: what is in force (`overview`), the files, and changing them (`files`).

mod files;
mod overview;
mod replay;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::Admin;
use crate::{
    policy::{
        live::{Attempt, EditError, Live, LoadError},
        shipped::Unreadable,
    },
    problem::Report,
    promptlog::{NoTime, StoreError},
};

/// The routes of rules and policies.
pub(super) fn routes() -> Router<Arc<Admin>> {
    let file = get(files::read).put(files::write).delete(files::remove);
    Router::new()
        .route("/api/policy", get(overview::overview))
        .route("/api/policy/check", post(files::check))
        .route("/api/policy/files/{kind}/{name}", file)
        .route("/api/policy/reload", post(files::reload))
        .route("/api/policy/schema/{kind}", get(files::schema))
        .route("/api/policy/undo", post(files::undo))
        .route("/api/replay", post(replay::replay))
}

/// A call that is not done.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// There is no such file, and there can be none.
    #[error("there is no file {0}")]
    NoFile(String),
    /// The files would be wrong; the problems as JSON.
    #[error("the files would be wrong; nothing was changed")]
    Wrong(Value),
    /// The change was not made.
    #[error(transparent)]
    Edit(EditError),
    /// Files cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A time is none.
    #[error(transparent)]
    Time(#[from] NoTime),
    /// The prompt log cannot be read.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The work was lost with its thread.
    #[error("an internal error; the log tells more")]
    Internal,
}

impl Refusal {
    fn edit(error: EditError, policy: &Live) -> Self {
        match error {
            EditError::Refused(LoadError::Wrong(report)) => Self::Wrong(problems(&report, policy)),
            other => Self::Edit(other),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NoFile(_) | Self::Edit(EditError::Forgotten { .. }) => StatusCode::NOT_FOUND,
            Self::Edit(EditError::Changed(_)) => StatusCode::CONFLICT,
            Self::Wrong(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Time(_) => StatusCode::BAD_REQUEST,
            Self::Log(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Edit(_) | Self::Unreadable(_) | Self::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let mut body = json!({ "error": { "message": chain(&self) } });
        if let (Self::Wrong(problems), Some(body)) = (self, body.as_object_mut()) {
            body.insert("problems".to_owned(), problems);
        }
        (status, Json(body)).into_response()
    }
}

/// An error with its reasons.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |message, cause| {
        format!("{message}: {cause}")
    })
}

type Answer = Result<Json<Value>, Refusal>;

/// Runs what reads, writes and compiles files where nobody waits for it.
async fn blocking(
    admin: Arc<Admin>,
    work: impl FnOnce(&Admin) -> Result<Value, Refusal> + Send + 'static,
) -> Answer {
    let work = tokio::task::spawn_blocking(move || work(&admin));
    work.await.unwrap_or(Err(Refusal::Internal)).map(Json)
}

/// What came of loading the files: the problems that keep them from taking effect, or else the warnings.
fn attempt_json(attempt: &Attempt, policy: &Live) -> Value {
    let error = attempt.error.as_deref();
    let problems = match error {
        Some(LoadError::Wrong(report)) => problems(report, policy),
        Some(LoadError::Unreadable(_)) => json!([]),
        None => problems(&attempt.warnings, policy),
    };
    json!({
        "generation": attempt.generation,
        "ok": error.is_none(),
        "tests": attempt.tests,
        "error": error.map(|error| match error {
            LoadError::Wrong(report) => report.to_string(),
            LoadError::Unreadable(error) => chain(error),
        }),
        "problems": problems,
    })
}

/// Problems with their places. A place in a file has the file's `id`, by which the console knows it, beside its path.
fn problems(report: &Report, policy: &Live) -> Value {
    let json = Report::to_json(std::slice::from_ref(report));
    let mut problems: Value = json
        .ok()
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default();
    let problems_of = problems.as_array_mut().into_iter().flatten();
    let places = problems_of.filter_map(|problem| problem.get_mut("places")?.as_array_mut());
    for place in places.flatten().filter_map(Value::as_object_mut) {
        let file = place.get("file").and_then(Value::as_str);
        let id = file.and_then(|file| policy.id_of(file));
        place.insert("id".to_owned(), id.into());
    }
    problems
}
