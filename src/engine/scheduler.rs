//! The engine's state, and how a job comes into it: prepared, checked against its model's context, queued, cancelled.
//!
//! Prompts are prepared beside the runs, so that a job which does not fit the context is refused at once.

use std::{
    collections::HashMap,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    EngineError, EngineSettings, Job, Prompt, Run,
    catalog::Catalog,
    conversations::{Conversations, Fingerprint},
    library,
    pending::{Before, News, Pending, State},
    protocol::{JobId, Prepared, WirePrompt},
    queue::{Orders, Queue},
    schedule::{Arrival, ModelIndex, ModelTable, Newcomer},
    slot::Slot,
    status::{Counting, add},
    supervisor::Worker,
};
use crate::excerpt;

/// Tokens of a title.
const TASK_ANSWER: f64 = 15.0;

/// A worker whose model is not loaded is kept for this long at most after it has read a prompt.
const LONE_TOKENIZER: Duration = Duration::from_secs(60);

/// Attempts to get a job to a worker that has not died in between.
pub(super) const ATTEMPTS: u32 = 3;

/// The engine's state, shared by its tasks.
#[derive(Debug)]
pub(super) struct Scheduler {
    pub(super) settings: EngineSettings,
    pub(super) catalog: Catalog,
    pub(super) library: Option<PathBuf>,
    pub(super) budget: u64,
    pub(super) queue: Queue,
    pub(super) counting: Counting,
    pub(super) conversations: Mutex<Conversations>,
    /// Cancelled when no more jobs are taken.
    pub(super) closing: CancellationToken,
    /// Held while a job is given to one of several instances.
    pub(super) assigning: Mutex<()>,
    /// The instances of all models, in catalogue order.
    pub(super) slots: Vec<Arc<Slot>>,
    /// The places of each model's instances in `slots`.
    by_id: HashMap<String, Range<usize>>,
    jobs: AtomicU64,
}

impl Scheduler {
    /// The engine, and what its queue orders to be done.
    pub(super) fn new(
        settings: EngineSettings,
        catalog: Catalog,
        library: Option<PathBuf>,
    ) -> (Self, Orders) {
        let budget = library::memory_budget(settings.memory_budget, library.is_none());
        let preload = preload(&settings, &catalog, budget);
        let mut slots = Vec::new();
        let mut tables = Vec::new();
        let mut by_id = HashMap::new();
        for card in catalog.models() {
            let first = slots.len();
            tables.push(ModelTable {
                memory: card.expected_memory(),
                domain: card.manifest.domain,
                pinned: card.manifest.pin,
                preload: preload.iter().position(|id| *id == card.id),
            });
            // Further instances are loaded for jobs only, and share no domain by order.
            let instances = card.manifest.instances.map_or(1, |n| usize::from(n.get()));
            tables.extend((1..instances).map(|_| ModelTable {
                memory: card.expected_memory(),
                ..ModelTable::default()
            }));
            let own = first..first + instances;
            let slot = |n| Slot::new(card.clone(), ModelIndex(n), ModelIndex(first));
            slots.extend(own.clone().map(|n| Arc::new(slot(n))));
            by_id.insert(card.id.clone(), own);
        }
        let (queue, orders) = Queue::new(tables, settings.queue_limit, budget);
        let scheduler = Self {
            budget,
            queue,
            assigning: Mutex::default(),
            slots,
            by_id,
            settings,
            catalog,
            library,
            counting: Counting::default(),
            conversations: Mutex::default(),
            closing: CancellationToken::new(),
            jobs: AtomicU64::new(1),
        };
        (scheduler, orders)
    }

    pub(super) fn slot(&self, model: ModelIndex) -> Option<&Arc<Slot>> {
        self.slots.get(model.0)
    }

