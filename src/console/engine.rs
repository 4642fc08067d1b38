//! The engine and its models.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::{Value, json};

use super::Admin;
use crate::engine::{ModelCard, ModelKind};

/// A model of the embedded engine.
#[derive(Debug, Serialize)]
struct Model<'a> {
    id: &'a str,
    name: &'a str,
    kind: ModelKind,
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
            kind: card.kind,
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

pub(super) async fn engine(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(status_json(&admin))
}

/// The engine at this moment.
pub(super) fn status_json(admin: &Admin) -> Value {
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
    let residency: Vec<Value> = status
        .models
        .iter()
        .map(|model| {
            json!({
                "model": model.model,
                "residency": model.residency.as_str(),
                "pinned": model.pinned,
            })
        })
        .collect();
    json!({
        "library": status.library.map_or_else(|| "simulator".to_owned(), |path| path.display().to_string()),
        "models_dir": status.models_dir,
        "shipped_models": status.shipped_models,
        "memory_budget_bytes": status.memory_budget,
        "queued": status.queued,
        "residency": residency,
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
    })
}
