//! The schedule and its jobs, shared by everyone who has something to tell it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    EngineError, Progress, Residency,
    pending::Pending,
    protocol::JobId,
    schedule::{
        Action, Arrival, Asked, Ended, Full, ModelIndex, ModelTable, Newcomer, Place, Refused,
        Schedule, Time,
    },
};

/// What is to be done, in the order in which it was decided.
pub(super) type Orders = mpsc::UnboundedReceiver<Order>;

/// Something to be done.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) action: Action,
    /// The job that it is about, if it is still known.
    pub(super) job: Option<Arc<Pending>>,
}

/// The queue before the NPU.
#[derive(Debug)]
pub(super) struct Queue {
    /// Beginning of the schedule's time.
    epoch: Instant,
    state: Mutex<State>,
    orders: mpsc::UnboundedSender<Order>,
    /// Notified when the next tick may have moved.
    retimed: Notify,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    jobs: HashMap<JobId, Arc<Pending>>,
    watchers: Vec<Watcher>,
}

/// Someone who waits until a model is loaded or unloaded.
#[derive(Debug)]
struct Watcher {
    model: ModelIndex,
    loaded: bool,
    told: oneshot::Sender<Result<(), String>>,
}

/// How a wish ends: an error where the model cannot be loaded, and nothing where the wish was called off.
pub(super) type Fulfilment = oneshot::Receiver<Result<(), String>>;

impl State {
    /// Watches for the end of what was asked for, which may be there.
    fn watch(&mut self, model: ModelIndex, loaded: bool, asked: Asked) -> Fulfilment {
        let (told, fulfilment) = oneshot::channel();
        match asked {
            // The receiver is at hand.
            Asked::Done => drop(told.send(Ok(()))),
            Asked::Coming => self.watchers.push(Watcher {
                model,
                loaded,
                told,
            }),
        }
        fulfilment
    }

    /// Tells those who wait for this model to be loaded, or unloaded.
    fn fulfil(&mut self, model: ModelIndex, loaded: bool, result: &Result<(), String>) {
        let theirs = |watcher: &mut Watcher| watcher.model == model && watcher.loaded == loaded;
        for watcher in self.watchers.extract_if(.., theirs) {
            // Nobody may wait any more.
            let _ = watcher.told.send(result.clone());
        }
    }
}

impl Queue {
    /// A queue, and the end at which its orders come out.
    pub(super) fn new(models: Vec<ModelTable>, limit: usize, budget: u64) -> (Self, Orders) {
        let (orders, receiver) = mpsc::unbounded_channel();
        let queue = Self {
            epoch: Instant::now(),
            state: Mutex::new(State {
                schedule: Schedule::new(models, limit, budget),
                jobs: HashMap::new(),
                watchers: Vec::new(),
            }),
            orders,
            retimed: Notify::new(),
        };
        (queue, receiver)
    }

    /// Whether a job would be taken.
    ///
    /// # Errors
    /// [`EngineError::QueueFull`].
    pub(super) fn check_room(&self, newcomer: &Newcomer<'_>) -> Result<(), EngineError> {
        let now = self.now();
        let room = self.lock().schedule.check_room(newcomer, now);
        room.map_err(refusal)
    }

    /// Adds a job.
    ///
    /// # Errors
    /// [`EngineError::QueueFull`].
    pub(super) fn push(&self, pending: Arc<Pending>, arrival: Arrival) -> Result<(), EngineError> {
        let job = pending.job;
        self.tell(|state, now| {
            state.jobs.insert(job, pending);
            state.schedule.arrive(arrival, now).map_err(|full| {
                state.jobs.remove(&job);
                refusal(full)
            })
        })
    }

    /// The client of a job is gone. The job, if it was still known.
    pub(super) fn cancel(&self, job: JobId) -> Option<Arc<Pending>> {
        self.tell(|state, now| {
            let known = state.schedule.cancel(job, now);
            state.jobs.remove(&job).filter(|_| known)
        })
    }

    /// A job's run has ended, and so has the job unless it waits again. Whether it was still known.
    pub(super) fn ended(&self, job: JobId, how: Ended) -> bool {
        self.tell(|state, now| {
            let known = match how {
                Ended::Completed | Ended::Failed => state.jobs.remove(&job).is_some(),
                Ended::Aborted | Ended::ModelLost => state.jobs.contains_key(&job),
            };
            state.schedule.ended(job, how, now);
            known
        })
    }

    /// Waiting jobs' prompts can use so many tokens of what their model's KV cache holds.
    pub(super) fn reusable(&self, prompts: &[(JobId, u32)]) {
        let mut state = self.lock();
        for (job, tokens) in prompts {
            state.schedule.reusable(*job, *tokens);
        }
    }

    pub(super) fn loaded(&self, model: ModelIndex, memory: u64) {
        self.tell(|state, now| {
            state.fulfil(model, true, &Ok(()));
            state.schedule.loaded(model, memory, now);
        });
    }

