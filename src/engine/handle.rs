//! [`Engine`]: what the rest of the gateway holds.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinSet};

use super::{
    EngineError, EngineSettings, Job, ModelCard, ResidencyError, Run,
    catalog::Catalog,
    dispatch::dispatch,
    library,
    scheduler::Scheduler,
    settings::Library,
    shipped::ShippedModels,
    status::{ModelStatus, ResidentStatus, Status, WorkerStatus},
};

/// Time between two looks at whether the last answer is through, while shutting down.
const POLL: Duration = Duration::from_millis(20);

/// The embedded engine. Clones are handles of the same one; the last one dropped ends its workers.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    scheduler: Arc<Scheduler>,
    runtime: Handle,
    samples_per_run: bool,
    /// Whether the runtime library could load no model at the start.
    had_problem: bool,
    /// What goes on as long as there are handles.
    _tasks: JoinSet<()>,
    /// The simulator's own models, if there were no others; removed when the engine ends.
    shipped: Mutex<Option<ShippedModels>>,
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The simulator's own models cannot be written to the temporary directory.
    #[error("cannot write the simulated models: {0}")]
    Shipped(#[source] std::io::Error),
    /// The runtime library is not there.
    #[error(
        "the runtime library {0} does not exist; set engine.library to its path, to \"auto\" or to \"sim\""
    )]
    NoLibrary(std::path::PathBuf),
}

