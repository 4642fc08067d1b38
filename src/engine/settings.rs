//! What the engine can be told; `config/` maps the `[engine]` section onto it.

use std::{ffi::OsString, fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{ModelCard, TurnReport};
use crate::{
    chat, config,
    policy::{Facts, ModelFact, live::Live},
};

/// How the engine runs. [`Default`] holds the documented defaults.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Which runtime library the workers load.
    pub library: Library,
    /// Take the library for one of this ABI whatever its version string says.
    pub abi: Option<AbiOverride>,
    /// Directory that holds the models: every `*.rkllm` below it.
    pub models_dir: PathBuf,
    /// Memory that the resident models may use together.
    pub memory_budget: MemoryBudget,
    /// Jobs that may wait for the NPU; more are refused.
    pub queue_limit: usize,
    /// A model is unloaded after this time without a job, unless its manifest says otherwise; zero keeps it for ever.
    pub idle_unload: Duration,
    /// Models to load at the start, in this order and as far as there is room; by any name of the catalogue.
    pub preload: Vec<String>,
    /// Where long beginnings of prompts are kept in files; `None` keeps none.
    pub prompt_cache: Option<PromptCacheSettings>,
    /// Longest time between two tokens of an answer before its worker is taken for hung.
    pub stall_timeout: Duration,
    /// Longest time without a sign of life from a worker.
    pub heartbeat_timeout: Duration,
    /// Program and arguments that start a worker; empty means this executable with `worker`.
    pub worker_command: Vec<OsString>,
    /// Environment that the workers get in addition to that of this process.
    pub worker_env: Vec<(String, String)>,
    /// Sampling values to load models with, for runtimes that take none per run; `None` leaves the engine's own.
    pub profiles: Option<Profiles>,
    /// Who hears of each turn at the NPU when it is over, for reports of where the time went.
    pub turns: Option<mpsc::UnboundedSender<TurnReport>>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            library: Library::Auto,
            abi: None,
            models_dir: PathBuf::from("models"),
            memory_budget: MemoryBudget::Auto,
            queue_limit: 256,
            idle_unload: Duration::from_secs(600),
            preload: Vec::new(),
            prompt_cache: None,
            stall_timeout: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(15),
            worker_command: Vec::new(),
            worker_env: Vec::new(),
            profiles: None,
            turns: None,
        }
    }
}

/// What the policy in force says of a model's sampling; asked at each load.
#[derive(Clone)]
pub struct Profiles(Arc<ProfileOf>);

/// The values for a model among all that there are.
type ProfileOf = dyn Fn(&ModelCard, &[ModelCard]) -> chat::Sampling + Send + Sync;

impl Profiles {
    /// `profile` gives the values that most of a model's requests are to have; it is also told of all models.
    pub fn new(
        profile: impl Fn(&ModelCard, &[ModelCard]) -> chat::Sampling + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(profile))
    }

    /// What the policy in force has for what each model is used for.
    #[must_use]
    pub fn in_force(policy: Arc<Live>) -> Self {
        Self::new(move |card, cards| {
            let models = Facts::from(cards);
            policy
                .set()
                .sampling_at_load(&ModelFact::from(card), &models)
                .1
        })
    }

    pub(super) fn of(&self, card: &ModelCard, cards: &[ModelCard]) -> chat::Sampling {
        (self.0)(card, cards)
    }
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profiles")
    }
}

/// Where long beginnings of prompts are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptCacheSettings {
    /// Directory of the files; made if it is not there.
    pub dir: PathBuf,
    /// Bytes of all files together.
    pub max_size: u64,
}

/// Which runtime library the workers load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Library {
    /// librkllmrt.so where one is found in the usual places, else the simulator.
    #[default]
    Auto,
    /// The built-in simulator.
    Sim,
    /// None, and no models.
    None,
    /// This file.
    Path(PathBuf),
}

/// A forced choice of the binary interface; the names are the runtime versions that brought each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbiOverride {
    /// 1.2.0.
    V1_2_0,
    /// 1.2.1, 1.2.2 and 1.2.3.
    V1_2_1,
    /// 1.3.0.
    V1_3_0,
}

/// Memory that the resident models may use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemoryBudget {
    /// 70 % of what the system has available at start; for the simulator 70 % of a 16 GiB board.
    #[default]
    Auto,
    /// This many bytes.
    Bytes(u64),
}

impl From<config::Budget> for MemoryBudget {
    fn from(budget: config::Budget) -> Self {
        match budget {
            config::Budget::Auto => Self::Auto,
            config::Budget::Bytes(size) => Self::Bytes(size.0),
        }
    }
}

impl From<AbiOverride> for rkllm::Abi {
    fn from(abi: AbiOverride) -> Self {
        match abi {
            AbiOverride::V1_2_0 => Self::V1_2_0,
            AbiOverride::V1_2_1 => Self::V1_2_1,
            AbiOverride::V1_3_0 => Self::V1_3_0,
        }
    }
}
