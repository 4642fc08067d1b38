//! `POST /api/explain`: what the rules and policies in force make of a request, and why.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use crate::{
    chat,
    explain::{self, Models, Question},
    policy::Headers,
    wire::openai::{DecodeError, decode_chat},
};

/// A request that nobody sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// As for `POST /v1/chat/completions`.
    body: Value,
}

/// 400 where the body is no chat request.
pub(super) async fn explain(
    State(admin): State<Arc<Admin>>,
    Json(Asked { headers, body }): Json<Asked>,
) -> Response {
    let explain = move || -> Result<Value, DecodeError> {
        let request = decode_chat(body.to_string().as_bytes())?;
        let headers = headers.into_iter();
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value));
        Ok(told(&admin, &request, &headers.collect::<Vec<_>>()))
    };
    let refused = |status: StatusCode, message: String| {
        (status, Json(json!({ "error": { "message": message } }))).into_response()
    };
    match tokio::task::spawn_blocking(explain).await {
        Ok(Ok(told)) => Json(told).into_response(),
        Ok(Err(error)) => refused(StatusCode::BAD_REQUEST, format!("body: {error}")),
        Err(_) => refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an internal error; the log tells more".to_owned(),
        ),
    }
}

/// What becomes of a request, with the generation that says so; lengths are estimates. Names of headers are in lower case.
pub(super) fn told(admin: &Admin, request: &chat::Request, headers: &[(String, String)]) -> Value {
    let header = |name: &str| {
        let header = headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    };
    let set = admin.policy.set();
    let question = Question {
        set: &set,
        facts: &admin.facts.load(),
        request,
        headers: Headers::new(&header),
        forced: None,
        previous: None,
    };
    let models =
        Models::estimating(admin.engine.models()).sampled_per_run(admin.engine.samples_per_run());
    let explanation = explain::explain(&question, &models);
    let mut told = json!(explanation);
    if let Some(told) = told.as_object_mut() {
        told.insert("generation".to_owned(), set.generation().into());
    }
    told
}
