//! Prompt cache files around a run: loaded before it, saved by it.

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use rkllm::RunReport;
use sha2::{Digest as _, Sha256};

use super::{Runner, Session};
use crate::engine::{
    protocol::Finished,
    worker::{
        ReadyPrompt, Shared, lock,
        prefixes::{Fetched, Prefixes, Saving},
        reusable,
    },
};

/// What a file has brought.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gain {
    /// Tokens of the prompt that the KV cache held before.
    held: u32,
    /// Tokens of the prompt beyond these.
    tokens: u32,
    took: Duration,
}

impl Runner {
    /// The prompt cache files of the model that is being loaded.
    pub(super) fn prefixes(&self, context: u32) -> Option<Prefixes> {
        let settings = self.prompt_cache.as_ref()?;
        let mut hash = Sha256::new();
        // Neither another conversion of the same name nor another runtime may read them.
        hash.update(file_identity(&self.path)?);
        if let Some(library) = &self.library {
            hash.update(file_identity(library)?);
        }
        hash.update(format!("{:?} {context}", self.abi));
        let digest: String = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let stem = self.path.file_stem()?.to_string_lossy();
        Prefixes::open(settings, &format!("{stem}-{digest}"))
    }
}

/// Where a file is, how long, and when it was written.
fn file_identity(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let metadata = fs::metadata(&path).ok()?;
    let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!(
        "{} {} {}",
        path.display(),
        metadata.len(),
        written.as_nanos()
    ))
}

impl Session {
    /// Loads a file into the KV cache if this prompt is read sooner then.
    pub(super) fn fetch(&mut self, shared: &Shared, ready: &ReadyPrompt) -> Gain {
        let (Some(prefixes), Some(model), ReadyPrompt::Tokens { ids, .. }) =
            (&mut self.prefixes, &mut self.model, ready)
        else {
            return Gain::default();
        };
        let held = reusable(&lock(&shared.kv), ids);
        match prefixes.fetch(model, ids, held) {
            Fetched::Nothing => Gain::default(),
            Fetched::Loaded { ids: kv, took } => {
                let tokens = reusable(&kv, ids).saturating_sub(held);
                *lock(&shared.kv) = kv;
                Gain { held, tokens, took }
            }
            Fetched::Failed => {
                lock(&shared.kv).clear();
                // Where this fails the next run finds more than is expected, and no less.
                let _ = model.clear_kv_cache(false);
                Gain::default()
            }
        }
    }

    /// Whether the run of this prompt is to save a file, and which.
    pub(super) fn saving(&mut self, ready: &ReadyPrompt, held: u32) -> Option<Saving> {
        match ready {
            ReadyPrompt::Tokens { ids, head, .. } => {
                self.prefixes.as_mut()?.saving(ids, *head, held)
            }
            ReadyPrompt::Text { .. } => None,
        }
    }

    /// Keeps the file that the run has saved. After an abort nobody promises what is in it.
    pub(super) fn keep(
        &mut self,
        shared: &Shared,
        saving: Option<Saving>,
        report: &RunReport,
    ) -> bool {
        let (Some(prefixes), Some(saving)) = (&mut self.prefixes, saving) else {
            return false;
        };
        let kv = lock(&shared.kv).clone();
        prefixes.finish(saving, (!report.aborted).then_some(&kv))
    }

    /// The end of a run with what a file has done for it.
    pub(super) fn account(
        &mut self,
        finished: Finished,
        report: &RunReport,
        gain: Gain,
    ) -> Finished {
        let Some(prefixes) = &mut self.prefixes else {
            return finished;
        };
        let perf = report.perf.filter(|perf| perf.prefill_tokens > 0);
        if let Some(perf) = perf {
            prefixes.learn(perf.prefill_tokens, perf.prefill);
            if gain.tokens > 0 && finished.cached < gain.held + gain.tokens / 2 {
                prefixes.give_up_all();
            }
        }
        Finished {
            loaded: finished.cached.saturating_sub(gain.held).min(gain.tokens),
            prefill_ms: finished.prefill_ms + gain.took.as_secs_f32() * 1e3,
            ..finished
        }
    }
}
