//! A job between its admission and its end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    Completion, EngineError, Missed, Progress, Started,
    conversations::Fingerprint,
    protocol::{End, Finished, JobId, Prepared, WirePrompt},
    slot::{Claim, Slot},
    supervisor::Worker,
};
use crate::chat;

/// A job that waits or runs.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) job: JobId,
    /// The request's id, for logs.
    pub(super) request: String,
    pub(super) slot: Arc<Slot>,
    /// Keeps the slot from being unloaded for idleness.
    pub(super) _claim: Claim,
    pub(super) prompt: WirePrompt,
    pub(super) thinking: bool,
    pub(super) sampling: chat::Sampling,
    pub(super) max_tokens: Option<u32>,
    /// Its prompt by its parts.
    pub(super) print: Fingerprint,
    pub(super) news: News,
    pub(super) state: Mutex<State>,
}

/// What changes while the job waits and runs.
#[derive(Debug)]
pub(super) struct State {
    /// Where the prompt stands ready.
    pub(super) worker: Arc<Worker>,
    pub(super) prepared: Prepared,
    /// Whether the prompt has to be prepared again, as its run was stopped.
    pub(super) stale: bool,
    /// Runs that could not begin.
    pub(super) failed_starts: u32,
    /// What the runs before have done.
    pub(super) before: Before,
}

/// What stopped runs of a job have done.
#[derive(Debug)]
pub(super) struct Before {
    /// Ids of the answer so far.
    pub(super) answer: Vec<u32>,
    /// When the job was submitted, or its last run stopped.
    waits_since: Instant,
    /// Its waits before the last run.
    waited: Duration,
    /// Tokens of the prompt that the first run found in the KV cache.
    cached: u32,
    /// Why it did not find more.
    pub(super) missed: Option<Missed>,
    prefill: Duration,
    decode: Duration,
}

impl Pending {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Before {
    /// Of a job that has just been submitted.
    pub(super) fn new(submitted: Instant) -> Self {
        Self {
            answer: Vec::new(),
            waits_since: submitted,
            waited: Duration::ZERO,
            cached: 0,
            missed: None,
            prefill: Duration::ZERO,
            decode: Duration::ZERO,
        }
    }

    /// Tokens of the answer so far.
    pub(super) fn tokens(&self) -> u32 {
        u32::try_from(self.answer.len()).unwrap_or(u32::MAX)
    }

    /// A run begins. How long the job has waited in all.
    pub(super) fn begin(&mut self) -> Duration {
        self.waited += self.waits_since.elapsed();
        self.waited
    }

    /// A run was stopped, and is to go on later.
    pub(super) fn add(&mut self, finished: Finished) {
        if self.answer.is_empty() {
            self.cached = finished.cached;
        }
        self.waits_since = Instant::now();
        self.prefill += time(finished.prefill_ms);
        self.decode += time(finished.decode_ms);
        self.answer.extend(finished.answer);
    }

    /// The end of the last run in terms of the whole job; nothing if it was stopped.
    pub(super) fn completion(&self, finished: &Finished) -> Option<Completion> {
        let before = self.tokens();
        Some(Completion {
            finish: match finished.reason {
                End::Stop => chat::FinishReason::Stop,
                End::Length => chat::FinishReason::Length,
                End::Aborted => return None,
            },
            usage: chat::Usage {
                prompt: finished.prompt.saturating_sub(before),
                cached: if before > 0 {
                    self.cached
                } else {
                    finished.cached
                },
                completion: finished.completion + before,
                reasoning: 0,
            },
            prefill: self.prefill + time(finished.prefill_ms),
            decode: self.decode + time(finished.decode_ms),
        })
    }
}

/// A time that a worker tells.
pub(super) fn time(ms: f32) -> Duration {
    Duration::try_from_secs_f32(ms / 1e3).unwrap_or_default()
}

/// The way to the client.
#[derive(Debug)]
pub(super) struct News {
    sender: mpsc::Sender<Progress>,
    /// Places that belong to the answer and its end.
    reserved: usize,
}

/// Places for what happens once: the end.
const ENDS: usize = 2;
/// Places for what happens now and then: places in the queue, loads, starts.
const EVENTS: usize = 64;

impl News {
    /// A channel with room for an answer of so many tokens. A client that reads slowly holds up neither the NPU nor
    /// anyone else, and its backlog is bounded by its own answer. The channel takes memory only for what is in it.
    pub(super) fn channel(answer: u32) -> (Self, mpsc::Receiver<Progress>) {
        let reserved = answer as usize + ENDS;
        let (sender, receiver) = mpsc::channel(reserved + EVENTS);
        (Self { sender, reserved }, receiver)
    }

    /// For the worker, which sends the pieces of the answer.
    pub(super) fn sender(&self) -> mpsc::Sender<Progress> {
        self.sender.clone()
    }

    /// Tells where the job stands, unless the client is far behind with reading.
    pub(super) fn mention(&self, progress: Progress) {
        if self.sender.capacity() > self.reserved {
            let _ = self.sender.try_send(progress);
        }
    }

    /// Tells that a run has begun.
    pub(super) fn started(&self, started: Started) {
        self.mention(Progress::Started(started));
    }

    /// Tells how the job has ended. It only fails when nobody listens any more.
    pub(super) fn end(&self, how: Result<Completion, EngineError>) {
        let _ = self.sender.try_send(match how {
            Ok(completion) => Progress::Done(completion),
            Err(error) => Progress::Failed(error),
        });
    }
}
