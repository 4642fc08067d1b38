//! What is in force, where it comes from, and what was before.

use std::{sync::Arc, time::UNIX_EPOCH};

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Admin, Answer, attempt_json, blocking};
use crate::policy::{
    Source,
    live::{Generation, Live},
    shipped,
};

/// Where a file comes from.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Held {
    /// As it is inside the binary, there or in the user's directory.
    Shipped,
    /// The user's.
    Own,
    /// The user's, in place of a shipped one.
    Replaced,
}

/// `GET /api/policy`: what is in force, the files, and the generations that can be returned to.
pub(super) async fn overview(State(admin): State<Arc<Admin>>) -> Answer {
    let overview = |admin: &Admin| {
        let policy = &admin.policy;
        let files = policy.files()?.into_iter().map(|file| {
            let id = policy.id_of(&file.path).unwrap_or_default();
            let held = held(&id, &file);
            json!({ "id": id, "path": file.path, "held": held })
        });
        let mut overview = attempt_json(&policy.last_attempt(), policy);
        overview["files"] = files.collect();
        overview["generations"] = generations(policy).into();
        Ok(overview)
    };
    blocking(admin, overview).await
}

fn held(id: &str, file: &Source) -> Held {
    let ships = shipped::names().any(|name| name == id);
    match (file.is_shipped, ships) {
        (true, _) => Held::Shipped,
        (false, true) => Held::Replaced,
        (false, false) => Held::Own,
    }
}

/// Newest first, each with the files that are not as they were before.
fn generations(policy: &Live) -> Vec<Value> {
    let generations = policy.generations();
    let before = std::iter::once(None).chain(generations.iter().map(Some));
    let mut told: Vec<Value> = generations
        .iter()
        .zip(before)
        .map(|(generation, before)| {
            let at = generation.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            json!({
                "number": generation.number,
                "at": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
                "changed": before.map(|before| changed(policy, before, generation)),
            })
        })
        .collect();
    told.reverse();
    told
}

fn changed(policy: &Live, before: &Generation, after: &Generation) -> Vec<String> {
    let mut ids: Vec<String> = [(before, after), (after, before)]
        .into_iter()
        .flat_map(|(one, other)| one.files.iter().filter(|file| !other.files.contains(file)))
        .filter_map(|file| policy.id_of(&file.path))
        .collect();
    ids.sort();
    ids.dedup();
    ids
}
