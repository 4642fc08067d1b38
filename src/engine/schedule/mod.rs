//! Who gets the NPU next: the rules, apart from the doing.
//!
//! A state machine without I/O and without a clock: what happens is told to [`Schedule`] together with the time, and
//! what is to be done about it is taken from [`Schedule::actions`]. The rules:
//!
//! - One run at a time, over all models, as the NPU serialises them anyway. One load at a time, beside a run, and
//!   none while a model is being unloaded.
//! - The most urgent job first. Waiting makes a job more urgent ([`entry::AGEING`]), so that nothing starves. What must
//!   not age above people is let through once in [`order::RUNS_BEFORE`] runs.
//! - Among equally urgent jobs users take turns. Where a run can use what the NPU holds (a loaded model, a KV cache
//!   with most of the prompt) and the job whose turn it is cannot, it goes first, until that job has been passed over
//!   for [`PATIENCE`]. It goes before no job that would miss its deadline by that: such a one is next. A model that
//!   has room beside the loaded ones is loaded meanwhile.
//! - A job that a person waits for takes the NPU from less urgent ones. What has lost it runs again; the second time,
//!   its fallback is the answer.
//! - At its deadline a job's fallback is the answer, whether it waits or runs.
//! - A task that may have come just before its chat is held back for [`GRACE`], unless it costs that chat nothing.
//! - A task that only looks ahead to the next question is given up when that comes.
//! - A full queue takes a person's job in place of a task that has a fallback, and the job of whoever has fewer places
//!   in place of one of whoever has the most.
//! - Models are loaded at the start and pinned ones whenever they are missing, where there is room; after a rest if
//!   their worker was lost.
//! - What people want loaded or unloaded by hand waits for what jobs need, and takes nothing that a job uses.

mod advance;
mod by_hand;
mod entry;
mod models;
mod order;
mod pace;
mod places;
mod presence;
mod residency;

use std::{collections::HashMap, time::Duration};

use super::{Withdrawal, protocol::JobId};
pub(super) use by_hand::{Asked, Refused};
use entry::Entry;
pub(super) use entry::{Arrival, Newcomer};
use models::Models;
pub(super) use models::{Domain, ModelIndex, ModelTable};
use order::Fairness;
use pace::Pace;
use presence::Presence;

/// Time since a moment of the caller's choice.
pub(super) type Time = Duration;

/// Longest time for which a job is passed over by jobs that cost the NPU less.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a task waits for its chat. Open WebUI sends the title's request up to 690 ms before the chat's.
pub(super) const GRACE: Duration = Duration::from_millis(750);

/// Prompt tokens that must be saved to go out of turn; less is not worth the surprise.
const WORTHWHILE: u32 = 64;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Run this job, whose model is loaded. Answered by [`Schedule::ended`].
    Start(JobId),
    /// Stop this job's run. It still ends with [`Schedule::ended`].
    Abort(JobId),
    /// Load a model after unloading others. Answered by [`Schedule::loaded`] or [`Schedule::load_failed`].
    Load {
        model: ModelIndex,
        domain: Domain,
        unload: Vec<ModelIndex>,
        /// The job that caused it, if one did.
        job: Option<JobId>,
    },
    /// Unload a model. Answered by [`Schedule::unloaded`].
    Unload(ModelIndex),
    /// Give up this job; it is forgotten already.
    Withdraw {
        job: JobId,
        why: Withdrawal,
        retry_after: Duration,
    },
    /// Tell the job its place.
    Place { job: JobId, place: Place },
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Jobs that will run before it, the running one included.
    pub(super) ahead: usize,
    /// How long they are likely to take.
    pub(super) wait: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The answer is complete.
    Completed,
    /// It was stopped as asked.
    Aborted,
    /// It failed.
    Failed,
    /// It never began: the worker that had the model is gone.
    ModelLost,
}

/// There is no place for one more job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    /// Jobs that wait.
    pub(super) waiting: usize,
    /// When a place is likely to be free.
    pub(super) retry_after: Duration,
}

