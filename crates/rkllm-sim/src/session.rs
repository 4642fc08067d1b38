//! A loaded model: what lives behind a handle.

use std::{
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering},
    },
};

use rkllm::abi::Abi;

use crate::{
    Composer,
    console::Console,
    domains::Share,
    faults::Faults,
    kv::Kv,
    model_file::ModelFile,
    npu::{self, Npu},
    prompt_cache,
    run::Answer,
    settings::Settings,
    template::{Template, Tools},
    timing,
    vocabulary::Vocabulary,
};

/// A loaded model. Every method may be called from any thread.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) abi: Abi,
    pub(crate) settings: Settings,
    pub(crate) model: ModelFile,
    pub(crate) vocabulary: Vocabulary,
    /// Tokens that end an answer, as the runtime believes.
    pub(crate) eos: Vec<i32>,
    /// The token with which the model ends an answer.
    pub(crate) last_word: i32,
    pub(crate) console: Console,
    pub(crate) faults: Faults,
    pub(crate) npu: Npu,
    pub(crate) composer: Composer,
    /// Time that loading took on the board.
    pub(crate) load_ms: f64,
    /// Given back when the session ends.
    pub(crate) _memory: Option<Share>,
    /// Held for the length of a run: one run at a time.
    pub(crate) state: Mutex<State>,
    pub(crate) abort: AtomicBool,
    pub(crate) running: AtomicBool,
    /// Tokens in the cache of each row, readable during a run.
    pub(crate) cached: Vec<AtomicI32>,
    /// A [`Clear`] asked for during a run, done at its end.
    pub(crate) clear: AtomicU8,
}

/// What runs leave behind.
#[derive(Debug)]
pub(crate) struct State {
    /// One cache per row of a batch.
    pub(crate) kv: Vec<Kv>,
    /// An answer that the callback paused. The next run goes on with it, whatever that run's input is.
    pub(crate) paused: Option<Answer>,
    pub(crate) template: Template,
    pub(crate) loras: Vec<String>,
    pub(crate) prompt_cache_loaded: bool,
    /// Runs with history fail after an aborted one.
    pub(crate) poisoned: bool,
    pub(crate) had_a_run: bool,
    /// Board time of all work so far.
    pub(crate) worked_ms: f64,
}

/// What to keep when the cache is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Clear {
    All = 1,
    KeepSystem = 2,
}

/// The call fails with -1; the reason is on the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl Session {
    /// Waits for the run that is going on, if any.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if self.faults.deadlock => npu::hang(),
            Err(TryLockError::WouldBlock) => {
                self.state.lock().unwrap_or_else(PoisonError::into_inner)
            }
        }
    }

    /// Asks the current run to stop. Without one the request is lost, or kills the next run if aborts are sticky.
    pub(crate) fn abort(&self) {
        if self.running.load(Ordering::SeqCst) || self.faults.sticky_abort {
            self.abort.store(true, Ordering::SeqCst);
        }
    }

    /// Clears the cache, or ranges `(start, end)` of each row's cache in a paused answer without history.
    pub(crate) fn clear_kv_cache(&self, clear: Clear, ranges: Option<&[(usize, usize)]>) {
        let Ok(mut state) = self.state.try_lock() else {
            self.clear.store(clear as u8, Ordering::SeqCst);
            return;
        };
        match ranges {
            Some(ranges) if state.paused.is_some() => {
                state
                    .kv
                    .iter_mut()
                    .zip(ranges)
                    .for_each(|(kv, (start, end))| kv.remove(*start, *end));
            }
            Some(_) => {}
            None => state.clear(clear),
        }
        self.publish_cache_sizes(&state);
    }

    /// Does what was asked during the run that ends now.
    pub(crate) fn settle(&self, state: &mut State) {
        match self.clear.swap(0, Ordering::SeqCst) {
            1 => state.clear(Clear::All),
            2 => state.clear(Clear::KeepSystem),
            _ => {}
        }
        self.publish_cache_sizes(state);
    }

    pub(crate) fn publish_cache_sizes(&self, state: &State) {
        for (published, kv) in self.cached.iter().zip(&state.kv) {
            published.store(
                i32::try_from(kv.tokens.len()).unwrap_or(i32::MAX),
                Ordering::SeqCst,
            );
        }
    }

    pub(crate) fn load_lora(&self, path: &Path, name: &str) -> Result<(), Failed> {
        let mut state = self.lock();
        if state.loras.iter().any(|loaded| loaded == name) {
            self.console.error(format_args!(
                "Lora adapter '{name}' is already initialized!"
            ));
            return Err(Failed);
        }
        if !path.exists() {
            self.console.error("Lora adapter path does not exist!");
            return Err(Failed);
        }
        state.loras.push(name.to_owned());
        Ok(())
    }

    pub(crate) fn load_prompt_cache(&self, path: &Path) -> Result<(), Failed> {
        let mut state = self.lock();
        if state.prompt_cache_loaded {
            self.console
                .error("a prompt cache is already loaded, please release it first");
            return Err(Failed);
        }
        self.console
            .info(format_args!("load prompt cache from '{}'", path.display()));
        let (kv, size) = prompt_cache::load(path, self.model.owner()).map_err(|error| {
            self.console.error(error);
            Failed
        })?;
        self.npu.pass(timing::file_ms(size, self.faults.cold_load));
        self.console.info(format_args!(
            "loaded a prompt cache with prompt size of {} tokens",
            kv.tokens.len()
        ));
        state.prompt_cache_loaded = true;
        if let Some(first) = state.kv.first_mut() {
            *first = kv;
        }
        self.publish_cache_sizes(&state);
        Ok(())
    }

    pub(crate) fn release_prompt_cache(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.prompt_cache_loaded) {
            state.clear(Clear::All);
            self.publish_cache_sizes(&state);
        }
    }

    pub(crate) fn set_chat_template(&self, system: String, prefix: String, postfix: String) {
        self.console.warn(
            "Calling rkllm_set_chat_template will disable the internal automatic chat template parsing, including \
             enable_thinking. Make sure your custom prompt is complete and valid.",
        );
        self.lock().template = Template::Custom {
            system,
            prefix,
            postfix,
        };
    }

    pub(crate) fn set_function_tools(&self, tools: Tools) {
        self.lock().template = Template::Tools(tools);
    }
}

impl State {
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            kv: vec![Kv::default(); rows],
            paused: None,
            template: Template::default(),
            loras: Vec::new(),
            prompt_cache_loaded: false,
            poisoned: false,
            had_a_run: false,
            worked_ms: 0.0,
        }
    }

    fn clear(&mut self, clear: Clear) {
        for kv in &mut self.kv {
            let keep = if clear == Clear::KeepSystem {
                kv.system
            } else {
                0
            };
            kv.truncate(keep);
        }
    }
}
