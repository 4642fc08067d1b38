//! From a job to its outcome: admission, the turn at the NPU, loading, running, cancelling.
//!
//! One task gives the NPU to one job at a time, over all workers; loading a model is part of the turn, since it
//! would compete with a run for memory. Prompts are prepared beside it, so that a job which does not fit the
//! context is refused at once.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Completion, EngineError, EngineSettings, Job, Progress, Prompt, Run, Started,
    catalog::Catalog,
    library,
    protocol::{End, Finished, JobId, Load, Prepared, WirePrompt},
    queue::{Queue, Waiting},
    residency::{self, Resident},
    slot::Slot,
    status::{Counting, add},
    supervisor::{LoadFailure, Placement, RunCommand, Worker},
};
use crate::chat;

/// Loading from the slowest card that people use, in bytes per second, and time for what does not depend on size.
const SLOWEST_LOAD: u64 = 30_000_000;
const LOAD_MARGIN: Duration = Duration::from_secs(60);
/// A prompt may take this many times as long as the benchmark says: slow memory, other clocks, another process.
const PREFILL_MARGIN: f64 = 8.0;
const PREFILL_FLOOR: Duration = Duration::from_secs(30);
/// Tokens per second of a model of which nothing is known.
const SLOWEST_PREFILL: f64 = 20.0;
/// Places in a job's channel for what is not a token.
const EVENTS: usize = 8;
/// Attempts to get a job to a worker that has not died in between.
const ATTEMPTS: u32 = 3;

/// The engine's state, shared by its tasks.
#[derive(Debug)]
pub(super) struct Scheduler {
    pub(super) settings: EngineSettings,
    pub(super) catalog: Catalog,
    pub(super) library: Option<PathBuf>,
    pub(super) budget: u64,
    pub(super) queue: Queue,
    pub(super) counting: Counting,
    /// Cancelled when no more jobs are taken.
    pub(super) closing: CancellationToken,
    slots: HashMap<String, Arc<Slot>>,
    jobs: AtomicU64,
}

impl Scheduler {
    pub(super) fn new(
        settings: EngineSettings,
        catalog: Catalog,
        library: Option<PathBuf>,
    ) -> Self {
        let slots = catalog
            .models()
            .iter()
            .map(|card| (card.id.clone(), Arc::new(Slot::new(card.clone()))))
            .collect();
        Self {
            budget: library::memory_budget(settings.memory_budget, library.is_none()),
            queue: Queue::new(settings.queue_limit),
            settings,
            catalog,
            library,
            counting: Counting::default(),
            closing: CancellationToken::new(),
            slots,
            jobs: AtomicU64::new(1),
        }
    }

