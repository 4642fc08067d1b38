//! What a person wants of the models: loaded, unloaded, pinned.
//!
//! A wish waits for everything that jobs need, and takes no room from a model that a job runs on or waits for: that
//! would be loaded again for the job. A pinned model makes room for a job only.

use super::{Action, ModelIndex, Schedule, Time, models::Room};
use crate::engine::Residency;

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Asked {
    /// It is so already.
    Done,
    /// It will be, or will fail.
    Coming,
}

/// Why a wish is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Refused {
    /// There would be room only without these models, which are pinned.
    NoRoom { pinned: Vec<ModelIndex> },
    /// So many jobs run on the model or wait for it.
    InUse { jobs: usize },
    /// It is being loaded.
    Loading,
    /// It is pinned, and would be loaded again at once.
    Pinned,
}

impl Schedule {
    /// Loads a model as soon as there is room.
    ///
    /// # Errors
    /// [`Refused::NoRoom`].
    pub(in crate::engine) fn wish(
        &mut self,
        model: ModelIndex,
        now: Time,
    ) -> Result<Asked, Refused> {
        match self.models.residency_of(model) {
            Residency::Loaded => return Ok(Asked::Done),
            Residency::Loading | Residency::Waiting => return Ok(Asked::Coming),
            Residency::Absent | Residency::Unloading => {}
        }
        if let Room::Free { mut unload, .. } = self.models.room(model, None) {
            unload.retain(|other| self.models.is_pinned(*other));
            if !unload.is_empty() {
                return Err(Refused::NoRoom { pinned: unload });
            }
        }
        self.models.wish(model);
        self.advance(now);
        Ok(Asked::Coming)
    }

    /// Unloads a model, or calls off the wish to have it loaded.
    ///
    /// # Errors
    /// [`Refused`], but for [`Refused::NoRoom`].
    pub(in crate::engine) fn unload(
        &mut self,
        model: ModelIndex,
        now: Time,
    ) -> Result<Asked, Refused> {
        self.models.forget_wish(model);
        match self.models.residency_of(model) {
            Residency::Absent | Residency::Waiting => return Ok(Asked::Done),
            Residency::Unloading => return Ok(Asked::Coming),
            Residency::Loading => return Err(Refused::Loading),
            Residency::Loaded => {}
        }
        if self.models.is_pinned(model) {
            return Err(Refused::Pinned);
        }
        match self.jobs_of(model) {
            0 => {
                self.models.unload(model);
                self.actions.push(Action::Unload(model));
                self.advance(now);
                Ok(Asked::Coming)
            }
            jobs => Err(Refused::InUse { jobs }),
        }
    }

    /// Keeps a model from now on, loading it where there is room; or keeps it no longer.
    pub(in crate::engine) fn pin(&mut self, model: ModelIndex, pinned: bool, now: Time) {
        self.models.pin(model, pinned);
        self.advance(now);
    }

    /// Where each model is, and whether it is pinned; in the order of their numbers.
    pub(in crate::engine) fn residency(&self) -> Vec<(Residency, bool)> {
        self.models.residency().collect()
    }

    /// Loads what a person wants, if there is room. Whether it did.
    pub(super) fn load_wished(&mut self, now: Time) -> bool {
        for model in self.models.wished() {
            if let Room::Free { domain, unload } = self.models.room(model, None)
                && unload
                    .iter()
                    .all(|other| self.jobs_of(*other) == 0 && !self.models.is_pinned(*other))
            {
                self.load(model, domain, unload, None, now);
                return true;
            }
        }
        false
    }

    /// Jobs that run on a model or wait for it.
    fn jobs_of(&self, model: ModelIndex) -> usize {
        let known = self.jobs.values().filter(|entry| entry.model == model);
        // A run that was given up still has the NPU until it has stopped.
        let given_up = self
            .npu
            .as_ref()
            .is_some_and(|turn| turn.model == model && !self.jobs.contains_key(&turn.job));
        known.count() + usize::from(given_up)
    }
}
