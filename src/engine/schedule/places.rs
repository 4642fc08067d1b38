//! Who gets a place in the queue, and who loses one.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Full, Newcomer, Schedule, Time, Withdrawal, entry::Entry};
use crate::engine::{QueueClass, protocol::JobId};

impl Schedule {
    /// Whether a job would be taken.
    ///
    /// # Errors
    /// [`Full`].
    pub(in crate::engine) fn check_room(
        &self,
        newcomer: &Newcomer<'_>,
        now: Time,
    ) -> Result<(), Full> {
        self.make_room(newcomer, now).map(drop)
    }

    /// The jobs to give up for a newcomer: what it makes pointless, and one more where the queue is full even so.
    ///
    /// # Errors
    /// [`Full`]: it has to stay out, and nothing is to be given up.
    pub(super) fn make_room(
        &self,
        newcomer: &Newcomer<'_>,
        now: Time,
    ) -> Result<Vec<(JobId, Withdrawal)>, Full> {
        let pointless = |(_, entry): &(&JobId, &Entry)| {
            supersedes(newcomer, entry) || outdates(newcomer, entry)
        };
        let pointless = self.jobs.iter().filter(pointless).map(|(job, _)| *job);
        let mut leaving: Vec<_> = pointless.map(|job| (job, Withdrawal::Superseded)).collect();
        leaving.sort_unstable_by_key(|(job, _)| *job);
        // The running one has no place in the queue.
        let running = self.running();
        let freed = leaving.iter().filter(|(job, _)| Some(*job) != running);
        if self.waiting().saturating_sub(freed.count()) >= self.limit {
            let stays = |job: JobId| leaving.iter().all(|(gone, _)| *gone != job);
            let order = self.order(now).into_iter().filter(|job| stays(*job));
            let waiting: Vec<_> = order
                .filter_map(|job| Some((job, self.jobs.get(&job)?)))
                .collect();
            let displaced = less_urgent(newcomer, &waiting)
                .or_else(|| of_the_greediest(newcomer, &waiting))
                .ok_or_else(|| self.full(now))?;
            leaving.push((displaced, Withdrawal::Displaced));
        }
        Ok(leaving)
    }

    fn full(&self, now: Time) -> Full {
        Full {
            waiting: self.waiting(),
            retry_after: self
                .rest_of_run(now)
                .unwrap_or(self.pace.any())
                .max(Duration::from_secs(1)),
        }
    }
}

/// Whether a newer job of the same kind makes one pointless.
fn supersedes(newer: &Newcomer<'_>, older: &Entry) -> bool {
    newer.class.newest_wins
        && older.class.newest_wins
        && older.class.name == newer.class.name
        && older.origin.user == newer.origin.user
}

/// Whether a new question makes one pointless.
fn outdates(question: &Newcomer<'_>, entry: &Entry) -> bool {
    question.class.urgency <= QueueClass::PERSON_WAITS && entry.is_outdated_by(question)
}

/// The last job that has an answer without the model and is less urgent.
fn less_urgent(newcomer: &Newcomer<'_>, waiting: &[(JobId, &Entry)]) -> Option<JobId> {
    let mut last = waiting.iter().rev();
    let gives_way =
        |entry: &Entry| entry.class.fallback && entry.class.urgency > newcomer.class.urgency;
    last.find(|(_, entry)| gives_way(entry))
        .map(|(job, _)| *job)
}

/// The last job of the user who has the most places, where the newcomer's has fewer even with this one. It is no more
/// urgent than the newcomer, and nothing of it has been answered yet.
fn of_the_greediest(newcomer: &Newcomer<'_>, waiting: &[(JobId, &Entry)]) -> Option<JobId> {
    let mut places = HashMap::<_, usize>::new();
    for (_, entry) in waiting {
        *places.entry(&entry.origin.user).or_default() += 1;
    }
    let of = |user: &Option<Arc<str>>| places.get(user).copied().unwrap_or(0);
    let most = places.values().copied().max()?;
    if of(&newcomer.origin.user) + 1 >= most {
        return None;
    }
    let gives_way = |entry: &Entry| {
        of(&entry.origin.user) == most
            && entry.class.urgency >= newcomer.class.urgency
            && !entry.preempted
    };
    let mut last = waiting.iter().rev();
    last.find(|(_, entry)| gives_way(entry))
        .map(|(job, _)| *job)
}