    /// The slots in catalogue order.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.catalog
            .models()
            .iter()
            .filter_map(|card| self.slots.get(&card.id))
    }

    /// Prepares a job, checks it against the context and queues it.
    pub(super) async fn admit(self: Arc<Self>, job: Job) -> Result<Run, EngineError> {
        let submitted = Instant::now();
        if self.closing.is_cancelled() {
            return Err(EngineError::ShuttingDown);
        }
        let slot = self.slot(&job.model)?;
        self.queue.check_room()?;
        let claim = slot.claim();
        let id = self.jobs.fetch_add(1, Ordering::Relaxed);
        let (prompt, thinking) = match &job.prompt {
            Prompt::Chat(request) => {
                let json = serde_json::to_vec(&**request).map_err(|error| {
                    EngineError::Unsupported(format!("the request cannot be passed on: {error}"))
                })?;
                (WirePrompt::Chat(json), request.thinking)
            }
            Prompt::Text(text) => (WirePrompt::Text(text.clone()), Some(false)),
        };
        let (worker, prepared) = self.prepare(&slot, id, &prompt).await?;
        let room = room(&slot, prepared).inspect_err(|_| worker.forget(id))?;
        let answer = job.max_tokens.map_or(room, |limit| limit.min(room));
        // Room for the whole answer: a client that reads slowly holds up neither the NPU nor anyone else, and its
        // backlog is bounded by its own answer. The channel takes memory only for what is in it.
        let capacity = answer as usize + self.settings.queue_limit + EVENTS;
        let (sender, progress) = mpsc::channel(capacity);
        let cancel = CancellationToken::new();
        let waiting = Waiting {
            job: id,
            request: job.id,
            _claim: claim,
            worker: Arc::clone(&worker),
            prompt,
            prepared,
            thinking: thinking.unwrap_or(slot.card.thinking),
            slot,
            sampling: job.sampling,
            max_tokens: job.max_tokens,
            progress: sender,
            cancel: cancel.clone(),
            submitted,
            told: 0,
        };
        self.queue
            .push(waiting)
            .inspect_err(|_| worker.forget(id))?;
        let run = Run {
            prompt_tokens: prepared.tokens.unwrap_or(0),
            thinking_opened: prepared.thinking_opened,
            progress,
            cancel: cancel.clone().drop_guard(),
        };
        // Ends with the job: the guard cancels when the run is dropped, at the latest.
        tokio::spawn(async move {
            cancel.cancelled().await;
            if let Some(waiting) = self.queue.remove(id) {
                self.drop_cancelled(&waiting);
            }
        });
        Ok(run)
    }

    fn slot(&self, model: &str) -> Result<Arc<Slot>, EngineError> {
        self.catalog
            .find(model)
            .and_then(|card| self.slots.get(&card.id))
            .cloned()
            .ok_or_else(|| {
                let known: Vec<&str> = self
                    .catalog
                    .models()
                    .iter()
                    .map(|card| card.id.as_str())
                    .collect();
                EngineError::UnknownModel {
                    model: model.to_owned(),
                    known: known.join(", "),
                }
            })
    }

    /// Has a prompt prepared, by a new worker if the old one dies or is unloaded meanwhile.
    async fn prepare(
        &self,
        slot: &Slot,
        job: JobId,
        prompt: &WirePrompt,
    ) -> Result<(Arc<Worker>, Prepared), EngineError> {
        for _ in 0..ATTEMPTS {
            let worker = slot.worker(&self.settings, self.library.as_ref()).await?;
            match worker.prepare(job, prompt.clone()).await {
                Some(Err(EngineError::Worker { .. })) | None => {}
                Some(prepared) => return prepared.map(|prepared| (worker, prepared)),
            }
        }
        let what = "ended while it prepared the prompt".to_owned();
        Err(EngineError::Worker {
            model: slot.card.id.clone(),
            what,
        })
    }

    /// Gives the NPU to one job after the other, for ever.
    pub(super) async fn dispatch(self: Arc<Self>) {
        loop {
            let waiting = self.queue.next().await;
            let began = Instant::now();
            let completed = self.turn(&waiting).await;
            drop(waiting);
            self.queue.done(completed.then(|| began.elapsed()));
        }
    }

    /// One job's turn. Whether it ran to its end.
    async fn turn(&self, waiting: &Waiting) -> bool {
        if waiting.cancel.is_cancelled() {
            self.drop_cancelled(waiting);
            return false;
        }
        match self.execute(waiting).await {
            Ok(Some(completion)) => {
                add(&self.counting.completed, 1);
                waiting.tell(Progress::Done(completion));
                true
            }
            Ok(None) => {
                add(&self.counting.cancelled, 1);
                false
            }
            Err(error) => {
                // Workers end during a shutdown; that is not their fault.
                let error = if self.closing.is_cancelled() {
                    EngineError::ShuttingDown
                } else {
                    error
                };
                add(&self.counting.failed, 1);
                if matches!(error, EngineError::Worker { .. }) {
                    add(&self.counting.workers_lost, 1);
                }
                tracing::warn!(request = waiting.request, %error, "job failed");
                waiting.tell(Progress::Failed(error));
                false
            }
        }
    }

    fn drop_cancelled(&self, waiting: &Waiting) {
        add(&self.counting.cancelled, 1);
        waiting.worker.forget(waiting.job);
    }

    /// Loads the model if needed and runs the job; `None` if it was cancelled.
    async fn execute(&self, waiting: &Waiting) -> Result<Option<Completion>, EngineError> {
        let slot = &waiting.slot;
        let (worker, prepared) = self.ready(waiting).await?;
        let placement = worker.placement().ok_or_else(|| lost(slot))?;
        let room = room(slot, prepared).inspect_err(|_| worker.forget(waiting.job))?;
        if waiting.cancel.is_cancelled() {
            worker.forget(waiting.job);
            return Ok(None);
        }
        let sampling = if placement.loaded.per_run_sampling {
            slot.card
                .sampling(waiting.thinking)
                .with(&waiting.sampling, &slot.card.family)
        } else {
            placement.sampling
        };
        let (done, mut outcome) = oneshot::channel();
        waiting.tell(Progress::Started(Started {
            queued: waiting.submitted.elapsed(),
            sampling: sampling.into(),
        }));
        worker.run(RunCommand {
            job: waiting.job,
            max_tokens: waiting.max_tokens.map_or(room, |limit| limit.min(room)),
            sampling,
            first_token: prefill_timeout(slot, prepared),
            progress: waiting.progress.clone(),
            done,
        });
        let finished = tokio::select! {
            finished = &mut outcome => finished,
            () = waiting.cancel.cancelled() => {
                worker.abort(waiting.job);
                // The NPU is free only when the runtime has returned.
                outcome.await
            }
        };
        let finished = finished.map_err(|_| lost(slot))??;
        self.count(waiting, &finished);
        Ok(completion(&finished))
    }

    /// A worker with the model loaded and the prompt prepared.
    async fn ready(&self, waiting: &Waiting) -> Result<(Arc<Worker>, Prepared), EngineError> {
        let slot = &waiting.slot;
        for _ in 0..ATTEMPTS {
            let worker = slot.worker(&self.settings, self.library.as_ref()).await?;
            if worker.placement().is_none() {
                waiting.tell(Progress::Loading);
                match self.load(slot, &worker, waiting).await {
                    Ok(_) => {}
                    // The context was a guess, and now the limit is known.
                    Err(LoadFailure {
                        limit: Some(limit), ..
                    }) if limit < slot.context() => {
                        tracing::warn!(
                            model = slot.card.id,
                            limit,
                            "the model's context limit is lower than assumed; \
                            set `context` in model.toml"
                        );
                        slot.learn_context(limit);
                        continue;
                    }
                    Err(LoadFailure { reason, .. }) => {
                        add(&self.counting.load_failures, 1);
                        return Err(EngineError::Load {
                            model: slot.card.id.clone(),
                            reason,
                        });
                    }
                }
            }
            if Arc::ptr_eq(&worker, &waiting.worker) {
                return Ok((worker, waiting.prepared));
            }
            match worker.prepare(waiting.job, waiting.prompt.clone()).await {
                Some(Err(EngineError::Worker { .. })) | None => {}
                Some(prepared) => return prepared.map(|prepared| (worker, prepared)),
            }
        }
        Err(lost(slot))
    }

    /// Makes room and loads the model.
    async fn load<'a>(
        &self,
        slot: &Slot,
        worker: &'a Worker,
        waiting: &Waiting,
    ) -> Result<&'a Placement, LoadFailure> {
        let card = &slot.card;
        let memory = card.expected_memory();
        let residents: Vec<Resident> = self.slots().filter_map(|slot| slot.resident()).collect();
        let plan = residency::plan(&residents, memory, self.budget);
        if !plan.fits {
            tracing::warn!(
                model = card.id,
                memory,
                budget = self.budget,
                "the model is larger than the memory budget"
            );
        }
        for model in &plan.evict {
            tracing::info!(model, "unloading to make room for {}", card.id);
            if let Some(slot) = self.slots.get(model) {
                slot.unload().await;
                add(&self.counting.unloads, 1);
            }
        }
        let load = Load {
            context: slot.context(),
            domain: card.manifest.domain.unwrap_or(plan.domain),
            embed_flash: card.manifest.embed_flash.unwrap_or(true),
            cpu_mask: card.manifest.cpu_mask.or_else(library::cpu_mask),
            sampling: card.sampling(card.thinking),
        };
        let began = Instant::now();
        let timeout = LOAD_MARGIN + Duration::from_secs(card.file_size.max(memory) / SLOWEST_LOAD);
        let placement = worker.load(load, memory, timeout).await?;
        add(&self.counting.loads, 1);
        tracing::info!(
            request = waiting.request,
            model = card.id,
            context = load.context,
            domain = load.domain,
            abi = placement.loaded.abi,
            seconds = began.elapsed().as_secs_f32(),
            "model loaded"
        );
        Ok(placement)
    }

    fn count(&self, waiting: &Waiting, finished: &Finished) {
        let counting = &self.counting;
        add(&counting.prompt_tokens, finished.prompt.into());
        add(&counting.cached_tokens, finished.cached.into());
        add(&counting.completion_tokens, finished.completion.into());
        add(&counting.prefill_us, (finished.prefill_ms * 1e3) as u64);
        add(&counting.decode_us, (finished.decode_ms * 1e3) as u64);
        if finished.cached != finished.predicted {
            add(&counting.mispredicted, 1);
        }
        tracing::debug!(
            request = waiting.request,
            model = waiting.slot.card.id,
            ?finished,
            "run ended"
        );
    }

    /// Unloads what has been idle for too long, for ever.
    pub(super) async fn unload_idle(self: Arc<Self>) {
        let limit = self.settings.idle_unload;
        if limit.is_zero() {
            return;
        }
        loop {
            // Late by a tenth of the limit at most.
            tokio::time::sleep((limit / 10).max(Duration::from_millis(10))).await;
            for slot in self.slots() {
                if slot.alive().is_some()
                    && slot
                        .idle_since()
                        .is_some_and(|since| since.elapsed() >= limit)
                {
                    tracing::info!(model = slot.card.id, "unloading an idle model");
                    slot.unload().await;
                    add(&self.counting.unloads, 1);
                }
            }
        }
    }
}

