//! The set in force: loaded from the files, swapped when they change, kept when they are broken. The only part of the
//! policy engine that does I/O.

mod edit;

use std::{
    collections::VecDeque,
    error::Error as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{self, Instant},
};

use super::{Compiled, Platform, Set, Source, shipped};
use crate::problem::Report;

pub use edit::{Draft, EditError, FileName, Generation, version};

/// Editors write a file in several steps; nothing is read until they have been still for so long.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// A file that never is still is read after so long all the same.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a directory that is not there is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Where the set comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Directory of the user's rule files.
    pub rules: PathBuf,
    /// Directory of the user's policy files.
    pub policies: PathBuf,
    /// The board.
    pub platform: Platform,
}

/// Why no set could be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Files could not be read.
    #[error(transparent)]
    Unreadable(#[from] shipped::Unreadable),
    /// Files are wrong, or tests in them fail.
    #[error("{0}")]
    Wrong(Box<Report>),
}

/// What came of the last attempt to load.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The generation in force.
    pub generation: u64,
    /// Why the files' newer state is not in force; `None` where it is.
    pub error: Option<Arc<LoadError>>,
    /// Warnings of the set in force.
    pub warnings: Arc<Report>,
    /// How many tests of the files passed.
    pub tests: usize,
}

/// The set in force.
#[derive(Debug)]
pub struct Live {
    origin: Origin,
    set: ArcSwap<Set>,
    last: ArcSwap<Attempt>,
    generations: AtomicU64,
    /// Held while loading and writing: attempts that overlap could swap in the older files last.
    loading: Mutex<()>,
    /// The last generations, the one in force last.
    history: Mutex<VecDeque<Generation>>,
}

/// Compiles files and runs their tests.
fn compile(files: &[Source], platform: Platform) -> Result<(Compiled, usize), LoadError> {
    let wrong = |report| LoadError::Wrong(Box::new(report));
    let compiled = Set::compile(files, platform).map_err(wrong)?;
    let tests = compiled.test().map_err(wrong)?;
    Ok((compiled, tests))
}

impl Live {
    /// Loads the first set.
    ///
    /// # Errors
    /// When a file cannot be read or is wrong, or a test fails; there is no older set to keep.
    pub fn start(origin: Origin) -> Result<Self, LoadError> {
        let files = shipped::with_directories(&origin.rules, &origin.policies)?;
        let (compiled, tests) = compile(&files, origin.platform)?;
        let mut history = VecDeque::new();
        edit::remember(&mut history, 1, files);
        let attempt = Attempt {
            generation: 1,
            error: None,
            warnings: Arc::new(compiled.warnings),
            tests,
        };
        Ok(Self {
            origin,
            set: ArcSwap::from_pointee(compiled.set.numbered(1)),
            last: ArcSwap::from_pointee(attempt),
            generations: AtomicU64::new(1),
            loading: Mutex::new(()),
            history: Mutex::new(history),
        })
    }

    /// The set in force. A request keeps the one that it began with.
    #[must_use]
    pub fn set(&self) -> Arc<Set> {
        self.set.load_full()
    }

    /// What came of the last attempt to load.
    #[must_use]
    pub fn last_attempt(&self) -> Arc<Attempt> {
        self.last.load_full()
    }