/// The jobs, the models and who has the NPU.
#[derive(Debug)]
pub(super) struct Schedule {
    limit: usize,
    models: Models,
    /// Jobs that wait, and the running one unless it was given up.
    jobs: HashMap<JobId, Entry>,
    npu: Option<Turn>,
    /// Number of the next arrival.
    arrivals: u64,
    fairness: Fairness,
    presence: Presence,
    pace: Pace,
    /// When the last load began.
    load_began: Time,
    actions: Vec<Action>,
}

/// A run.
#[derive(Debug)]
struct Turn {
    job: JobId,
    model: ModelIndex,
    /// Its urgency when it began.
    urgency: u8,
    since: Time,
    /// Whether it has been told to stop.
    stopping: bool,
}

impl Schedule {
    /// A schedule for these models with `limit` places to wait and `budget` bytes for the loaded models.
    pub(super) fn new(models: Vec<ModelTable>, limit: usize, budget: u64) -> Self {
        Self {
            limit,
            pace: Pace::new(&models),
            load_began: Time::ZERO,
            models: Models::new(models, budget),
            jobs: HashMap::new(),
            npu: None,
            arrivals: 0,
            fairness: Fairness::default(),
            presence: Presence::default(),
            actions: Vec::new(),
        }
    }

    /// What is to be done, in this order; empty until the next event.
    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// When [`Schedule::tick`] is due although nothing happens.
    pub(super) fn next_tick(&self) -> Option<Time> {
        let running = self.running();
        let due = |(job, entry): (&JobId, &Entry)| {
            let deadline = entry
                .deadline
                .filter(|_| entry.class.fallback || Some(*job) != running);
            [deadline, entry.held_until].into_iter().flatten().min()
        };
        let rested = self.models.next_rested();
        self.jobs.iter().filter_map(due).chain(rested).min()
    }

    /// Jobs that wait.
    pub(super) fn waiting(&self) -> usize {
        let running = self
            .npu
            .as_ref()
            .is_some_and(|turn| !turn.stopping && self.jobs.contains_key(&turn.job));
        self.jobs.len() - usize::from(running)
    }

