//! The gateway at this moment.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};
use url::Url;

use super::Admin;
use crate::telemetry::Activity;

pub(super) async fn state(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let upstreams: Vec<Value> = admin
        .config
        .upstreams
        .iter()
        .map(|it| json!({ "name": it.name, "urls": it.urls.iter().map(Url::as_str).collect::<Vec<_>>() }))
        .collect();
    let policy = admin.policy.last_attempt();
    let memory = admin.board.memory();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": admin.started.elapsed().as_secs(),
        "shutting_down": admin.stop.is_cancelled(),
        "config_file": admin.file,
        "api": admin.api.to_string(),
        "api_keys": !admin.config.keys.is_empty(),
        "upstreams": upstreams,
        "policy": { "generation": policy.generation, "ok": policy.error.is_none() },
        "prompt_log": admin.prompt_log.status(),
        "open_webui": webui_headers(&admin.activity),
        "board": {
            "chip": admin.board.chip(),
            "memory_bytes": memory.map(|memory| memory.total),
            "memory_available_bytes": memory.map(|memory| memory.available),
            "npu_driver": admin.board.npu_driver(),
        },
    }))
}

/// Of the last requests, how many told which of Open WebUI's headers.
fn webui_headers(activity: &Activity) -> Value {
    let (mut requests, _) = activity.ended(0);
    requests.extend(activity.running());
    let with = |name: &str| {
        let told = requests.iter();
        told.filter(|request| request.webui_headers.contains(&name))
            .count()
    };
    json!({
        "requests": requests.len(),
        "task": with("x-openwebui-task"),
        "chat": with("x-openwebui-chat-id"),
        "user": with("x-openwebui-user-id"),
    })
}
