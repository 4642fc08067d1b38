//! The queue before the NPU: first come, first served, with a limit.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    EngineError, Progress,
    protocol::{JobId, Prepared, WirePrompt},
    slot::{Claim, Slot},
    supervisor::Worker,
};
use crate::chat;

/// Share of the newest run in the mean run time.
const NEWEST: f64 = 0.2;
/// Run time that is assumed before the first run has ended.
const FIRST_GUESS: Duration = Duration::from_secs(10);

/// A job that waits for the NPU.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) job: JobId,
    /// The request's id, for logs.
    pub(super) request: String,
    pub(super) slot: Arc<Slot>,
    /// Keeps the slot from being unloaded for idleness.
    pub(super) _claim: Claim,
    /// Where the prompt was prepared.
    pub(super) worker: Arc<Worker>,
    pub(super) prompt: WirePrompt,
    pub(super) prepared: Prepared,
    pub(super) thinking: bool,
    pub(super) sampling: chat::Sampling,
    pub(super) max_tokens: Option<u32>,
    pub(super) progress: mpsc::Sender<Progress>,
    pub(super) cancel: CancellationToken,
    pub(super) submitted: Instant,
    /// The place that was told last.
    pub(super) told: usize,
}

impl Waiting {
    /// Tells the client. The channel has room for everything that can happen to a job; it only fails when nobody
    /// listens any more.
    pub(super) fn tell(&self, progress: Progress) {
        let _ = self.progress.try_send(progress);
    }

    fn tell_place(&mut self, ahead: usize) {
        if self.told != ahead {
            self.told = ahead;
            self.tell(Progress::Queued { ahead });
        }
    }
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Whether a job has the NPU.
    busy: bool,
    mean_run: Option<Duration>,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Whether there is room for one more.
    ///
    /// # Errors
    /// [`EngineError::QueueFull`].
    pub(super) fn check_room(&self) -> Result<(), EngineError> {
        self.lock().check_room(self.limit)
    }

    /// Adds a job at the end and tells it its place.
    ///
    /// # Errors
    /// [`EngineError::QueueFull`].
    pub(super) fn push(&self, mut waiting: Waiting) -> Result<(), EngineError> {
        let mut state = self.lock();
        state.check_room(self.limit)?;
        waiting.tell_place(state.waiting.len() + usize::from(state.busy));
        state.waiting.push_back(waiting);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next job, as soon as there is one. The NPU counts as busy until [`Queue::done`].
    pub(super) async fn next(&self) -> Waiting {
        loop {
            {
                let mut state = self.lock();
                if let Some(next) = state.waiting.pop_front() {
                    state.busy = true;
                    state.tell_places();
                    return next;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// The job that had the NPU is through; `run` is the time of its run if it ran to its end.
    pub(super) fn done(&self, run: Option<Duration>) {
        let mut state = self.lock();
        state.busy = false;
        if let Some(run) = run {
            let mean = state
                .mean_run
                .map_or(run, |mean| mean.mul_f64(1.0 - NEWEST) + run.mul_f64(NEWEST));
            state.mean_run = Some(mean);
        }
        state.tell_places();
    }

    /// Takes a job out, if it still waits.
    pub(super) fn remove(&self, job: JobId) -> Option<Waiting> {
        let mut state = self.lock();
        let index = state
            .waiting
            .iter()
            .position(|waiting| waiting.job == job)?;
        let removed = state.waiting.remove(index);
        state.tell_places();
        removed
    }

    /// Takes all waiting jobs out.
    pub(super) fn drain(&self) -> Vec<Waiting> {
        self.lock().waiting.drain(..).collect()
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether no job waits and none has the NPU.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && !state.busy
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_room(&self, limit: usize) -> Result<(), EngineError> {
        let waiting = self.waiting.len();
        if waiting < limit {
            return Ok(());
        }
        // One place is free when the running job is through.
        let retry_after = self
            .mean_run
            .unwrap_or(FIRST_GUESS)
            .max(Duration::from_secs(1));
        Err(EngineError::QueueFull {
            waiting,
            retry_after,
        })
    }

    fn tell_places(&mut self) {
        let running = usize::from(self.busy);
        for (index, waiting) in self.waiting.iter_mut().enumerate() {
            waiting.tell_place(index + running);
        }
    }
}
