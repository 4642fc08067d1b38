//! One turn of a job at the NPU.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    Completion, EngineError, Miss, Progress, Started, TurnReport, Withdrawal,
    conversations::Reading,
    pending::{Pending, time},
    protocol::{End, Finished, Prepared, WirePrompt},
    scheduler::{ATTEMPTS, Scheduler, room},
    slot::Slot,
    status::add,
    supervisor::{Placement, RunCommand, Worker},
};

/// A prompt may take this many times as long as the benchmark says: slow memory, other clocks, another process.
const PREFILL_MARGIN: f64 = 8.0;
const PREFILL_FLOOR: Duration = Duration::from_secs(30);
/// Tokens per second of a model of which nothing is known.
const SLOWEST_PREFILL: f64 = 20.0;

/// How a turn ended.
#[derive(Debug)]
pub(super) enum Turn {
    /// The answer is complete.
    Completed(Completion),
    /// It was stopped as asked; it can go on where it was.
    Stopped,
    /// The worker that had the model is gone.
    ModelLost,
    /// It failed.
    Failed(EngineError),
}

impl Scheduler {
    /// Gives the NPU to a job whose model is loaded.
    pub(super) async fn turn(
        self: &Arc<Self>,
        pending: &Arc<Pending>,
        stop: &CancellationToken,
    ) -> Turn {
        match self.try_turn(pending, stop).await {
            Ok(turn) => turn,
            Err(error) => Turn::Failed(error),
        }
    }

    async fn try_turn(
        self: &Arc<Self>,
        pending: &Arc<Pending>,
        stop: &CancellationToken,
    ) -> Result<Turn, EngineError> {
        let slot = &pending.slot;
        let Some((worker, placement)) = slot.loaded() else {
            return model_lost(pending);
        };
        let Some(prepared) = ready(pending, &worker).await? else {
            return model_lost(pending);
        };
        let room = room(slot, prepared).inspect_err(|_| worker.forget(pending.job))?;
        if stop.is_cancelled() {
            return Ok(Turn::Stopped);
        }
        let began = Instant::now();
        let finished = self
            .execute(pending, stop, &worker, &placement, prepared, room)
            .await?;
        self.count(pending, &finished);
        self.report(pending, &finished, began);
        self.queue.reusable(&finished.reusable);
        let mut state = pending.state();
        match state.before.completion(&finished) {
            Some(completion) => Ok(Turn::Completed(completion)),
            // Without ids nothing can go on, and the client has text already.
            None if finished.answer.is_empty()
                && finished.completion > 0
                && !prepared.resumable() =>
            {
                Err(EngineError::Withdrawn {
                    why: Withdrawal::Preempted,
                    retry_after: Duration::from_secs(1),
                })
            }
            None => {
                state.stale = true;
                state.before.add(finished);
                Ok(Turn::Stopped)
            }
        }
    }

    /// Runs a prepared prompt until it ends or is stopped.
    async fn execute(
        self: &Arc<Self>,
        pending: &Arc<Pending>,
        stop: &CancellationToken,
        worker: &Worker,
        placement: &Placement,
        prepared: Prepared,
        room: u32,
    ) -> Result<Finished, EngineError> {
        let slot = &pending.slot;
        let sampling = if placement.loaded.per_run_sampling {
            slot.card
                .sampling(pending.thinking)
                .with(&pending.sampling, &slot.card.family)
        } else {
            placement.sampling
        };
        let answered = {
            let before = &mut pending.state().before;
            pending.news.started(Started {
                queued: before.begin(),
                sampling: sampling.into(),
            });
            before.tokens()
        };
        let limit = pending
            .max_tokens
            .map_or(room, |limit| limit.saturating_sub(answered).clamp(1, room));
        // The worker's task keeps it, and must not keep the worker.
        let (scheduler, reader) = (Arc::downgrade(self), Arc::downgrade(pending));
        let (pid, prompt) = (worker.pid(), prepared.tokens.unwrap_or(0));
        let reading = Box::new(move |cached| {
            let known = scheduler.upgrade().zip(reader.upgrade());
            let miss = known
                .and_then(|(scheduler, reader)| scheduler.missed(&reader, pid, prompt, cached));
            Progress::Reading { cached, miss }
        });
        let (done, mut outcome) = oneshot::channel();
        worker.run(RunCommand {
            job: pending.job,
            max_tokens: limit,
            sampling,
            first_token: prefill_timeout(slot, prepared),
            reading: Some(reading),
            progress: pending.news.sender(),
            done,
        });
        let finished = tokio::select! {
            finished = &mut outcome => finished,
            () = stop.cancelled() => {
                worker.abort(pending.job);
                // The NPU is free only when the runtime has returned.
                outcome.await
            }
        };
        finished.map_err(|_| lost(slot))?
    }

