//! Answers that requests share where a policy says so: one run for all that ask the same at the same time, and its
//! answer for whoever asks the same a little later.
//!
//! What is shared is what the engine said, step by step. Each request makes its own answer of it, streamed or whole.

mod flight;
mod key;
mod recording;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use moka::{Expiry, policy::EvictionPolicy, sync::Cache};

use crate::{engine::Job, gateway::LocalEngine};
use flight::Flight;
pub(super) use flight::Follower;
use key::Key;
pub(super) use key::Same;
pub(super) use recording::Admitted;
use recording::Recording;

/// Bytes that kept answers may take together: some hundreds of tasks.
const MOST_KEPT: u64 = 4 << 20;

/// How a request came by an answer that was made for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Sharing {
    /// The answer was there already.
    Cached,
    /// It was being made.
    Joined,
}

impl Sharing {
    /// The word in logs and metrics.
    pub(in crate::gateway) const fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Joined => "joined",
        }
    }
}

/// The answers that are being made or kept.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct SharedAnswers(Arc<Answers>);

#[derive(Debug)]
struct Answers {
    /// Taken before `kept` is looked at or changed, so that an answer is always in one of them.
    running: Mutex<HashMap<Key, Weak<Flight>>>,
    kept: Cache<Key, Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    recording: Arc<Recording>,
    ttl: Duration,
}

/// Each answer lives as long as its policy says.
struct Lifetimes;

impl Expiry<Key, Kept> for Lifetimes {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        kept: &Kept,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.ttl)
    }
}

impl SharedAnswers {
    pub(in crate::gateway) fn new() -> Self {
        let kept = Cache::builder()
            .max_capacity(MOST_KEPT)
            .weigher(|_, kept: &Kept| u32::try_from(kept.recording.size()).unwrap_or(u32::MAX))
            // What was asked last is what may be asked again.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Lifetimes)
            .build();
        Self(Arc::new(Answers {
            running: Mutex::default(),
            kept,
        }))
    }

    /// The answer to this: the one that is kept, the one that is being made, or else that of a job, which is kept for
    /// `ttl`.
    pub(super) fn follow(
        &self,
        key: Key,
        ttl: Duration,
        engine: &Arc<dyn LocalEngine>,
        job: Job,
    ) -> Follower {
        let mut running = self.0.lock();
        if let Some(flight) = running.get(&key).and_then(Weak::upgrade) {
            drop(running);
            return Follower::aboard(flight, Some(Sharing::Joined));
        }
        if let Some(kept) = self.0.kept.get(&key) {
            return Follower::of_kept(kept.recording);
        }
        let flight = Flight::begin(key, ttl, Arc::clone(&self.0), Arc::clone(engine), job);
        running.insert(key, Arc::downgrade(&flight));
        drop(running);
        Follower::aboard(flight, None)
    }
}

impl Answers {
    /// A flight has an answer, or has none to share; it is kept if it is worth that. Later calls change nothing.
    fn settle(&self, flight: &Flight, is_useful: bool) {
        let mut running = self.lock();
        let is_this = |known: &Weak<Flight>| std::ptr::eq(known.as_ptr(), flight);
        if !running.get(&flight.key).is_some_and(is_this) {
            return;
        }
        if is_useful && !flight.ttl.is_zero() {
            let kept = Kept {
                recording: Arc::clone(&flight.recording),
                ttl: flight.ttl,
            };
            self.kept.insert(flight.key, kept);
        }
        running.remove(&flight.key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Weak<Flight>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
