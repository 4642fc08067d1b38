//! What follows from an event: what is too late, which model to load, which job to run.

use super::{
    Action, Domain, ModelIndex, PATIENCE, Place, Schedule, Time, Turn, WORTHWHILE, Withdrawal,
    entry::Entry, models::Room,
};
use crate::engine::protocol::JobId;

impl Schedule {
    /// Brings everything up to date after an event.
    pub(super) fn advance(&mut self, now: Time) {
        self.expire(now);
        self.models.wake(now);
        self.load_next(now);
        self.run_next(now);
        self.tell_places(now);
    }

    /// Gives up what is too late; lets go what was held back.
    fn expire(&mut self, now: Time) {
        let running = self.running();
        let mut late = Vec::new();
        for (job, entry) in &mut self.jobs {
            entry.held_until.take_if(|until| *until <= now);
            let at_work = Some(*job) == running;
            if entry.deadline.is_some_and(|deadline| deadline <= now)
                && (entry.class.fallback || !at_work)
            {
                late.push((entry.number, *job));
            }
        }
        late.sort_unstable();
        for (_, job) in late {
            self.withdraw(job, Withdrawal::Deadline, now);
        }
    }

    /// Loads the model of the job that is next, if it is not loaded.
    fn load_next(&mut self, now: Time) {
        if self.models.is_moving() {
            return;
        }
        let next = self.next(now, |_| true);
        let wanted = next.and_then(|job| Some((job, self.jobs.get(&job)?.model)));
        let Some((next, model)) = wanted.filter(|(_, model)| !self.models.is_loaded(*model)) else {
            if !self.load_beside(now) && !self.load_wished(now) {
                self.load_missing(now);
            }
            return;
        };
        let busy = self.npu.as_ref().map(|turn| turn.model);
        match self.models.room(model, busy) {
            Room::Free { domain, unload } => self.load(model, domain, unload, Some(next), now),
            // The model in its way is running.
            Room::Busy => self.preempt_for(next, now),
        }
    }

    /// Loads the model of the job whose turn it is, while others go before it because theirs is loaded. Only where no
    /// model has to go for that. Whether it did.
    fn load_beside(&mut self, now: Time) -> bool {
        let first = self.first(now);
        let first = first.and_then(|job| Some((job, self.jobs.get(&job)?.model)));
        let Some((job, model)) = first.filter(|(_, model)| !self.models.is_loaded(*model)) else {
            return false;
        };
        let Some(domain) = self.models.free_place(model) else {
            return false;
        };
        self.load(model, domain, Vec::new(), Some(job), now);
        true
    }

    /// Loads a model that is to be there although nobody asks for it.
    fn load_missing(&mut self, now: Time) {
        if let Some((model, domain)) = self.models.missing() {
            self.load(model, domain, Vec::new(), None, now);
        }
    }

    pub(super) fn load(
        &mut self,
        model: ModelIndex,
        domain: Domain,
        unload: Vec<ModelIndex>,
        job: Option<JobId>,
        now: Time,
    ) {
        self.load_began = now;
        self.models.load(model, domain, &unload);
        self.actions.push(Action::Load {
            model,
            domain,
            unload,
            job,
        });
    }

    /// Gives the NPU to the job that is next among those whose model is loaded.
    fn run_next(&mut self, now: Time) {
        // A task would be in the way as soon as the load is over.
        let person_expected = self.models.loading().is_some_and(|model| {
            self.jobs
                .values()
                .any(|entry| entry.model == model && entry.person_waits())
        });
        let models = &self.models;
        if self.npu.is_some() {
            let person = |entry: &Entry| models.is_loaded(entry.model) && entry.person_waits();
            if let Some(next) = self.next(now, person) {
                self.preempt_for(next, now);
            }
            return;
        }
        let next = self.next(now, |entry| {
            models.is_loaded(entry.model) && (entry.person_waits() || !person_expected)
        });
        let Some(next) = next else {
            return;
        };
        let first = self.first(now);
        if first != Some(next)
            && let Some(first) = first.and_then(|first| self.jobs.get_mut(&first))
        {
            first.passed_over.get_or_insert(now);
        }
        if let Some(entry) = self.jobs.get_mut(&next) {
            entry.passed_over = None;
            // What is let through is not stopped: the next one might be, and the next.
            let urgency = match self.fairness.lets_through(entry, now) {
                true => 0,
                false => entry.urgency(now),
            };
            self.fairness.served(entry, now);
            if entry.class.urgency == 0 {
                self.models.serve_people(entry.model);
            }
            self.npu = Some(Turn {
                job: next,
                model: entry.model,
                urgency,
                since: now,
                stopping: false,
            });
            self.actions.push(Action::Start(next));
        }
    }