    /// Tells who wants to know who had the NPU, and when.
    fn report(&self, pending: &Pending, finished: &Finished, began: Instant) {
        if let Some(turns) = &self.settings.turns {
            let missed = {
                let state = pending.state();
                let is_first = state.before.tokens() == 0;
                state.before.missed.filter(|_| is_first)
            };
            // Nobody is left to be told once the receiver is gone.
            let _ = turns.send(TurnReport {
                request: pending.request.clone(),
                model: pending.slot.card.id.clone(),
                began,
                ended: Instant::now(),
                prompt: finished.prompt,
                cached: finished.cached,
                loaded: finished.loaded,
                missed,
                completion: finished.completion,
                stopped: finished.reason == End::Aborted,
                prefill: time(finished.prefill_ms),
                decode: time(finished.decode_ms),
            });
        }
    }

    /// Why the job's first run does not find more of its prompt in the KV cache.
    fn missed(
        &self,
        pending: &Pending,
        worker: Option<u32>,
        prompt: u32,
        cached: u32,
    ) -> Option<Miss> {
        // Each text is another one: none of it could have been there.
        if matches!(pending.prompt, WirePrompt::Embed(_)) {
            return None;
        }
        let mut state = pending.state();
        if state.before.tokens() > 0 {
            return state.before.missed.map(|missed| missed.why);
        }
        let reading = Reading {
            model: pending.slot.first,
            worker,
            prompt,
            cached,
        };
        let mut conversations = self
            .conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let missed = conversations.read(pending.print.clone(), reading);
        state.before.missed = missed;
        let missed = missed?;
        self.counting.missed(missed);
        Some(missed.why)
    }

    fn count(&self, pending: &Pending, finished: &Finished) {
        let counting = &self.counting;
        add(&counting.loads, finished.reloads.into());
        add(&counting.prompt_tokens, finished.prompt.into());
        add(&counting.cached_tokens, finished.cached.into());
        add(&counting.loaded_tokens, finished.loaded.into());
        add(&counting.prefixes_loaded, u64::from(finished.loaded > 0));
        add(&counting.prefixes_saved, u64::from(finished.saved));
        add(&counting.completion_tokens, finished.completion.into());
        add(&counting.prefill_us, (finished.prefill_ms * 1e3) as u64);
        add(&counting.decode_us, (finished.decode_ms * 1e3) as u64);
        if finished.cached != finished.predicted {
            add(&counting.mispredicted, 1);
        }
        tracing::debug!(
            request = pending.request,
            model = pending.slot.card.id,
            ?finished,
            "run ended"
        );
    }
}

/// The job's prompt, standing ready in this worker; nothing if the worker is gone.
async fn ready(pending: &Pending, worker: &Arc<Worker>) -> Result<Option<Prepared>, EngineError> {
    let answer = {
        let state = pending.state();
        if !state.stale && Arc::ptr_eq(worker, &state.worker) {
            return Ok(Some(state.prepared));
        }
        state.before.answer.clone()
    };
    let prepared = match worker
        .prepare(pending.job, pending.prompt.clone(), answer)
        .await
    {
        Some(Err(EngineError::Worker { .. })) | None => return Ok(None),
        Some(prepared) => prepared?,
    };
    let mut state = pending.state();
    state.worker = Arc::clone(worker);
    state.prepared = prepared;
    state.stale = false;
    Ok(Some(prepared))
}

fn model_lost(pending: &Pending) -> Result<Turn, EngineError> {
    let mut state = pending.state();
    state.failed_starts += 1;
    if state.failed_starts < ATTEMPTS {
        Ok(Turn::ModelLost)
    } else {
        Err(lost(&pending.slot))
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