    /// A model could not be loaded. The jobs that waited for it.
    pub(super) fn load_failed(&self, model: ModelIndex, reason: &str) -> Vec<Arc<Pending>> {
        self.tell(|state, now| {
            state.fulfil(model, true, &Err(reason.to_owned()));
            let failed = state.schedule.load_failed(model, now);
            failed
                .iter()
                .filter_map(|job| state.jobs.remove(job))
                .collect()
        })
    }

    /// A model is unloaded, as the schedule wanted.
    pub(super) fn unloaded(&self, model: ModelIndex) {
        self.tell(|state, now| {
            state.fulfil(model, false, &Ok(()));
            state.schedule.unloaded(model, now);
        });
    }

    /// The worker that had a model has ended by itself.
    pub(super) fn lost(&self, model: ModelIndex) {
        self.tell(|state, now| state.schedule.lost(model, now));
    }

    /// Has a model loaded as soon as there is room.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn load(&self, model: ModelIndex) -> Result<Fulfilment, Refused> {
        self.tell(|state, now| {
            let asked = state.schedule.wish(model, now)?;
            Ok(state.watch(model, true, asked))
        })
    }

    /// Has a model unloaded that nobody uses, or calls off its loading.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn unload(&self, model: ModelIndex) -> Result<Fulfilment, Refused> {
        self.tell(|state, now| {
            let asked = state.schedule.unload(model, now)?;
            state
                .watchers
                .retain(|watcher| watcher.model != model || !watcher.loaded);
            Ok(state.watch(model, false, asked))
        })
    }

    /// Keeps a model from now on, or no longer.
    pub(super) fn pin(&self, model: ModelIndex, pinned: bool) {
        self.tell(|state, now| state.schedule.pin(model, pinned, now));
    }

    /// Where each model is, and whether it is pinned.
    pub(super) fn residency(&self) -> Vec<(Residency, bool)> {
        self.lock().schedule.residency()
    }

    /// Whether a model has room beside what is loaded or is to be, and `wanted`.
    pub(super) fn fits(&self, model: ModelIndex, wanted: &[ModelIndex]) -> bool {
        self.lock().schedule.fits(model, wanted)
    }

    /// Whether the last attempt to load a model has failed.
    pub(super) fn has_failed(&self, model: ModelIndex) -> bool {
        self.lock().schedule.has_failed(model)
    }

    /// Takes all jobs out, and stops the running one.
    pub(super) fn drain(&self) -> Vec<Arc<Pending>> {
        self.tell(|state, _| {
            state.schedule.clear();
            state.jobs.drain().map(|(_, job)| job).collect()
        })
    }

    /// Time has passed.
    pub(super) fn tick(&self) {
        self.tell(|state, now| state.schedule.tick(now));
    }

    /// Waits until [`Queue::tick`] is due.
    pub(super) async fn tick_due(&self) {
        loop {
            let due = self.lock().schedule.next_tick();
            let retimed = self.retimed.notified();
            match due {
                None => retimed.await,
                Some(due) => {
                    let due = tokio::time::Instant::from_std(self.epoch + due);
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => return,
                        () = retimed => {}
                    }
                }
            }
        }
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().schedule.waiting()
    }

    /// Whether no job waits and none has the NPU.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().schedule.is_idle()
    }

    /// A moment on the schedule's clock.
    pub(super) fn time(&self, moment: Instant) -> Time {
        moment.saturating_duration_since(self.epoch)
    }

    fn now(&self) -> Time {
        self.epoch.elapsed()
    }

    /// Tells the schedule of an event and passes on what is to be done about it.
    fn tell<T>(&self, event: impl FnOnce(&mut State, Time) -> T) -> T {
        let mut state = self.lock();
        let now = self.now();
        let tick = state.schedule.next_tick();
        let result = event(&mut state, now);
        for action in state.schedule.actions() {
            let job = match &action {
                Action::Withdraw { job, .. } => state.jobs.remove(job),
                Action::Start(job) | Action::Abort(job) | Action::Place { job, .. } => {
                    state.jobs.get(job).cloned()
                }
                Action::Load { job, .. } => job.and_then(|job| state.jobs.get(&job)).cloned(),
                Action::Unload(_) => None,
            };
            // Places are told at once; they need nobody.
            if let Action::Place { place, .. } = &action {
                if let Some(job) = job {
                    let Place { ahead, wait } = *place;
                    job.news.mention(Progress::Queued { ahead, wait });
                }
                continue;
            }
            // Fails only when the engine has ended.
            let _ = self.orders.send(Order { action, job });
        }
        if state.schedule.next_tick() != tick {
            self.retimed.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(full: Full) -> EngineError {
    EngineError::QueueFull {
        waiting: full.waiting,
        retry_after: full.retry_after,
    }
}
