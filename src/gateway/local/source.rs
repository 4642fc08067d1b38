//! Where the steps of an answer come from.

use super::shared::{Admitted, Follower, Sharing};
use crate::engine::{EngineError, Progress, Run};

/// A run of the request's own, or one that it shares. Dropping it lets go of the run.
pub(super) enum Source {
    Own(Run),
    Shared(Admitted, Follower),
}

impl Source {
    /// Waits until a shared job is taken or refused.
    pub(super) async fn follow(mut follower: Follower) -> Result<Self, EngineError> {
        let admitted = follower.admitted().await?;
        Ok(Self::Shared(admitted, follower))
    }

    pub(super) fn prompt_tokens(&self) -> u32 {
        match self {
            Self::Own(run) => run.prompt_tokens,
            Self::Shared(admitted, _) => admitted.prompt_tokens,
        }
    }

    /// Whether the prompt ends inside a think block.
    pub(super) fn thinking_opened(&self) -> bool {
        match self {
            Self::Own(run) => run.thinking_opened,
            Self::Shared(admitted, _) => admitted.thinking_opened,
        }
    }

    /// How the request came by an answer that is made for another one; `None` where it is made for this one.
    pub(super) fn sharing(&self) -> Option<Sharing> {
        match self {
            Self::Own(_) => None,
            Self::Shared(_, follower) => follower.sharing(),
        }
    }

    /// Waits for the next step; `None` after the last one. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Progress> {
        match self {
            Self::Own(run) => run.progress.recv().await,
            Self::Shared(_, follower) => follower.next().await,
        }
    }

    /// The next step, if it is there.
    pub(super) fn try_next(&mut self) -> Option<Progress> {
        match self {
            Self::Own(run) => run.progress.try_recv().ok(),
            Self::Shared(_, follower) => follower.try_next(),
        }
    }

    /// The answer is complete. `is_useful` says whether it is worth being given again.
    pub(super) fn settle(self, is_useful: bool) {
        match self {
            Self::Own(run) => drop(run),
            Self::Shared(_, follower) => follower.settle(is_useful),
        }
    }
}