impl Engine {
    /// Reads the catalogue and starts the engine; no model is loaded yet.
    ///
    /// The engine's tasks share the runtime of the requests: a token that had to wake a second thread would cost
    /// more than all work on it. With the simulator and no model in `models_dir` the simulator's own models take
    /// their place.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(mut settings: EngineSettings, runtime: Handle) -> Result<Self, StartError> {
        let library = library::find(&settings.library);
        if let Some(path) = library.as_ref().filter(|path| !path.is_file()) {
            return Err(StartError::NoLibrary(path.clone()));
        }
        let (catalog, shipped) = match settings.library {
            Library::None => (Catalog::default(), None),
            _ => catalog(&settings.models_dir, library.is_none())?,
        };
        if let Some(dir) = &shipped {
            tracing::info!(models_dir = %settings.models_dir.display(),
                "no models found: the simulator's own models are used instead");
            dir.path().clone_into(&mut settings.models_dir);
        }
        match &library {
            Some(path) => tracing::info!(library = %path.display(), "engine runtime"),
            None if settings.library == Library::None => {
                tracing::info!("no engine: upstreams answer");
            }
            None => tracing::info!("engine runtime: the built-in simulator; answers are canned"),
        }
        let problem = library
            .as_deref()
            .and_then(|library| library::problem(library, settings.abi));
        if let Some(problem) = &problem {
            tracing::error!("no model can be loaded: {problem}");
        }
        for card in catalog.models() {
            for warning in &card.warnings {
                tracing::warn!(model = card.id, "{warning}");
            }
        }
        let samples_per_run = library::samples_per_run(library.as_deref(), settings.abi);
        let (scheduler, orders) = Scheduler::new(settings, catalog, library);
        let scheduler = Arc::new(scheduler);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(dispatch(Arc::clone(&scheduler), orders), &runtime);
        tasks.spawn_on(Arc::clone(&scheduler).unload_idle(), &runtime);
        Ok(Self(Arc::new(Inner {
            scheduler,
            runtime,
            samples_per_run,
            had_problem: problem.is_some(),
            _tasks: tasks,
            shipped: Mutex::new(shipped),
        })))
    }

    /// The models in catalogue order.
    #[must_use]
    pub fn models(&self) -> &[ModelCard] {
        self.0.scheduler.catalog.models()
    }

    /// The model that is known by `name`, whatever its case.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&ModelCard> {
        self.0.scheduler.catalog.find(name)
    }

    /// Whether the runtime takes sampling values with each run; otherwise those hold that a model was loaded with.
    #[must_use]
    pub fn samples_per_run(&self) -> bool {
        self.0.samples_per_run
    }

    /// Why the runtime library can load no model, with the cure; `None` where nothing of the kind is known. A library
    /// that was right at the start is not looked at again.
    #[must_use]
    pub fn runtime_problem(&self) -> Option<String> {
        let Scheduler {
            library, settings, ..
        } = &*self.0.scheduler;
        let library = library.as_deref().filter(|_| self.0.had_problem)?;
        library::problem(library, settings.abi)
    }

    /// Prepares a job, checks it against the model's context and queues it for the NPU. Returns when the job stands
    /// in the queue; dropping the returned run, or this future, cancels the job.
    ///
    /// # Errors
    /// [`EngineError`], for what is known before the run: unknown model, context, unsupported content, full queue,
    /// a worker that does not start.
    pub async fn submit(&self, job: Job) -> Result<Run, EngineError> {
        let admitted = self
            .0
            .runtime
            .spawn(Arc::clone(&self.0.scheduler).admit(job));
        // The task is only lost with the runtime itself.
        admitted.await.unwrap_or(Err(EngineError::ShuttingDown))
    }

    /// Loads the model of this name and returns when it is in memory. It takes the room of models that no request
    /// needs, and waits for it while there are only others; it goes on although the future is dropped.
    ///
    /// # Errors
    /// [`ResidencyError`].
    pub async fn load(&self, name: &str) -> Result<(), ResidencyError> {
        self.0.scheduler.load_by_hand(name).await
    }

    /// Unloads the model of this name and returns when its memory is free; or calls off a load that waits for room.
    ///
    /// # Errors
    /// [`ResidencyError`], above all where a request needs the model, or it is pinned.
    pub async fn unload(&self, name: &str) -> Result<(), ResidencyError> {
        self.0.scheduler.unload_by_hand(name).await
    }

    /// Pins the model of this name, which loads it where there is room, or unpins it; until rkgate ends.
    ///
    /// # Errors
    /// [`ResidencyError::Engine`]: no such model.
    pub fn pin(&self, name: &str, pinned: bool) -> Result<(), ResidencyError> {
        self.0.scheduler.pin_by_hand(name, pinned)
    }

    /// The engine at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let scheduler = &self.0.scheduler;
        let workers = scheduler.slots.iter().filter_map(|slot| {
            let worker = slot.alive()?;
            Some(WorkerStatus {
                model: slot.card.id.clone(),
                pid: worker.pid(),
                in_use: slot.idle_since().is_none(),
                resident: worker.placement().map(|placement| ResidentStatus {
                    runtime: placement.loaded.version.clone(),
                    abi: placement.loaded.abi.clone(),
                    per_run_sampling: placement.loaded.per_run_sampling,
                    context: placement.context,
                    memory: placement.memory,
                    domain: placement.domain,
                }),
            })
        });
        let residency = scheduler.queue.residency();
        let instances: Vec<_> = scheduler.slots.iter().zip(residency).collect();
        let models = instances.chunk_by(|(one, _), (other, _)| one.first == other.first);
        let models = models.filter_map(|instances| {
            let (first, (_, pinned)) = instances.first()?;
            Some(ModelStatus {
                model: first.card.id.clone(),
                residency: instances
                    .iter()
                    .map(|(_, (residency, _))| *residency)
                    .max()?,
                pinned: *pinned,
            })
        });
        Status {
            library: scheduler.library.clone(),
            models_dir: scheduler.settings.models_dir.clone(),
            shipped_models: self.shipped().is_some(),
            memory_budget: scheduler.budget,
            queued: scheduler.queue.len(),
            models: models.collect(),
            workers: workers.collect(),
            counters: scheduler.counting.now(),
        }
    }

    /// Takes no more jobs, waits up to `deadline` for those that wait and run, fails the rest and ends the workers.
    pub async fn shutdown(&self, deadline: Duration) {
        let scheduler = Arc::clone(&self.0.scheduler);
        let ended = self.0.runtime.spawn(async move {
            scheduler.closing.cancel();
            let drained = async {
                while !scheduler.queue.is_idle() {
                    tokio::time::sleep(POLL).await;
                }
            };
            if tokio::time::timeout(deadline, drained).await.is_err() {
                for waiting in scheduler.queue.drain() {
                    waiting.news.end(Err(EngineError::ShuttingDown));
                }
            }
            for slot in &scheduler.slots {
                slot.unload().await;
            }
        });
        // Nothing is left to do for a task that was lost.
        let _ = ended.await;
        // Tasks that hold the engine are cut off at the end of the process, and then drop nothing.
        self.shipped().take();
    }

    fn shipped(&self) -> MutexGuard<'_, Option<ShippedModels>> {
        self.0
            .shipped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The models below `dir`, or else, for the simulator, its own ones, which last as long as what is returned of them.
///
/// # Errors
/// [`StartError::Shipped`].
pub(crate) fn catalog(
    dir: &Path,
    simulated: bool,
) -> Result<(Catalog, Option<ShippedModels>), StartError> {
    let found = Catalog::scan(dir);
    if !found.models().is_empty() || !simulated {
        return Ok((found, None));
    }
    let shipped = ShippedModels::install(&std::env::temp_dir()).map_err(StartError::Shipped)?;
    Ok((Catalog::scan(shipped.path()), Some(shipped)))
}
