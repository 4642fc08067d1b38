//! The files: reading, checking, changing and returning.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Answer, Refusal, attempt_json, blocking, problems};
use crate::policy::{
    file::schema,
    live::{Attempt, Draft, EditError, FileName, Live, LoadError, version},
};

/// `rules/NAME` or `policies/NAME`.
fn file_at(kind: &str, name: &str) -> Result<(bool, FileName), Refusal> {
    let is_policy = match kind {
        "rules" => Some(false),
        "policies" => Some(true),
        _ => None,
    };
    let found = is_policy.zip(FileName::new(name));
    found.ok_or_else(|| Refusal::NoFile(format!("{kind}/{name}")))
}

/// `GET /api/policy/files/{kind}/{name}`: a file's text, the user's or the shipped one.
pub(super) async fn read(
    State(admin): State<Arc<Admin>>,
    Path((kind, name)): Path<(String, String)>,
) -> Answer {
    let (is_policy, file) = file_at(&kind, &name)?;
    let read = move |admin: &Admin| {
        let text = admin.policy.text(is_policy, &file)?;
        let text = text.ok_or_else(|| Refusal::NoFile(format!("{kind}/{name}")))?;
        Ok(json!({ "text": text, "version": version(&text) }))
    };
    blocking(admin, read).await
}

/// A file's new text.
#[derive(Debug, Deserialize)]
pub(super) struct Edit {
    text: String,
    /// The version that was edited; empty for a file that is new.
    #[serde(default)]
    base: String,
}

/// `PUT /api/policy/files/{kind}/{name}`: checks, runs the tests, writes and swaps; or 422 with the problems' places.
pub(super) async fn write(
    State(admin): State<Arc<Admin>>,
    Path((kind, name)): Path<(String, String)>,
    Json(Edit { text, base }): Json<Edit>,
) -> Answer {
    save(admin, &kind, &name, Some(text), base).await
}

/// The version that is removed.
#[derive(Debug, Deserialize)]
pub(super) struct Removal {
    base: String,
}

/// `DELETE /api/policy/files/{kind}/{name}?base=VERSION`: removes the user's file; a shipped one of that name holds again.
pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Path((kind, name)): Path<(String, String)>,
    Query(Removal { base }): Query<Removal>,
) -> Answer {
    save(admin, &kind, &name, None, base).await
}

async fn save(
    admin: Arc<Admin>,
    kind: &str,
    name: &str,
    text: Option<String>,
    base: String,
) -> Answer {
    let (is_policy, name) = file_at(kind, name)?;
    let draft = Draft {
        is_policy,
        name,
        text,
    };
    change(admin, move |policy| policy.save(&draft, &base)).await
}

/// Makes a change and tells what is in force after it.
async fn change(
    admin: Arc<Admin>,
    make: impl FnOnce(&Live) -> Result<Arc<Attempt>, EditError> + Send + 'static,
) -> Answer {
    let change = move |admin: &Admin| {
        let policy = &*admin.policy;
        let attempt = make(policy).map_err(|error| Refusal::edit(error, policy))?;
        admin.metrics.policy_loaded(&attempt);
        Ok(attempt_json(&attempt, policy))
    };
    blocking(admin, change).await
}

/// `POST /api/policy/reload`: reads the files again; 422 where an older state is kept.
pub(super) async fn reload(State(admin): State<Arc<Admin>>) -> Result<Response, Refusal> {
    let told = change(admin, |policy| Ok(policy.reload())).await?;
    let status = match told.get("ok").and_then(Value::as_bool) {
        Some(true) => StatusCode::OK,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok((status, told).into_response())
}

/// A generation to return to.
#[derive(Debug, Deserialize)]
pub(super) struct Return {
    generation: u64,
}

/// `POST /api/policy/undo`: returns to the files of an earlier generation.
pub(super) async fn undo(
    State(admin): State<Arc<Admin>>,
    Json(Return { generation }): Json<Return>,
) -> Answer {
    change(admin, move |policy| policy.return_to(generation)).await
}

/// A file as it would be.
#[derive(Debug, Deserialize)]
pub(super) struct Check {
    /// `rules/NAME` or `policies/NAME`.
    id: String,
    text: String,
}

impl Check {
    pub(super) fn into_draft(self) -> Result<Draft, Refusal> {
        let (kind, name) = self.id.split_once('/').unwrap_or_default();
        let (is_policy, name) = file_at(kind, name)?;
        Ok(Draft {
            is_policy,
            name,
            text: Some(self.text),
        })
    }
}

/// `POST /api/policy/check`: what would be wrong with the files if this one were so; nothing is changed.
pub(super) async fn check(State(admin): State<Arc<Admin>>, Json(check): Json<Check>) -> Answer {
    let draft = check.into_draft()?;
    let check = move |admin: &Admin| {
        let (report, tests) = match admin.policy.with_drafts(&[draft]) {
            Ok((compiled, tests)) => (compiled.warnings, Some(tests)),
            Err(LoadError::Wrong(report)) => (*report, None),
            Err(LoadError::Unreadable(error)) => return Err(error.into()),
        };
        Ok(json!({ "problems": problems(&report, &admin.policy), "tests": tests }))
    };
    blocking(admin, check).await
}

/// `GET /api/policy/schema/{kind}`: the JSON Schema of a kind of file.
pub(super) async fn schema(Path(kind): Path<String>) -> Response {
    match kind.as_str() {
        "rules" => Json(schema::rules()).into_response(),
        "policies" => Json(schema::policies()).into_response(),
        _ => Refusal::NoFile(format!("schema/{kind}")).into_response(),
    }
}
