//! The order of turns among the jobs that wait.

use std::{collections::HashMap, sync::Arc};

use super::{Time, entry::Entry};
use crate::engine::{Origin, protocol::JobId};

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
}

impl Fairness {
    /// A user has got the NPU.
    pub(super) fn served(&mut self, origin: &Origin) {
        if self.last.len() > REMEMBERED {
            let recent = self.turns.saturating_sub(REMEMBERED as u64 / 2);
            self.last.retain(|_, turn| *turn >= recent);
        }
        self.turns += 1;
        self.last.insert(origin.user.clone(), self.turns);
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
        let mut rounds: HashMap<(u8, &Option<Arc<str>>), u64> = HashMap::new();
        let mut turns: Vec<_> = jobs
            .into_iter()
            .map(|(urgency, number, job, entry)| {
                let user = &entry.origin.user;
                let round = rounds.entry((urgency, user)).or_default();
                *round += 1;
                let last = self.last.get(user).copied().unwrap_or(0);
                ((urgency, *round, last, number), job)
            })
            .collect();
        turns.sort_unstable();
        turns.into_iter().map(|(_, job)| job).collect()
    }
}
