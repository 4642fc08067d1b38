//! What the engine tells of itself, for metrics, health and the console.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{Miss, conversations::Missed};

/// The engine at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// The runtime library; `None` is the simulator.
    pub library: Option<PathBuf>,
    /// Directory of the models.
    pub models_dir: PathBuf,
    /// Whether the models are the simulator's own, as none were found.
    pub shipped_models: bool,
    /// Bytes that the resident models may use together.
    pub memory_budget: u64,
    /// Jobs that wait for the NPU.
    pub queued: usize,
    /// All models, in catalogue order.
    pub models: Vec<ModelStatus>,
    /// The models with a worker process, in catalogue order; one for each instance.
    pub workers: Vec<WorkerStatus>,
    /// Counts since the start.
    pub counters: Counters,
}

/// Where a model of the catalogue is.
#[derive(Debug, Clone)]
pub struct ModelStatus {
    /// The model's id.
    pub model: String,
    /// Where it is.
    pub residency: Residency,
    /// Whether it is kept: by its `model.toml`, unless somebody said otherwise since the start.
    pub pinned: bool,
}

/// Where a model is. What has several instances is where the last of these says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Residency {
    /// On disk only.
    Absent,
    /// Being unloaded.
    Unloading,
    /// To be loaded, as a person asked, as soon as there is room.
    Waiting,
    /// Being loaded.
    Loading,
    /// In memory.
    Loaded,
}

impl Residency {
    /// The name in the admin API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Waiting => "waiting",
            Self::Loading => "loading",
            Self::Loaded => "loaded",
            Self::Unloading => "unloading",
        }
    }
}

/// A model with a worker process.
#[derive(Debug, Clone)]
pub struct WorkerStatus {
    /// The model's id.
    pub model: String,
    /// Process id of the worker.
    pub pid: Option<u32>,
    /// Whether a job of this model waits or runs.
    pub in_use: bool,
    /// The loaded model; `None` while only its tokenizer is.
    pub resident: Option<ResidentStatus>,
}

/// A loaded model.
#[derive(Debug, Clone)]
pub struct ResidentStatus {
    /// The runtime's version, if its file tells one.
    pub runtime: Option<String>,
    /// The runtime's binary interface.
    pub abi: String,
    /// Whether sampling may differ from run to run.
    pub per_run_sampling: bool,
    /// Context in tokens.
    pub context: u32,
    /// Bytes that the budget reckons with.
    pub memory: u64,
    /// First IOMMU domain of the weights.
    pub domain: i32,
}

/// Prompts that were not found in the KV cache for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MissCount {
    /// So many.
    pub prompts: u64,
    /// Tokens that had been read for the conversation's last turn and were read again.
    pub tokens: u64,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Jobs that ran to their end.
    pub completed: u64,
    /// Jobs that failed after they were queued, or for which no other model is unloaded as theirs could not be loaded.
    pub failed: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Jobs that were given up: late, in a person's way, or pointless.
    pub withdrawn: u64,
    /// Runs that were stopped for a more urgent job, to go on later.
    pub preempted: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Of these, tokens found in the KV cache.
    pub cached_tokens: u64,
    /// Of these, tokens that came from a prompt cache file.
    pub loaded_tokens: u64,
    /// Prompts for which a prompt cache file was loaded.
    pub prefixes_loaded: u64,
    /// Prompt cache files saved.
    pub prefixes_saved: u64,
    /// Generated tokens.
    pub completion_tokens: u64,
    /// Runs in which the KV cache held something else than expected.
    pub mispredicted: u64,
    /// Prompts that were not found in the KV cache as far as they might have been, by [`Miss::ALL`].
    pub misses: [MissCount; Miss::ALL.len()],
    /// Models loaded, also again for a run that could not go on otherwise.
    pub loads: u64,
    /// Models that failed to load.
    pub load_failures: u64,
    /// Models unloaded to make room, for idleness or by hand.
    pub unloads: u64,
    /// Workers that crashed or hung: during a job, while they loaded, or idle.
    pub workers_lost: u64,
    /// Time spent on prompts.
    pub prefill: Duration,
    /// Time spent on answers.
    pub decode: Duration,
}

/// The counters while they count.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) withdrawn: AtomicU64,
    pub(super) preempted: AtomicU64,
    pub(super) prompt_tokens: AtomicU64,
    pub(super) cached_tokens: AtomicU64,
    pub(super) loaded_tokens: AtomicU64,
    pub(super) prefixes_loaded: AtomicU64,
    pub(super) prefixes_saved: AtomicU64,
    pub(super) completion_tokens: AtomicU64,
    pub(super) mispredicted: AtomicU64,
    pub(super) misses: [(AtomicU64, AtomicU64); Miss::ALL.len()],
    pub(super) loads: AtomicU64,
    pub(super) load_failures: AtomicU64,
    pub(super) unloads: AtomicU64,
    pub(super) workers_lost: AtomicU64,
    pub(super) prefill_us: AtomicU64,
    pub(super) decode_us: AtomicU64,
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Counting {
    /// A prompt was not found as far as it might have been.
    pub(super) fn missed(&self, missed: Missed) {
        if let Some((prompts, tokens)) = self.misses.get(missed.why as usize) {
            add(prompts, 1);
            add(tokens, missed.lost.into());
        }
    }

    pub(super) fn now(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            completed: read(&self.completed),
            failed: read(&self.failed),
            cancelled: read(&self.cancelled),
            withdrawn: read(&self.withdrawn),
            preempted: read(&self.preempted),
            prompt_tokens: read(&self.prompt_tokens),
            cached_tokens: read(&self.cached_tokens),
            loaded_tokens: read(&self.loaded_tokens),
            prefixes_loaded: read(&self.prefixes_loaded),
            prefixes_saved: read(&self.prefixes_saved),
            completion_tokens: read(&self.completion_tokens),
            mispredicted: read(&self.mispredicted),
            misses: self.misses.each_ref().map(|(prompts, tokens)| MissCount {
                prompts: read(prompts),
                tokens: read(tokens),
            }),
            loads: read(&self.loads),
            load_failures: read(&self.load_failures),
            unloads: read(&self.unloads),
            workers_lost: read(&self.workers_lost),
            prefill: Duration::from_micros(read(&self.prefill_us)),
            decode: Duration::from_micros(read(&self.decode_us)),
        }
    }
}
