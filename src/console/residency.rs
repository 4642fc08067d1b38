//! Models that a person loads, unloads, pins and unpins.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::Admin;
use crate::engine::{EngineError, ModelStatus, ResidencyError};

/// The routes of loading, unloading and pinning.
pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/api/engine/models/{id}/load", post(load))
        .route("/api/engine/models/{id}/unload", post(unload))
        .route("/api/engine/models/{id}/pin", post(pin))
        .route("/api/engine/models/{id}/unpin", post(unpin))
}

/// A call that is not done.
struct Refusal(ResidencyError);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            ResidencyError::Engine(EngineError::UnknownModel { .. }) => StatusCode::NOT_FOUND,
            ResidencyError::Engine(_) => StatusCode::SERVICE_UNAVAILABLE,
            ResidencyError::InUse { .. }
            | ResidencyError::Loading(_)
            | ResidencyError::Pinned(_)
            | ResidencyError::NoRoom { .. }
            | ResidencyError::CalledOff(_) => StatusCode::CONFLICT,
        };
        let error = json!({ "error": { "message": self.0.to_string() } });
        (status, Json(error)).into_response()
    }
}

type Answer = Result<Json<Value>, Refusal>;

/// `POST /api/engine/models/{id}/load`: answers when the model is in memory.
async fn load(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Answer {
    admin.engine.load(&id).await.map_err(Refusal)?;
    Ok(now(&admin, &id))
}

/// `POST /api/engine/models/{id}/unload`: answers when the model's memory is free.
async fn unload(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Answer {
    admin.engine.unload(&id).await.map_err(Refusal)?;
    Ok(now(&admin, &id))
}

/// `POST /api/engine/models/{id}/pin`.
async fn pin(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Answer {
    admin.engine.pin(&id, true).map_err(Refusal)?;
    Ok(now(&admin, &id))
}

/// `POST /api/engine/models/{id}/unpin`.
async fn unpin(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Answer {
    admin.engine.pin(&id, false).map_err(Refusal)?;
    Ok(now(&admin, &id))
}

/// The model at this moment.
fn now(admin: &Admin, name: &str) -> Json<Value> {
    let id = admin.engine.model(name).map(|card| card.id.as_str());
    let models = admin.engine.status().models;
    let model = models.iter().find(|model| Some(model.model.as_str()) == id);
    Json(model.map_or(
        Value::Null,
        |ModelStatus {
             model,
             residency,
             pinned,
         }| {
            json!({ "model": model, "residency": residency.as_str(), "pinned": pinned })
        },
    ))
}
