//! Which instance of its model reads a job.
//!
//! What is loaded once has one KV cache, and two conversations in turn drive each other out of it. A model that may be
//! loaded several times (`instances` in its `model.toml`) keeps one for each. To the schedule instances are models like
//! any other; which of them a job goes to is settled here, before its prompt is prepared, by what each has read or is to
//! read last.

use std::{
    sync::{Arc, PoisonError},
    time::Instant,
};

use super::{
    conversations::Fingerprint,
    schedule::ModelIndex,
    scheduler::Scheduler,
    slot::{Claim, Slot},
};

/// Where an instance is.
#[derive(Debug)]
enum Place {
    /// Loaded, or on its way because of a job.
    Resident {
        /// The last job that was given to it.
        last: Option<Fingerprint>,
        used: Instant,
    },
    /// Not in memory, which has room for it.
    Room,
    /// Not in memory, and others would have to go; or it could not be loaded.
    NoRoom,
}

/// What it costs to give a job to an instance, the least first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// What is in the KV cache is what the job goes on with, or a task's before another task.
    Nothing,
    /// Nothing is in the KV cache.
    Empty,
    /// What a task has left is lost.
    Task,
    /// It has to be loaded.
    Load,
    /// Another conversation has to be read again, the one that rested longest if need be.
    Conversation(Instant),
    /// The conversation that a task is about has to be read again.
    OwnConversation(Instant),
    /// Something has to be unloaded.
    Unload,
}

impl Place {
    fn cost(&self, job: &Fingerprint) -> Cost {
        let (last, used) = match self {
            Self::Resident { last, used } => (last, *used),
            Self::Room => return Cost::Load,
            Self::NoRoom => return Cost::Unload,
        };
        match last {
            None => Cost::Empty,
            Some(last) if job.is_task() && last.is_task() => Cost::Nothing,
            Some(last) if last == job || job.goes_on_with(last) => Cost::Nothing,
            Some(last) if last.is_task() => Cost::Task,
            Some(last) if job.is_about(last) => Cost::OwnConversation(used),
            Some(_) => Cost::Conversation(used),
        }
    }
}

/// The number of the instance at the least cost, the first of equals.
fn choose(places: &[Place], job: &Fingerprint) -> usize {
    let costs = places.iter().map(|place| place.cost(job)).enumerate();
    costs
        .min_by(|(_, one), (_, other)| one.cmp(other))
        .map_or(0, |(number, _)| number)
}

impl Scheduler {
    /// The instance of a model that is to read a job, kept from counting as idle.
    pub(super) fn assign(
        &self,
        (first, others): (&Arc<Slot>, &[Arc<Slot>]),
        job: &Fingerprint,
    ) -> (Arc<Slot>, Claim) {
        if others.is_empty() {
            return (Arc::clone(first), first.claim());
        }
        // Two jobs that come at once are not to find the same instance free.
        let _assigning = self
            .assigning
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let in_use = self.slots.iter().filter(|slot| slot.idle_since().is_none());
        let in_use: Vec<ModelIndex> = in_use.map(|slot| slot.model).collect();
        let instances = || std::iter::once(first).chain(others);
        let place = |slot: &Arc<Slot>| {
            let failed = self.queue.has_failed(slot.model);
            if slot.loaded().is_some() || (in_use.contains(&slot.model) && !failed) {
                Place::Resident {
                    last: slot.last_job().clone(),
                    used: slot.last_used(),
                }
            } else if !failed && self.queue.fits(slot.model, &in_use) {
                Place::Room
            } else {
                Place::NoRoom
            }
        };
        let places: Vec<Place> = instances().map(place).collect();
        let chosen = instances().nth(choose(&places, job)).unwrap_or(first);
        chosen.give(job.clone());
        (Arc::clone(chosen), chosen.claim())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn resident(last: Option<Fingerprint>, used: u64) -> Place {
        static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        Place::Resident {
            last,
            used: *EPOCH + Duration::from_secs(used),
        }
    }

    fn chat(name: &str, messages: &[u64]) -> Fingerprint {
        Fingerprint::for_test(false, Some(name), messages)
    }

    fn task(name: &str) -> Fingerprint {
        Fingerprint::for_test(true, Some(name), &[9])
    }

    #[test]
    fn a_conversation_stays_where_it_is() {
        let places = [
            resident(Some(chat("a", &[1])), 1),
            resident(Some(chat("b", &[1])), 2),
        ];
        assert_eq!(choose(&places, &chat("a", &[1, 2, 3])), 0);
        assert_eq!(choose(&places, &chat("b", &[1, 2, 3])), 1);
        let unnamed = |messages| Fingerprint::for_test(false, None, messages);
        let places = [
            resident(Some(unnamed(&[1])), 1),
            resident(Some(unnamed(&[2])), 2),
        ];
        assert_eq!(choose(&places, &unnamed(&[2, 3, 4])), 1);
        assert_eq!(choose(&places, &unnamed(&[2])), 1, "the same again");
    }

    #[test]
    fn a_new_conversation_takes_what_costs_least() {
        let held = |used| resident(Some(chat("a", &[1])), used);
        let new = chat("new", &[5]);
        assert_eq!(choose(&[held(1), resident(None, 2)], &new), 1);
        assert_eq!(choose(&[held(1), Place::Room], &new), 1);
        assert_eq!(choose(&[held(1), Place::NoRoom], &new), 0);
        assert_eq!(choose(&[Place::NoRoom, held(1)], &new), 1);
        assert_eq!(choose(&[held(2), held(1)], &new), 1);
        assert_eq!(choose(&[held(1), resident(Some(task("a")), 2)], &new), 1);
        // A title has come before its chat: that does not wait for another load.
        assert_eq!(
            choose(&[resident(Some(task("new")), 1), Place::Room], &new),
            0
        );
        assert_eq!(choose(&[Place::Room, Place::Room], &new), 0);
        assert_eq!(choose(&[Place::NoRoom, Place::NoRoom], &new), 0);
    }

    #[test]
    fn a_task_keeps_away_from_conversations_and_from_its_own_most() {
        let a = || resident(Some(chat("a", &[1])), 1);
        let b = || resident(Some(chat("b", &[1])), 2);
        assert_eq!(choose(&[a(), Place::Room], &task("a")), 1);
        assert_eq!(choose(&[a(), Place::NoRoom], &task("a")), 0);
        assert_eq!(choose(&[a(), b()], &task("a")), 1);
        assert_eq!(choose(&[a(), b()], &task("c")), 0);
        let other = resident(Some(task("b")), 3);
        assert_eq!(choose(&[a(), resident(None, 1), other], &task("a")), 2);
    }
}