    /// Whether no job waits and none runs.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.npu.is_none()
    }

    /// A job asks for the NPU.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn arrive(&mut self, arrival: Arrival, now: Time) -> Result<(), Full> {
        let job = arrival.job;
        for (other, why) in self.make_room(&arrival.newcomer(), now)? {
            self.withdraw(other, why, now);
        }
        let mut entry = Entry::new(arrival, self.arrivals, now);
        self.arrivals += 1;
        entry.behind = self.presence.last(&entry.origin);
        if entry.person_waits() {
            self.presence.note(&entry.origin, &entry.messages, now);
            for other in self.jobs.values_mut() {
                if presence::same(&other.origin, &entry.origin) {
                    other.held_until = None;
                }
            }
        } else if !entry.class.newest_wins
            && !self.is_unhindered(&entry)
            && !self.presence.is_recent(&entry.origin, now)
        {
            entry.held_until = Some(now + GRACE);
        }
        self.jobs.insert(job, entry);
        self.advance(now);
        Ok(())
    }

    /// The client of a job is gone. Whether the job was still known.
    pub(super) fn cancel(&mut self, job: JobId, now: Time) -> bool {
        let known = self.jobs.remove(&job).is_some();
        if known {
            self.abort(job);
            self.advance(now);
        }
        known
    }

    /// A run has ended.
    pub(super) fn ended(&mut self, job: JobId, how: Ended, now: Time) {
        let Some(turn) = self.npu.take_if(|turn| turn.job == job) else {
            return;
        };
        self.models.used(turn.model, now);
        match how {
            Ended::Completed => self.pace.learn(turn.model, now.saturating_sub(turn.since)),
            Ended::Failed | Ended::Aborted => {}
            Ended::ModelLost => self.models.lost(turn.model, now),
        }
        // What was stopped or could not begin waits again, unless it was given up.
        if matches!(how, Ended::Completed | Ended::Failed)
            && let Some(entry) = self.jobs.remove(&job)
            && entry.person_waits()
        {
            self.presence.note(&entry.origin, &entry.messages, now);
        }
        self.advance(now);
    }

    /// A model is loaded and takes `memory` bytes.
    pub(super) fn loaded(&mut self, model: ModelIndex, memory: u64, now: Time) {
        if self.models.loading() == Some(model) {
            let took = now.saturating_sub(self.load_began);
            self.pace.learn_load(model, took);
        }
        self.models.loaded(model, memory, now);
        self.advance(now);
    }

    /// A model could not be loaded. All jobs that wait for it, which are forgotten.
    pub(super) fn load_failed(&mut self, model: ModelIndex, now: Time) -> Vec<JobId> {
        self.models.failed(model);
        let waiting: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, entry)| entry.model == model)
            .map(|(job, _)| *job)
            .collect();
        for job in &waiting {
            self.jobs.remove(job);
        }
        self.advance(now);
        waiting
    }

    /// A model is unloaded, as [`Action::Unload`] said.
    pub(super) fn unloaded(&mut self, model: ModelIndex, now: Time) {
        self.models.unloaded(model);
        self.advance(now);
    }

    /// The worker that had a model has ended by itself.
    pub(super) fn lost(&mut self, model: ModelIndex, now: Time) {
        self.models.lost(model, now);
        self.advance(now);
    }

    /// How many tokens of a waiting job's prompt its model's KV cache holds by now.
    pub(super) fn reusable(&mut self, job: JobId, tokens: u32) {
        if let Some(entry) = self.jobs.get_mut(&job) {
            entry.reusable = tokens;
        }
    }

    /// Whether a model has room without any other being unloaded, now or for one that is on its way, is to be kept or
    /// is `wanted`.
    pub(super) fn fits(&self, model: ModelIndex, wanted: &[ModelIndex]) -> bool {
        self.models.fits(model, wanted)
    }

    /// Whether the last attempt to load a model has failed.
    pub(super) fn has_failed(&self, model: ModelIndex) -> bool {
        self.models.has_failed(model)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Time) {
        self.advance(now);
    }

    /// Gives up all jobs that wait and stops the running one; for the end.
    pub(super) fn clear(&mut self) -> Vec<JobId> {
        let jobs: Vec<JobId> = self.jobs.drain().map(|(job, _)| job).collect();
        for job in &jobs {
            self.abort(*job);
        }
        jobs
    }

    /// The running job, unless it was told to stop.
    fn running(&self) -> Option<JobId> {
        let turn = self.npu.as_ref()?;
        (!turn.stopping).then_some(turn.job)
    }

    /// The waiting jobs in the order of their turns.
    fn order(&self, now: Time) -> Vec<JobId> {
        let running = self.running();
        let waiting = self.jobs.iter().filter(|(job, _)| Some(**job) != running);
        self.fairness.order(waiting, now)
    }

    /// Whether a task can begin at once without being in the way of a chat that may follow: it is over soon, and the chat
    /// needs neither its model's place in memory nor what that has in its KV cache.
    fn is_unhindered(&self, task: &Entry) -> bool {
        task.expected.is_some_and(|expected| expected <= GRACE)
            && self.npu.is_none()
            && self.models.is_loaded(task.model)
            && !self.models.serves_people(task.model)
    }

    /// Gives up a job. If it runs, it is stopped.
    fn withdraw(&mut self, job: JobId, why: Withdrawal, now: Time) {
        if self.jobs.remove(&job).is_none() {
            return;
        }
        self.abort(job);
        let retry_after = self.rest_of_queue(now).max(Duration::from_secs(1));
        self.actions.push(Action::Withdraw {
            job,
            why,
            retry_after,
        });
    }

    /// Stops a job's run, if it runs and was not stopped before.
    fn abort(&mut self, job: JobId) {
        if let Some(turn) = self
            .npu
            .as_mut()
            .filter(|turn| turn.job == job && !turn.stopping)
        {
            turn.stopping = true;
            self.actions.push(Action::Abort(job));
        }
    }

    /// How long the run is likely to go on.
    fn rest_of_run(&self, now: Time) -> Option<Duration> {
        let turn = self.npu.as_ref()?;
        let spent = now.saturating_sub(turn.since);
        Some(self.pace.of(turn.model).saturating_sub(spent))
    }

    /// How long everything that runs and waits is likely to take.
    fn rest_of_queue(&self, now: Time) -> Duration {
        let waiting: Duration = self
            .jobs
            .values()
            .map(|entry| self.pace.of(entry.model))
            .sum();
        self.rest_of_run(now).unwrap_or_default() + waiting
    }
}

#[cfg(test)]
mod tests;