    /// Prepares a job, checks it against the context and queues it.
    pub(super) async fn admit(self: Arc<Self>, mut job: Job) -> Result<Run, EngineError> {
        let submitted = Instant::now();
        if self.closing.is_cancelled() {
            return Err(EngineError::ShuttingDown);
        }
        let instances = self.find(&job.model)?;
        let card = &instances.0.card;
        card.check_kind(&job.prompt)?;
        if let Prompt::Chat(request) = &mut job.prompt
            && request.thinking.is_none()
            && card.thinking
        {
            Arc::make_mut(request).thinking = Some(true);
        }
        let print = Fingerprint::of(&job);
        let messages = print.said();
        self.queue.check_room(&Newcomer {
            class: &job.queue,
            origin: &job.origin,
            messages: &messages,
        })?;
        let (slot, claim) = self.assign(instances, &print);
        self.check_loadable(&slot).await?;
        let id = self.jobs.fetch_add(1, Ordering::Relaxed);
        let (prompt, thinking) = match &job.prompt {
            Prompt::Chat(request) => {
                let json = serde_json::to_vec(&**request).map_err(|error| {
                    EngineError::Unsupported(format!("the request cannot be passed on: {error}"))
                })?;
                (WirePrompt::Chat(json), request.thinking)
            }
            Prompt::Text(text) => (WirePrompt::Text(text.clone()), Some(false)),
            Prompt::Embed(passage) => (WirePrompt::Embed(passage.clone()), Some(false)),
        };
        let (worker, prepared) = self.prepare(&slot, id, &prompt).await?;
        let room = room(&slot, prepared).inspect_err(|_| worker.forget(id))?;
        let answer = job.max_tokens.map_or(room, |limit| limit.min(room));
        let (news, progress) = News::channel(answer);
        let cancel = CancellationToken::new();
        let arrival = Arrival {
            job: id,
            model: slot.model,
            deadline: job.queue.deadline.map(|moment| self.queue.time(moment)),
            class: job.queue,
            origin: job.origin,
            reusable: prepared.reuse,
            expected: expected(&slot, prepared),
            messages,
        };
        let pending = Pending {
            print,
            job: id,
            request: job.id,
            _claim: claim,
            prompt,
            thinking: thinking.unwrap_or(slot.card.thinking),
            slot,
            sampling: job.sampling,
            max_tokens: job.max_tokens,
            news,
            state: Mutex::new(State {
                worker: Arc::clone(&worker),
                prepared,
                stale: false,
                failed_starts: 0,
                before: Before::new(submitted),
            }),
        };
        self.queue
            .push(Arc::new(pending), arrival)
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
            if let Some(pending) = self.queue.cancel(id) {
                add(&self.counting.cancelled, 1);
                pending.state().worker.forget(id);
            }
        });
        Ok(run)
    }

    /// The instances of a model: the first, and all others.
    pub(super) fn find(&self, name: &str) -> Result<(&Arc<Slot>, &[Arc<Slot>]), EngineError> {
        let known = || {
            let card = self.catalog.find(name)?;
            let instances = self.by_id.get(&card.id)?;
            self.slots.get(instances.clone())?.split_first()
        };
        known().ok_or_else(|| {
            let models = self.catalog.models().iter();
            let known: Vec<&str> = models.map(|card| card.id.as_str()).collect();
            EngineError::UnknownModel {
                model: excerpt::name(name).into_owned(),
                known: known.join(", "),
            }
        })
    }

    /// The worker of a slot, started if there is none.
    ///
    /// # Errors
    /// As [`Worker::start`].
    pub(super) async fn worker(self: &Arc<Self>, slot: &Slot) -> Result<Arc<Worker>, EngineError> {
        let (scheduler, model) = (Arc::downgrade(self), slot.model);
        let on_loss = move || {
            if let Some(scheduler) = scheduler.upgrade() {
                add(&scheduler.counting.workers_lost, 1);
                scheduler.look_after(model);
            }
        };
        slot.worker(&self.settings, self.library.as_ref(), on_loss)
            .await
    }

    /// Has the schedule know where a model's worker has ended, unless the slot has another one by now.
    pub(super) fn look_after(&self, model: ModelIndex) {
        if self.slot(model).is_some_and(|slot| slot.loaded().is_none()) {
            self.queue.lost(model);
        }
    }

    /// Has a prompt prepared, by a new worker if the old one dies or is unloaded meanwhile.
    async fn prepare(
        self: &Arc<Self>,
        slot: &Slot,
        job: JobId,
        prompt: &WirePrompt,
    ) -> Result<(Arc<Worker>, Prepared), EngineError> {
        for _ in 0..ATTEMPTS {
            let worker = self.worker(slot).await?;
            match worker.prepare(job, prompt.clone(), Vec::new()).await {
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

    /// Unloads what has been idle for too long, for ever.
    pub(super) async fn unload_idle(self: Arc<Self>) {
        let limit_of = |slot: &Slot| {
            let own = slot.card.manifest.idle_unload;
            let limit = own.map_or(self.settings.idle_unload, |own| own.0);
            match slot.loaded() {
                // Only its tokenizer is there, of which the schedule knows nothing.
                None if limit.is_zero() => Some(LONE_TOKENIZER),
                None => Some(limit.min(LONE_TOKENIZER)),
                Some(_) => (!limit.is_zero()).then_some(limit),
            }
        };
        let shortest = self.slots.iter().filter_map(|slot| limit_of(slot)).min();
        let shortest = shortest.unwrap_or(LONE_TOKENIZER);
        loop {
            // Late by a tenth of the limit at most.
            tokio::time::sleep((shortest / 10).max(Duration::from_millis(10))).await;
            for (index, slot) in self.slots.iter().enumerate() {
                let idle = slot.idle_since().zip(limit_of(slot));
                if slot.alive().is_none()
                    || idle.is_none_or(|(since, limit)| since.elapsed() < limit)
                {
                    continue;
                }
                if slot.loaded().is_none() {
                    slot.unload().await;
                } else if let Ok(unloaded) = self.queue.unload(ModelIndex(index)) {
                    tracing::info!(model = slot.card.id, "idle");
                    // Told in any case.
                    let _ = unloaded.await;
                }
            }
        }
    }
}

/// The ids of the models to load at the start, with a word on those for which there will be no room.
fn preload<'a>(settings: &EngineSettings, catalog: &'a Catalog, budget: u64) -> Vec<&'a str> {
    let mut rest = budget;
    let mut ids = Vec::new();
    for name in &settings.preload {
        match catalog.find(name) {
            Some(card) if card.expected_memory() <= rest || ids.is_empty() => {
                rest = rest.saturating_sub(card.expected_memory());
                ids.push(card.id.as_str());
            }
            Some(card) => tracing::warn!(
                model = card.id,
                "not loaded at the start: the memory budget has no room for it beside the models before it"
            ),
            None => tracing::warn!(
                model = name,
                "not loaded at the start: there is no such model"
            ),
        }
    }
    ids
}

/// How long a run with an answer like a title's is likely to take, where the model's speed is known.
fn expected(slot: &Slot, prepared: Prepared) -> Option<Duration> {
    let (expected, tokens) = slot.card.expectation.as_ref().zip(prepared.tokens)?;
    let read = f64::from(tokens.saturating_sub(prepared.reuse)) / expected.prefill.max(1.0);
    let said = TASK_ANSWER / expected.decode.max(1.0);
    Some(Duration::from_secs_f64(read + said))
}

/// Tokens that the context leaves for the answer; the whole context where the prompt's length is not known.
pub(super) fn room(slot: &Slot, prepared: Prepared) -> Result<u32, EngineError> {
    let limit = slot.context();
    let prompt = prepared.tokens.unwrap_or(0);
    match limit.checked_sub(prompt) {
        Some(room @ 1..) => Ok(room),
        _ => Err(EngineError::ContextLength { prompt, limit }),
    }
}
