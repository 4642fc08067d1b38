//! An instance of a model of the catalogue and the worker that serves it, if there is one.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{
    EngineError, EngineSettings, ModelCard, ModelKind,
    conversations::Fingerprint,
    failed_load::FailedLoad,
    protocol::{PromptCache, Start, WireAbi},
    schedule::ModelIndex,
    settings::{AbiOverride, PromptCacheSettings},
    supervisor::{Placement, Worker},
};

/// An instance of a model of the catalogue and the worker that serves it, if there is one.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its number in the schedule.
    pub(super) model: ModelIndex,
    /// The number of its model's first instance.
    pub(super) first: ModelIndex,
    pub(super) card: ModelCard,
    /// Held while a worker is started, so that only one is.
    starting: tokio::sync::Mutex<()>,
    worker: Mutex<Option<Arc<Worker>>>,
    /// Context in tokens: what the catalogue says until the runtime knows better.
    context: AtomicU32,
    claims: AtomicUsize,
    last_used: Mutex<Instant>,
    /// The last job that was given to it, of several instances, since it was unloaded.
    last_job: Mutex<Option<Fingerprint>>,
    failed_load: Mutex<Option<FailedLoad>>,
}

/// Keeps a slot from counting as idle.
#[derive(Debug)]
pub(super) struct Claim(Arc<Slot>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.touch();
        self.0.claims.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slot {
    pub(super) fn new(card: ModelCard, model: ModelIndex, first: ModelIndex) -> Self {
        Self {
            model,
            first,
            context: AtomicU32::new(card.context_or_default()),
            card,
            starting: tokio::sync::Mutex::default(),
            worker: Mutex::default(),
            claims: AtomicUsize::new(0),
            last_used: Mutex::new(Instant::now()),
            last_job: Mutex::default(),
            failed_load: Mutex::default(),
        }
    }

    /// Marks the slot as in use until the claim is dropped.
    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        self.claims.fetch_add(1, Ordering::Relaxed);
        self.touch();
        Claim(Arc::clone(self))
    }

    /// Context in tokens.
    pub(super) fn context(&self) -> u32 {
        self.context.load(Ordering::Relaxed)
    }

    /// The runtime has told the model's limit.
    pub(super) fn learn_context(&self, limit: u32) {
        self.context.store(limit, Ordering::Relaxed);
    }

    /// The worker, started if there is none. `on_loss` is told of its end as [`Worker::start`] says.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub(super) async fn worker(
        &self,
        settings: &EngineSettings,
        library: Option<&PathBuf>,
        on_loss: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<Worker>, EngineError> {
        let _starting = self.starting.lock().await;
        if let Some(worker) = self.alive() {
            return Ok(worker);
        }
        let start = Start {
            model: self.card.path.clone(),
            tokenizer_dir: self.card.tokenizer_dir.clone(),
            ends: self.card.manifest.eos.clone(),
            library: library.cloned(),
            abi: settings.abi.map(wire_abi),
            prompt_cache: self.prompt_cache(settings),
        };
        let worker =
            Arc::new(Worker::start(settings, &self.card.id, start, Box::new(on_loss)).await?);
        *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&worker));
        Ok(worker)
    }

    /// How the model's prompt caches are kept. The size of its keys and values is known of models with full attention
    /// only; what linear attention keeps cannot be cut at a prefix. A directory is one worker's, the first
    /// instance's.
    fn prompt_cache(&self, settings: &EngineSettings) -> Option<PromptCache> {
        let PromptCacheSettings { dir, max_size } = settings.prompt_cache.as_ref()?;
        let expected = self.card.expectation.as_ref()?;
        let suits = self.card.kind == ModelKind::Text
            && expected.memory_per_token > 0
            && self.model == self.first;
        suits.then(|| PromptCache {
            dir: dir.clone(),
            max_size: *max_size,
            bytes_per_token: expected.memory_per_token,
            prefill: expected.prefill,
        })
    }

    /// The worker, if there is one and it answers.
    pub(super) fn alive(&self) -> Option<Arc<Worker>> {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        worker.take_if(|worker| !worker.is_alive());
        worker.clone()
    }

    /// The worker and how its model is loaded, if it is.
    pub(super) fn loaded(&self) -> Option<(Arc<Worker>, Placement)> {
        let worker = self.alive()?;
        let placement = worker.placement()?.clone();
        Some((worker, placement))
    }

    /// A job is given to it rather than to another instance.
    pub(super) fn give(&self, job: Fingerprint) {
        *self.last_job() = Some(job);
    }

    /// The last job that was given to it, if it was not unloaded since.
    pub(super) fn last_job(&self) -> MutexGuard<'_, Option<Fingerprint>> {
        self.last_job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last attempt to load it, if that has failed.
    pub(super) fn failed_load(&self) -> MutexGuard<'_, Option<FailedLoad>> {
        self.failed_load
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the worker and waits until its memory is back.
    pub(super) async fn unload(&self) {
        *self.last_job() = None;
        let worker = self
            .worker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(worker) = worker {
            worker.close().await;
        }
    }

    /// Since when nobody uses the slot; `None` while somebody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.claims.load(Ordering::Relaxed) == 0).then(|| self.last_used())
    }

    /// When a job was last given to it or ended.
    pub(super) fn last_used(&self) -> Instant {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

fn wire_abi(abi: AbiOverride) -> WireAbi {
    match abi {
        AbiOverride::V1_2_0 => WireAbi::V1_2_0,
        AbiOverride::V1_2_1 => WireAbi::V1_2_1,
        AbiOverride::V1_3_0 => WireAbi::V1_3_0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::engine::catalog::Catalog;

    #[test]
    fn only_models_with_full_attention_have_prompt_caches() {
        let dir = tempfile::tempdir().unwrap();
        let models = [
            "Qwen3-1.7B-w8a8-rk3588",
            "Qwen3.5-2B-w8a8-rk3588",
            "RWKV7-1.5B-w8a8-rk3588",
            "Qwen3-Embedding-0.6B-w8a8-rk3588",
        ];
        for model in models {
            std::fs::write(dir.path().join(format!("{model}.rkllm")), "").unwrap();
        }
        let settings = EngineSettings {
            prompt_cache: Some(PromptCacheSettings {
                dir: dir.path().to_owned(),
                max_size: 1,
            }),
            ..EngineSettings::default()
        };
        let cards = Catalog::scan(dir.path()).models().to_vec();
        assert_eq!(cards.len(), models.len());
        let having = |model: ModelIndex| -> Vec<String> {
            let slots = cards.iter().cloned();
            slots
                .map(|card| Slot::new(card, model, ModelIndex(0)))
                .filter(|slot| slot.prompt_cache(&settings).is_some())
                .map(|slot| slot.card.family)
                .collect()
        };
        assert_eq!(having(ModelIndex(0)), ["Qwen3"]);
        assert!(having(ModelIndex(1)).is_empty(), "another instance");
    }
}