    /// Takes the NPU away from the running job, if it is to give way to `next`.
    fn preempt_for(&mut self, next: JobId, now: Time) {
        let Some(turn) = self.npu.as_ref().filter(|turn| !turn.stopping) else {
            return;
        };
        let (running, urgency) = (turn.job, turn.urgency);
        let outranked = self
            .jobs
            .get(&next)
            .is_some_and(|next| next.person_waits() && next.class.urgency < urgency);
        if !outranked {
            return;
        }
        self.abort(running);
        if let Some(entry) = self.jobs.get_mut(&running) {
            if entry.preempted && entry.class.fallback {
                self.withdraw(running, Withdrawal::Preempted, now);
            } else if entry.deadline.is_some_and(|deadline| deadline <= now) {
                self.withdraw(running, Withdrawal::Deadline, now);
            } else {
                entry.preempted = true;
                entry.told = 0;
            }
        }
    }

    /// The job whose turn it is.
    fn first(&self, now: Time) -> Option<JobId> {
        self.order(now).into_iter().find(|job| self.is_ready(*job))
    }

    /// The job to run next among those that may run and are `eligible`.
    fn next(&self, now: Time, eligible: impl Fn(&Entry) -> bool) -> Option<JobId> {
        let order = self.order(now).into_iter();
        let ready = order.filter(|job| self.is_ready(*job));
        let ready = ready.filter_map(|job| Some((job, self.jobs.get(&job)?)));
        let mut ready = ready.filter(|(_, entry)| eligible(entry)).peekable();
        let (first, entry) = *ready.peek()?;
        let impatient = entry
            .passed_over
            .is_some_and(|since| now.saturating_sub(since) >= PATIENCE);
        if impatient {
            return Some(first);
        }
        let urgency = entry.urgency(now);
        let equals: Vec<(JobId, &Entry)> = ready
            .take_while(|(_, other)| other.urgency(now) == urgency)
            .collect();
        let Some(place) = self.cheapest(&equals) else {
            return Some(first);
        };
        let (overtaken, rest) = equals.split_at(place);
        let (cheapest, other) = *rest.first()?;
        let hurried = overtaken
            .iter()
            .filter(|(_, entry)| self.cannot_wait_for(other, entry, now))
            .min_by_key(|(_, entry)| entry.deadline);
        Some(hurried.map_or(cheapest, |(job, _)| *job))
    }

    /// The place of the job among equals that uses more of what the NPU holds than the first of them does.
    fn cheapest(&self, equals: &[(JobId, &Entry)]) -> Option<usize> {
        let (_, first) = equals.first()?;
        if !self.models.is_loaded(first.model) {
            return equals
                .iter()
                .position(|(_, other)| self.models.is_loaded(other.model));
        }
        let enough = first.reusable + WORTHWHILE;
        let cheaper = equals
            .iter()
            .enumerate()
            .filter(|(_, (_, other))| other.model == first.model && other.reusable >= enough);
        // The first of the best: `max_by_key` gives the last.
        let best = cheaper.rev().max_by_key(|(_, (_, other))| other.reusable)?;
        Some(best.0)
    }

    /// Whether a job would miss its deadline if a run of `other` went before it, and not without that.
    fn cannot_wait_for(&self, other: &Entry, job: &Entry, now: Time) -> bool {
        let Some(deadline) = job.deadline else {
            return false;
        };
        // Its own time is shorter: a model may just have been loaded for it.
        if other.deadline.is_some_and(|other| other <= deadline) {
            return false;
        }
        let load = match self.models.is_loaded(job.model) {
            true => Time::ZERO,
            false => self.pace.of_load(job.model),
        };
        let run = job.expected.unwrap_or(self.pace.of(job.model));
        let left = deadline.saturating_sub(now);
        // Where not even the load is over in time, a swap would be for nothing.
        left > load && left < self.pace.of(other.model) + load + run
    }

    /// Whether a job waits and is not held back.
    fn is_ready(&self, job: JobId) -> bool {
        let at_work = self.npu.as_ref().is_some_and(|turn| turn.job == job);
        !at_work
            && self
                .jobs
                .get(&job)
                .is_some_and(|entry| entry.held_until.is_none())
    }

    /// Tells each waiting job its place where it has changed.
    fn tell_places(&mut self, now: Time) {
        let mut wait = self.rest_of_run(now).unwrap_or_default();
        let running = usize::from(self.npu.is_some());
        for (index, job) in self.order(now).into_iter().enumerate() {
            let Some(entry) = self.jobs.get_mut(&job) else {
                continue;
            };
            let ahead = index + running;
            if entry.told != ahead {
                entry.told = ahead;
                let place = Place { ahead, wait };
                self.actions.push(Action::Place { job, place });
            }
            wait += self.pace.of(entry.model);
        }
    }
}