    /// Loads the files again. The set in force stays where they are broken; the result says which one is in force.
    /// Files that are as they were make no new generation. Blocks on files and a few milliseconds of work.
    pub fn reload(&self) -> Arc<Attempt> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        self.load_again()
    }

    /// As [`Self::reload`], for who holds `loading`.
    fn load_again(&self) -> Arc<Attempt> {
        let read = shipped::with_directories(&self.origin.rules, &self.origin.policies);
        let loaded = read.map_err(LoadError::from).and_then(|files| {
            if self.is_in_force(&files) {
                return Ok(None);
            }
            let (compiled, tests) = compile(&files, self.origin.platform)?;
            Ok(Some((files, compiled, tests)))
        });
        let attempt = match loaded {
            Ok(None) => Attempt {
                error: None,
                ..(*self.last_attempt()).clone()
            },
            Ok(Some((files, compiled, tests))) => {
                let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
                self.set.store(Arc::new(compiled.set.numbered(generation)));
                let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
                edit::remember(&mut history, generation, files);
                drop(history);
                tracing::info!(generation, tests, "policy loaded");
                Attempt {
                    generation,
                    error: None,
                    warnings: Arc::new(compiled.warnings),
                    tests,
                }
            }
            Err(error) => {
                let kept = self.last_attempt();
                // A report says everything itself; of what cannot be read the source has the reason.
                let because = error.source().map(|cause| format!(": {cause}"));
                tracing::error!(
                    "policy not loaded, generation {} is kept:\n{error}{}",
                    kept.generation,
                    because.unwrap_or_default()
                );
                Attempt {
                    error: Some(Arc::new(error)),
                    ..(*kept).clone()
                }
            }
        };
        let attempt = Arc::new(attempt);
        self.last.store(attempt.clone());
        attempt
    }

    fn is_in_force(&self, files: &[Source]) -> bool {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.back().is_some_and(|last| *last.files == *files)
    }

    /// Loads again on SIGHUP and, with `watch`, whenever a file changes, until the future is dropped. `loaded` hears
    /// of every attempt. What happens after this call is not missed, whenever the future is polled first.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn follow(
        self: Arc<Self>,
        watch: bool,
        loaded: impl Fn(&Attempt) + Send,
    ) -> impl Future<Output = ()> + Send {
        // One is enough: a change that waits to be read covers those that come until then.
        let (changed, mut changes) = mpsc::channel(1);
        let mut hangup = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::warn!("SIGHUP will not reload the policy: {error}"))
            .ok();
        let mut watch = watch.then(|| self.watch(changed.clone()));
        async move {
            loop {
                let asked = async {
                    match &mut hangup {
                        Some(hangup) => hangup.recv().await,
                        None => std::future::pending().await,
                    }
                };
                let absent = watch.as_ref().map_or(&[][..], |watch| &watch.absent);
                tokio::select! {
                    _ = asked => {}
                    _ = changes.recv() => settle(&mut changes).await,
                    () = appeared(absent) => settle(&mut changes).await,
                }
                // Anew, because a directory may have come or been replaced; and before the files are read, so that no
                // change falls between the two.
                if let Some(watch) = &mut watch {
                    *watch = self.watch(changed.clone());
                }
                let live = Arc::clone(&self);
                match tokio::task::spawn_blocking(move || live.reload()).await {
                    Ok(attempt) => loaded(&attempt),
                    Err(error) => tracing::error!("reloading the policy failed: {error}"),
                }
            }
        }
    }

    /// Watches the directories rather than files, because editors and ConfigMaps replace a file instead of writing to
    /// it.
    fn watch(&self, changed: mpsc::Sender<()>) -> Watch {
        let unwatched = |error: &notify::Error| {
            tracing::warn!("changed policy files will not be seen: {error}");
        };
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(on_event);
        let mut watcher = watcher.inspect_err(unwatched).ok();
        let directories = [&self.origin.rules, &self.origin.policies];
        let (present, absent): (Vec<_>, Vec<_>) =
            directories.into_iter().partition(|path| path.is_dir());
        for directory in present {
            let watched = watcher
                .as_mut()
                .map(|watcher| watcher.watch(directory, RecursiveMode::NonRecursive));
            if let Some(Err(error)) = watched {
                unwatched(&error);
            }
        }
        Watch {
            _watcher: watcher,
            absent: absent.into_iter().cloned().collect(),
        }
    }
}

/// What tells of changed files until it is dropped.
struct Watch {
    _watcher: Option<RecommendedWatcher>,
    /// Directories that are not there. They are looked for: to watch the directory above would wake us for whatever
    /// else changes in it, and the prompt log's database often lies there.
    absent: Vec<PathBuf>,
}

/// Waits until one of the directories is there; for ever where there are none.
async fn appeared(absent: &[PathBuf]) {
    if absent.is_empty() {
        return std::future::pending().await;
    }
    while !absent.iter().any(|directory| directory.is_dir()) {
        time::sleep(LOOK).await;
    }
}

/// Waits until nothing has changed for a while.
async fn settle(changes: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + PATIENCE;
    loop {
        let still = latest.min(Instant::now() + DEBOUNCE);
        match time::timeout_at(still, changes.recv()).await {
            Ok(Some(())) if Instant::now() < latest => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests;
