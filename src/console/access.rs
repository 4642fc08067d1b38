//! Who may use the admin port.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::Admin;
use crate::config::Keys;

/// Where there are keys, state is for those who have one; health and metrics are for probes, which have none.
pub(super) async fn with_key(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
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
