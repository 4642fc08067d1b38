//! What can go wrong between a job and its answer.

use std::time::Duration;

/// A job's failure. The gateway maps each kind to one HTTP status.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// No model of that name in the catalogue.
    #[error("the model `{model}` does not exist; known are: {known}")]
    UnknownModel {
        /// The name asked for.
        model: String,
        /// The names that would have worked.
        known: String,
    },
    /// The prompt is longer than the model's context.
    #[error(
        "this model's maximum context length is {limit} tokens, but the messages and tools are {prompt} tokens long; shorten the conversation, offer fewer tools, or choose a conversion with a larger context"
    )]
    ContextLength {
        /// Tokens of the prompt.
        prompt: u32,
        /// Tokens that fit, the answer included.
        limit: u32,
    },
    /// The request cannot be put into a prompt for this model, e.g. an image for a text model.
    #[error("{0}")]
    Unsupported(String),
    /// The queue is full.
    #[error("{waiting} requests are waiting for the NPU already; try again in {} s", retry_after.as_secs())]
    QueueFull {
        /// Jobs in the queue.
        waiting: usize,
        /// When a place is likely to be free.
        retry_after: Duration,
    },
    /// The model could not be loaded.
    #[error("the model `{model}` could not be loaded: {reason}")]
    Load {
        /// The model's id.
        model: String,
        /// The runtime's own words where there are any, with the cure where it is known.
        reason: String,
    },
    /// The worker process ended or had to be ended during the run; the next request loads the model anew.
    #[error(
        "the engine worker of `{model}` {what}; the model will be loaded again for the next request"
    )]
    Worker {
        /// The model's id.
        model: String,
        /// What happened to the worker, e.g. `was killed by signal 11`.
        what: String,
    },
    /// The runtime reported that the run failed.
    #[error("the runtime failed while running `{model}`: {reason}")]
    Run {
        /// The model's id.
        model: String,
        /// The runtime's own words where there are any.
        reason: String,
    },
    /// The engine has given the job up. The gateway answers with the class's fallback, if it has one.
    #[error("{why}; try again in {} s", retry_after.as_secs())]
    Withdrawn {
        /// Why.
        why: Withdrawal,
        /// When a run is likely to succeed.
        retry_after: Duration,
    },
    /// rkgate is shutting down.
    #[error("rkgate is shutting down")]
    ShuttingDown,
}

/// Why the engine gave a job up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Withdrawal {
    /// Its deadline is over.
    #[error("the answer was not there in time")]
    Deadline,
    /// More urgent requests took the NPU from it twice.
    #[error("more urgent requests needed the NPU")]
    Preempted,
    /// The queue was full, and a more urgent request took its place, or that of somebody who had fewer places.
    #[error("the queue is full, and others have taken its place")]
    Displaced,
    /// A newer request of the same kind makes it pointless.
    #[error("a newer request has taken its place")]
    Superseded,
}
