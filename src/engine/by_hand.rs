//! Models that a person loads, unloads, pins and unpins.

use std::sync::Arc;

use super::{
    EngineError,
    queue::Fulfilment,
    schedule::{ModelIndex, Refused},
    scheduler::Scheduler,
    slot::Slot,
};

/// Why a model was not loaded or unloaded as a person asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResidencyError {
    /// No model of that name in the catalogue, or it could not be loaded, or rkgate is shutting down.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Requests need the model.
    #[error(
        "`{model}` has {requests} request(s) to answer; unload it when they are through, or stop them"
    )]
    InUse {
        /// The model's id.
        model: String,
        /// Requests that run on it or wait for it.
        requests: usize,
    },
    /// The model is on its way into memory.
    #[error("`{0}` is being loaded; unload it when it is there")]
    Loading(String),
    /// The model is pinned.
    #[error("`{0}` is pinned; unpin it first")]
    Pinned(String),
    /// Only pinned models could make room.
    #[error("there is no room for `{model}` in memory beside what is pinned: {pinned}; unpin one")]
    NoRoom {
        /// The model's id.
        model: String,
        /// The ids of the models in its way.
        pinned: String,
    },
    /// Somebody unloaded the model while it waited for room.
    #[error("the loading of `{0}` was called off")]
    CalledOff(String),
}

impl Scheduler {
    /// Loads a model; returns when it is there.
    pub(super) async fn load_by_hand(&self, name: &str) -> Result<(), ResidencyError> {
        let (first, others) = self.by_name(name)?;
        if others.iter().any(|slot| slot.loaded().is_some()) {
            return Ok(());
        }
        // Its worker may be ending at this moment.
        self.look_after(first.model);
        let loaded = self.queue.load(first.model);
        self.fulfilled(first.model, loaded).await
    }

    /// Unloads all instances of a model; returns when their memory is free.
    pub(super) async fn unload_by_hand(&self, name: &str) -> Result<(), ResidencyError> {
        let (first, others) = self.by_name(name)?;
        for slot in std::iter::once(first).chain(others) {
            let unloaded = self.queue.unload(slot.model);
            self.fulfilled(slot.model, unloaded).await?;
        }
        Ok(())
    }

    /// Keeps the first instance of a model from now on, or no longer.
    pub(super) fn pin_by_hand(&self, name: &str, pinned: bool) -> Result<(), ResidencyError> {
        let (slot, _) = self.by_name(name)?;
        tracing::info!(model = slot.card.id, pinned, "pinned or unpinned by hand");
        self.queue.pin(slot.model, pinned);
        Ok(())
    }

    fn by_name(&self, name: &str) -> Result<(&Arc<Slot>, &[Arc<Slot>]), EngineError> {
        if self.closing.is_cancelled() {
            return Err(EngineError::ShuttingDown);
        }
        self.find(name)
    }

    async fn fulfilled(
        &self,
        model: ModelIndex,
        asked: Result<Fulfilment, Refused>,
    ) -> Result<(), ResidencyError> {
        let id = |model: ModelIndex| {
            let slot = self.slot(model);
            slot.map(|slot| slot.card.id.clone()).unwrap_or_default()
        };
        let refused = |refused| match refused {
            Refused::InUse { jobs } => ResidencyError::InUse {
                model: id(model),
                requests: jobs,
            },
            Refused::Loading => ResidencyError::Loading(id(model)),
            Refused::Pinned => ResidencyError::Pinned(id(model)),
            Refused::NoRoom { pinned } => ResidencyError::NoRoom {
                model: id(model),
                pinned: pinned.into_iter().map(id).collect::<Vec<_>>().join(", "),
            },
        };
        match asked.map_err(refused)?.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(ResidencyError::Engine(EngineError::Load {
                model: id(model),
                reason,
            })),
            Err(_) => Err(ResidencyError::CalledOff(id(model))),
        }
    }
}
