//! `GET /api/setup`: what doctor finds, and what to enter in Open WebUI.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Admin;
use crate::doctor;

pub(super) async fn setup(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let looked = Arc::clone(&admin);
    let look = move || {
        let mut findings = doctor::machine(&looked.board, Some(&looked.config));
        findings.extend(doctor::models(&looked.board, &looked.config));
        findings.push(doctor::running_prompt_log(&looked.prompt_log));
        findings
    };
    let mut findings = tokio::task::spawn_blocking(look).await.unwrap_or_default();
    findings.extend(doctor::upstreams(&admin.config).await);
    Json(json!({
        "findings": findings,
        "open_webui": {
            "url": doctor::webui_url(&(&admin.api).into()),
            "headers": doctor::WEBUI_HEADERS,
            "key_needed": !admin.config.keys.is_empty(),
        },
    }))
}
