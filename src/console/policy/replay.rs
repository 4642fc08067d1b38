//! `POST /api/replay`: what logged requests would have become with files as they would be.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::json;

use super::{Admin, Answer, Refusal, blocking, files::Check};
use crate::{
    console::log::Which,
    policy::live::EditError,
    promptlog::{Reader, replay::Replay},
};

/// Most requests that are run through.
const MOST: usize = 10_000;
/// Most requests that are told one by one.
const MOST_EXAMPLES: usize = 100;

/// What is to be tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// Files as they would be; all others stay as they are.
    #[serde(default)]
    files: Vec<Check>,
    /// Which requests.
    #[serde(flatten)]
    which: Which,
    /// So many of the newest of them.
    #[serde(default = "usual_last")]
    last: usize,
    /// How many of those that change are told one by one.
    #[serde(default = "usual_examples")]
    examples: usize,
}

fn usual_last() -> usize {
    100
}

fn usual_examples() -> usize {
    10
}

pub(super) async fn replay(State(admin): State<Arc<Admin>>, Json(trial): Json<Trial>) -> Answer {
    let drafts = trial.files.into_iter().map(Check::into_draft);
    let drafts = drafts.collect::<Result<Vec<_>, Refusal>>()?;
    let filter = trial.which.filter()?;
    let limit = trial.last.clamp(1, MOST);
    let examples = trial.examples.min(MOST_EXAMPLES);
    let run = move |admin: &Admin| {
        let policy = &*admin.policy;
        let refuse = |error| Refusal::edit(EditError::Refused(error), policy);
        let (then, _tests) = policy.with_drafts(&drafts).map_err(refuse)?;
        let mut reader = Reader::open_without_images(admin.prompt_log.place())?;
        let replay = Replay {
            now: &policy.set(),
            then: &then.set,
            facts: &admin.facts.load(),
            filter,
            limit,
            examples,
        };
        Ok(json!(replay.run(&mut reader, |_| ())?))
    };
    blocking(admin, run).await
}
