//! The order of turns among the jobs that wait.

use std::{collections::HashMap, sync::Arc};

use super::{Time, entry::Entry};
use crate::engine::protocol::JobId;

/// Runs after which one goes first that its class does not let age above people.
pub(super) const RUNS_BEFORE: u32 = 4;

/// Users that are remembered beyond those with a job.
const REMEMBERED: usize = 1024;

/// Whose turn it is among users.
///
/// Among equally urgent jobs the user goes first who was served least recently, with one job; then the next user.
/// Jobs whose client names no user count as one user's.
#[derive(Debug, Default)]
pub(super) struct Fairness {
    turns: u64,
    /// Number of the last turn of each user.
    last: HashMap<Option<Arc<str>>, u64>,
    /// Runs since something was let through.
    runs: u32,
}

impl Fairness {
    /// A job gets the NPU.
    pub(super) fn served(&mut self, entry: &Entry, now: Time) {
        self.runs = match self.lets_through(entry, now) {
            true => 0,
            false => self
                .runs
                .saturating_add(u32::from(entry.class.ages_to == 0)),
        };
        if self.last.len() > REMEMBERED {
            let recent = self.turns.saturating_sub(REMEMBERED as u64 / 2);
            self.last.retain(|_, turn| *turn >= recent);
        }
        self.turns += 1;
        self.last.insert(entry.origin.user.clone(), self.turns);
    }

    /// Whether a job goes first although others are more urgent: they have had their runs, and would never let it run
    /// while there are always some of them.
    pub(super) fn lets_through(&self, entry: &Entry, now: Time) -> bool {
        self.runs >= RUNS_BEFORE && entry.is_held_down(now)
    }

    /// The jobs in the order of their turns.
    pub(super) fn order<'a>(
        &self,
        jobs: impl Iterator<Item = (&'a JobId, &'a Entry)>,
        now: Time,
    ) -> Vec<JobId> {
        let mut jobs: Vec<_> = jobs
            .map(|(job, entry)| (entry.urgency(now), entry.number, *job, entry))
            .collect();
        jobs.sort_unstable_by_key(|(urgency, number, ..)| (*urgency, *number));
        let mut let_through = jobs.iter();
        let let_through = let_through
            .find(|(.., entry)| self.lets_through(entry, now))
            .map(|(_, _, job, _)| *job);
        let mut rounds: HashMap<(u8, &Option<Arc<str>>), u64> = HashMap::new();
        let mut turns: Vec<_> = jobs
            .into_iter()
            .map(|(urgency, number, job, entry)| {
                let user = &entry.origin.user;
                let round = rounds.entry((urgency, user)).or_default();
                *round += 1;
                let last = self.last.get(user).copied().unwrap_or(0);
                let waits = Some(job) != let_through;
                let level = (urgency, entry.class.ages_to);
                ((waits, level, *round, last, number), job)
            })
            .collect();
        turns.sort_unstable();
        turns.into_iter().map(|(_, job)| job).collect()
    }
}
