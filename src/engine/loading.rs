//! Loading and unloading models.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    EngineError, ModelKind,
    failed_load::{FailedLoad, FileState},
    library,
    protocol::Load,
    schedule::{Domain, ModelIndex},
    scheduler::{ATTEMPTS, Scheduler},
    slot::Slot,
    status::add,
    supervisor::{LoadFailure, Worker},
};

/// Loading from the slowest card that people use, in bytes per second, and time for what does not depend on size.
const SLOWEST_LOAD: u64 = 30_000_000;
const LOAD_MARGIN: Duration = Duration::from_secs(60);

impl Scheduler {
    /// Unloads models and loads another, and warms it up where no job waits that would do so. The bytes that it takes.
    pub(super) async fn load(
        self: &Arc<Self>,
        model: ModelIndex,
        domain: Domain,
        unload: &[ModelIndex],
        warm_up: bool,
    ) -> Result<u64, String> {
        let slot = self.slot(model).ok_or("there is no such model")?;
        // No job may hold it yet, and its worker is not to be taken for an idle one.
        let _claim = slot.claim();
        for slot in unload.iter().filter_map(|model| self.slot(*model)) {
            tracing::info!(model = slot.card.id, "unloading to make room");
            slot.unload().await;
            add(&self.counting.unloads, 1);
        }
        let memory = slot.card.expected_memory();
        if memory > self.budget {
            tracing::warn!(
                model = slot.card.id,
                memory,
                budget = self.budget,
                "the model is larger than the memory budget"
            );
        }
        let mut reason = "its worker process has ended".to_owned();
        for _ in 0..ATTEMPTS {
            let worker = match self.worker(slot).await {
                Ok(worker) => worker,
                Err(EngineError::Load { reason, .. }) => return Err(reason),
                Err(error) => return Err(error.to_string()),
            };
            if worker.placement().is_some() {
                return Ok(memory);
            }
            match self.load_into(&worker, slot, domain, warm_up).await {
                Ok(()) => return Ok(memory),
                // The context was a guess, and now the limit is known.
                Err(LoadFailure {
                    limit: Some(limit), ..
                }) if limit < slot.context() => {
                    tracing::warn!(
                        model = slot.card.id,
                        limit,
                        "the model's context limit is lower than assumed; set `context` in model.toml"
                    );
                    let same = |other: &&Arc<Slot>| other.first == slot.first;
                    for instance in self.slots.iter().filter(same) {
                        instance.learn_context(limit);
                    }
                }
                Err(failure) => {
                    reason = failure.reason;
                    break;
                }
            }
        }
        Err(reason)
    }

    /// Refuses a job where others would have to be unloaded for its model, most likely in vain: its file cannot be read,
    /// or is the one that could not be loaded a while ago.
    pub(super) async fn check_loadable(&self, slot: &Slot) -> Result<(), EngineError> {
        if slot.loaded().is_some() || self.queue.fits(slot.model, &[]) {
            return Ok(());
        }
        let file = FileState::of(&slot.card.path).await;
        let reason = match (file, &*slot.failed_load()) {
            (Err(error), _) => format!("{} cannot be read: {error}", slot.card.path.display()),
            (Ok(file), Some(failed)) => match failed.pause(file, Instant::now()) {
                Some(pause) => format!(
                    "{}; other models would have to be unloaded for another attempt: there is none within {} s unless \
                     the file changes",
                    failed.reason,
                    pause.as_secs().max(1)
                ),
                None => return Ok(()),
            },
            (Ok(_), None) => return Ok(()),
        };
        add(&self.counting.failed, 1);
        Err(EngineError::Load {
            model: slot.card.id.clone(),
            reason,
        })
    }

    /// A load has ended.
    pub(super) async fn load_ended(&self, model: ModelIndex, result: Result<u64, String>) {
        match result {
            Ok(memory) => {
                if let Some(slot) = self.slot(model) {
                    *slot.failed_load() = None;
                }
                self.queue.loaded(model, memory);
                // It may have ended before anybody knew that it was loaded.
                self.look_after(model);
            }
            Err(reason) => {
                add(&self.counting.load_failures, 1);
                if let Some(slot) = self.slot(model) {
                    let file = FileState::of(&slot.card.path).await.ok();
                    let mut failed = slot.failed_load();
                    *failed = Some(FailedLoad::new(&reason, file, failed.as_ref()));
                }
                let id = self.slot(model).map(|slot| slot.card.id.as_str());
                tracing::warn!(model = id, reason, "the model could not be loaded");
                for pending in self.queue.load_failed(model, &reason) {
                    let error = EngineError::Load {
                        model: pending.slot.card.id.clone(),
                        reason: reason.clone(),
                    };
                    self.fail(&pending, error);
                }
            }
        }
    }

    /// Ends the worker of a model that the schedule has given up.
    pub(super) async fn unload(&self, model: ModelIndex) {
        if let Some(slot) = self.slot(model) {
            tracing::info!(model = slot.card.id, "unloading");
            slot.unload().await;
            add(&self.counting.unloads, 1);
        }
        self.queue.unloaded(model);
    }

    async fn load_into(
        &self,
        worker: &Worker,
        slot: &Slot,
        domain: Domain,
        warm_up: bool,
    ) -> Result<(), LoadFailure> {
        let card = &slot.card;
        let memory = card.expected_memory();
        let profile = self.settings.profiles.as_ref();
        let profile = profile
            .map(|profiles| profiles.of(card, self.catalog.models()))
            .unwrap_or_default();
        let load = Load {
            context: slot.context(),
            domain,
            embed_flash: card.manifest.embed_flash.unwrap_or(true),
            cpu_mask: card.manifest.cpu_mask.or_else(library::cpu_mask),
            sampling: card.sampling_at_load(&profile),
            warm_up: warm_up && card.kind == ModelKind::Text,
        };
        let began = Instant::now();
        let timeout = LOAD_MARGIN + Duration::from_secs(card.file_size.max(memory) / SLOWEST_LOAD);
        let placement = worker.load(load, memory, timeout).await?;
        add(&self.counting.loads, 1);
        tracing::info!(
            model = card.id,
            context = load.context,
            domain = load.domain,
            abi = placement.loaded.abi,
            seconds = began.elapsed().as_secs_f32(),
            "model loaded"
        );
        Ok(())
    }
}
