//! What the gateway knows of engines: the model catalogue, residency, the queue and the supervision of workers.
//!
//! The gateway process never loads librkllmrt.so; one worker process per resident model, or instance of one, does
//! (`worker/`).
//! This file is the border: the gateway uses [`Engine`], [`Job`] and [`Run`] and nothing else of this room.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::chat;

/// What to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// The request's id, for logs and traces.
    pub id: String,
    /// The model, by any name that the catalogue knows it by.
    pub model: String,
    /// What the model reads.
    pub prompt: Prompt,
    /// Sampling asked for; the engine says in [`Started::sampling`] what the runtime really uses.
    pub sampling: chat::Sampling,
    /// Limit of generated tokens; capped by what the context leaves.
    pub max_tokens: Option<u32>,
    /// Its place among the others that want the NPU.
    pub queue: QueueClass,
    /// Who wants it.
    pub origin: Origin,
}

/// Where a job stands among those that want the NPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueClass {
    /// The class's name, for logs and metrics, e.g. `chat`.
    pub name: Arc<str>,
    /// 0 is the most urgent. Up to [`QueueClass::PERSON_WAITS`] a person waits for the answer.
    pub urgency: u8,
    /// The urgency that waiting raises it to at most. What stays above 0 by that is let through now and then, so that
    /// it does not starve.
    pub ages_to: u8,
    /// When the answer has to be there; nothing is too late where there is none.
    pub deadline: Option<Instant>,
    /// Whether there is an answer to give without the model. Only such jobs are given up
    /// ([`EngineError::Withdrawn`]) where they hold up a person or are still at work when they should be done.
    pub fallback: bool,
    /// Whether a newer job of the same class and origin makes this one pointless.
    pub newest_wins: bool,
    /// Whether the next question of the conversation makes this one pointless.
    pub until_question: bool,
}

impl QueueClass {
    /// The last urgency at which a person waits for the answer: such a job takes the NPU from less urgent ones.
    pub const PERSON_WAITS: u8 = 1;
}

/// Who wants a job, as far as the client tells. Only ever compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The person or key; users take turns.
    pub user: Option<Arc<str>>,
    /// The conversation.
    pub conversation: Option<Arc<str>>,
}

impl Default for QueueClass {
    /// What a person waits for.
    fn default() -> Self {
        Self {
            name: "chat".into(),
            urgency: 0,
            ages_to: 0,
            deadline: None,
            fallback: false,
            newest_wins: false,
            until_question: false,
        }
    }
}

/// What the model reads.
#[derive(Debug, Clone)]
pub enum Prompt {
    /// A conversation, to be rendered by the model's chat template.
    Chat(Arc<chat::Request>),
    /// Raw text, tokenised as it is (`/v1/completions`).
    Text(String),
    /// What an embedding is wanted of; for models whose [`ModelCard::kind`] is [`ModelKind::Embedding`].
    Embed(chat::Passage),
}

/// A job that passed its context check and stands in the queue. Dropping it cancels the job in every phase.
#[derive(Debug)]
pub struct Run {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Whether the rendered prompt ends inside a think block, so that the answer begins as thinking.
    pub thinking_opened: bool,
    /// What happens to the job, in order. Ends after [`Progress::Done`] or [`Progress::Failed`].
    pub progress: tokio::sync::mpsc::Receiver<Progress>,
    /// Cancels the job when dropped.
    pub cancel: tokio_util::sync::DropGuard,
}

/// What happens to a job.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Waiting; `ahead` jobs will run before it. Sent on entry and whenever the place changes; also in the middle of
    /// an answer, where a more urgent job takes the NPU. The answer goes on after that.
    Queued {
        /// Jobs before this one.
        ahead: usize,
        /// How long they are likely to take.
        wait: Duration,
    },
    /// The model is being loaded for this job.
    Loading,
    /// The runtime has begun to read the prompt; comes again when the job goes on after it gave way.
    Started(Started),
    /// The runtime knows how much of the prompt it has read before.
    Reading {
        /// Tokens of the prompt that need no computing.
        cached: u32,
        /// Why much of it has to be read anew; `None` where it was found in the KV cache as far as possible.
        miss: Option<Miss>,
    },
    /// One piece of the answer: whole characters, one or more tokens.
    Piece {
        /// The text, special tokens left out.
        text: String,
        /// Tokens that this piece stands for.
        tokens: u32,
    },
    /// The embedding, all that such a job gives: as many values as the model's last layer is wide, of length 1
    /// together.
    Embedding(Vec<f32>),
    /// The run has ended well.
    Done(Completion),
    /// The run has failed; text sent before stands.
    Failed(EngineError),
}

/// How a run began.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    /// Time that the job has waited: from its submission to its first run, and between a run that was stopped and the
    /// next.
    pub queued: Duration,
    /// Sampling values that the runtime really uses.
    pub sampling: chat::Sampling,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct Completion {
    /// `Stop` (end token) or `Length`.
    pub finish: chat::FinishReason,
    /// Exact counts; `reasoning` is left at 0 for the gateway to fill.
    pub usage: chat::Usage,
    /// Time the runtime spent on the prompt.
    pub prefill: Duration,
    /// Time the runtime spent on the answer.
    pub decode: Duration,
}

/// One turn of a job at the NPU. A job that is stopped for a more urgent one has several.
#[derive(Debug, Clone)]
pub struct TurnReport {
    /// The request's id: [`Job::id`].
    pub request: String,
    /// The model's id.
    pub model: String,
    /// When the worker was told to run.
    pub began: Instant,
    /// When the NPU was free again.
    pub ended: Instant,
    /// Tokens of the prompt, with what an answer that goes on has said before.
    pub prompt: u32,
    /// Of these, tokens that the KV cache held.
    pub cached: u32,
    /// Of these, tokens that came from a prompt cache file.
    pub loaded: u32,
    /// What of the prompt was missed in the KV cache; told of the job's first turn.
    pub missed: Option<Missed>,
    /// Tokens generated in this turn.
    pub completion: u32,
    /// Whether the gateway stopped it. The times below are then the clock's.
    pub stopped: bool,
    /// Time that the runtime says it spent on the prompt.
    pub prefill: Duration,
    /// The same of the answer.
    pub decode: Duration,
}

mod by_hand;
pub mod catalog;
mod conversations;
mod dispatch;
mod error;
mod failed_load;
mod handle;
mod instances;
mod library;
mod loading;
mod pending;
mod protocol;
mod queue;
pub mod sampling;
mod schedule;
mod scheduler;
pub mod settings;
mod shipped;
mod slot;
mod status;
mod supervisor;
mod turn;
pub mod worker;

pub use by_hand::ResidencyError;
pub(crate) use catalog::Catalog;
pub use catalog::{ModelCard, ModelKind};
pub use conversations::{Miss, Missed};
pub use error::{EngineError, Withdrawal};
pub(crate) use handle::catalog as catalog_of;
pub use handle::{Engine, StartError};
pub(crate) use library::{
    GET, GET_OPENMP, OTHER_VERSION, memory_budget, samples_per_run, usual_places,
};
pub use settings::EngineSettings;
pub(crate) use shipped::ShippedModels;
pub use status::{Counters, ModelStatus, Residency, ResidentStatus, Status, WorkerStatus};