/// Tokens that the context leaves for the answer; the whole context where the prompt's length is not known.
fn room(slot: &Slot, prepared: Prepared) -> Result<u32, EngineError> {
    let limit = slot.context();
    let prompt = prepared.tokens.unwrap_or(0);
    match limit.checked_sub(prompt) {
        Some(room @ 1..) => Ok(room),
        _ => Err(EngineError::ContextLength { prompt, limit }),
    }
}

fn prefill_timeout(slot: &Slot, prepared: Prepared) -> Duration {
    let speed = slot
        .card
        .expectation
        .as_ref()
        .map_or(SLOWEST_PREFILL, |expectation| expectation.prefill.max(1.0));
    let tokens = prepared.tokens.unwrap_or(slot.context());
    PREFILL_FLOOR + Duration::from_secs_f64(f64::from(tokens) / speed * PREFILL_MARGIN)
}

fn lost(slot: &Slot) -> EngineError {
    EngineError::Worker {
        model: slot.card.id.clone(),
        what: "ended before the run".to_owned(),
    }
}

fn completion(finished: &Finished) -> Option<Completion> {
    let time = |ms: f32| Duration::try_from_secs_f32(ms / 1e3).unwrap_or_default();
    Some(Completion {
        finish: match finished.reason {
            End::Stop => chat::FinishReason::Stop,
            End::Length => chat::FinishReason::Length,
            End::Aborted => return None,
        },
        usage: chat::Usage {
            prompt: finished.prompt,
            cached: finished.cached,
            completion: finished.completion,
            reasoning: 0,
        },
        prefill: time(finished.prefill_ms),
        decode: time(finished.decode_ms),
    })
}
