//! A loaded model.

use std::{
    ffi::{CString, NulError, c_int},
    os::unix::ffi::OsStrExt,
    path::Path,
    ptr,
};

use crate::{
    abi::{Abi, LLMHandle, RKLLMLoraAdapter, SymbolTable},
    abort::Stop,
    call::Prepared,
    callback::{Heard, Listener, OnPiece},
    capabilities::{Capabilities, Unsupported},
    init::Kept,
    input::Input,
    options::Sampling,
    run::{Mode, RunError, RunOptions, RunReport},
};

/// A function that every generation has with the same signature.
macro_rules! common {
    ($symbols:expr, $name:ident) => {
        match &$symbols {
            SymbolTable::V1_2_0(symbols) => symbols.$name,
            SymbolTable::V1_2_1(symbols) => symbols.$name,
            SymbolTable::V1_3_0(symbols) => symbols.$name,
        }
    };
}

/// A loaded model. Dropping it unloads it.
///
/// It may move to another thread but is used by one at a time: every call needs it for itself, so that no run meets
/// another run, and none is destroyed under way.
#[derive(Debug)]
pub struct Model {
    symbols: SymbolTable,
    handle: LLMHandle,
    health: Health,
    sampling: Sampling,
    prompt_cache_loaded: bool,
    // Never read again here; the library may until the model is destroyed.
    kept: Kept,
    loras: Vec<(CString, CString)>,
    chat_template: [CString; 3],
    function_tools: [CString; 3],
}

// SAFETY: the library knows handles, not threads; the official server demo loads on one thread and runs on others.
unsafe impl Send for Model {}

/// Whether a failure may be the aftermath of an abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    /// The last run was aborted; the KV cache may be inconsistent.
    AfterAbort,
    /// The run after an aborted one was refused.
    Lost,
}

/// A failed call other than a run.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The library refused; its reason is in what it printed.
    #[error("{function} returned {code}")]
    Failed {
        /// The function.
        function: &'static str,
        /// What it returned.
        code: c_int,
    },
    /// Something that this runtime does not have.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A text with a NUL byte, which C cannot hold.
    #[error("a text or path for the runtime must not contain a NUL byte")]
    Nul(#[from] NulError),
}

impl Model {
    pub(crate) fn new(
        symbols: SymbolTable,
        handle: LLMHandle,
        kept: Kept,
        sampling: Sampling,
    ) -> Self {
        Self {
            symbols,
            handle,
            health: Health::Sound,
            sampling,
            prompt_cache_loaded: false,
            kept,
            loras: Vec::new(),
            chat_template: Default::default(),
            function_tools: Default::default(),
        }
    }

    /// The interface that the runtime is called by.
    #[must_use]
    pub fn abi(&self) -> Abi {
        self.symbols.abi()
    }

    /// What the runtime can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.abi().capabilities()
    }

    /// The sampling of runs that do not say: as loaded, or the runtime's own.
    #[must_use]
    pub fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// Runs the model and blocks until the run has ended. `on_piece` is called for each token, possibly on another
    /// thread.
    ///
    /// A run that was aborted is no error; [`RunReport::aborted`] tells, and [`Self::recover_after_abort`] is to be
    /// called before the next run that shall not depend on the cache.
    ///
    /// # Errors
    /// [`RunError`]. Refused inputs and options never reach the library. A panic of `on_piece` aborts the run and
    /// becomes an error.
    pub fn run(
        &mut self,
        input: Input<'_>,
        options: &RunOptions<'_>,
        on_piece: &mut (dyn FnMut(crate::Piece<'_>) + Send),
    ) -> Result<RunReport, RunError> {
        if self.health == Health::Lost {
            return Err(RunError::ReloadNeeded);
        }
        self.check(&input, options)?;
        let mut prepared = Prepared::new(input, options)?;
        let stop = Stop {
            abort: common!(self.symbols, rkllm_abort),
            handle: self.handle,
        };
        let Some(running) = options.abort.enter(stop) else {
            return Ok(RunReport {
                aborted: true,
                ..RunReport::default()
            });
        };
        let mut forward = |piece: crate::Piece<'_>| on_piece(piece);
        let receiver: &mut OnPiece<'_> = &mut forward;
        let listener = Listener::new(options.mode, stop, &options.abort, receiver);
        let userdata = ptr::from_ref(&listener).cast_mut().cast();
        // SAFETY: the handle is this model's and borrowed for this run alone; the callbacks given at init expect a
        // listener, and this one outlives the call.
        let code = unsafe { prepared.run(&self.symbols, self.handle, &self.kept, userdata) };
        let aborted = options.abort.is_aborted();
        drop(running);
        self.conclude(code, listener.into_heard(), aborted)
    }

    fn check(&self, input: &Input<'_>, options: &RunOptions<'_>) -> Result<(), RunError> {
        let abi = self.abi();
        let capabilities = abi.capabilities();
        input.check(abi)?;
        if let Some(sampling) = &options.sampling {
            abi.require(
                capabilities.per_run_sampling,
                "change sampling from run to run",
            )?;
            sampling.check()?;
        }
        let limited = options.max_new_tokens.is_some();
        abi.require(
            capabilities.per_run_sampling || !limited,
            "limit the tokens of one run",
        )?;
        let logits_with_history = options.mode == Mode::Logits && options.keep_history;
        abi.require(
            capabilities.logits_with_history || !logits_with_history,
            "compute logits for a continued conversation",
        )?;
        match options.lora {
            Some(name)
                if !self
                    .loras
                    .iter()
                    .any(|(_, loaded)| loaded.as_bytes() == name.as_bytes()) =>
            {
                Err(RunError::UnknownLora {
                    name: name.to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    fn conclude(
        &mut self,
        code: c_int,
        heard: Heard,
        aborted: bool,
    ) -> Result<RunReport, RunError> {
        let Heard {
            tokens,
            perf,
            finished,
            error,
            panic,
        } = heard;
        if let Some(message) = panic {
            self.health = Health::AfterAbort;
            return Err(RunError::Panicked { message });
        }
        // An aborted run may report anything: what counts is that it has ended.
        if aborted {
            self.health = Health::AfterAbort;
            return Ok(RunReport {
                tokens,
                perf,
                finished,
                aborted,
                began: true,
            });
        }
        if code != 0 && self.health == Health::AfterAbort {
            self.health = Health::Lost;
            return Err(RunError::ReloadNeeded);
        }
        if code != 0 || error {
            return Err(RunError::Failed { code, tokens });
        }
        self.health = Health::Sound;
        Ok(RunReport {
            tokens,
            perf,
            finished,
            aborted,
            began: true,
        })
    }

    /// Empties the KV cache if the last run was aborted, which may have left it inconsistent; otherwise does nothing.
    /// It is a call of its own because it costs the next run its shared prefix.
    ///
    /// # Errors
    /// [`CallError::Failed`]. Whether or not it succeeds, a next run that is refused ends in
    /// [`RunError::ReloadNeeded`].
    pub fn recover_after_abort(&mut self) -> Result<(), CallError> {
        if self.health == Health::AfterAbort {
            self.clear_kv_cache(false)
        } else {
            Ok(())
        }
    }

    /// Empties the KV cache, but for the system prompt if `keep_system_prompt`.
    ///
    /// # Errors
    /// [`CallError::Failed`].
    pub fn clear_kv_cache(&mut self, keep_system_prompt: bool) -> Result<(), CallError> {
        let keep = c_int::from(keep_system_prompt);
        let null = ptr::null_mut();
        let code = match &self.symbols {
            // SAFETY: the handle is alive and without a run.
            SymbolTable::V1_2_0(symbols) => unsafe {
                (symbols.rkllm_clear_kv_cache)(self.handle, keep)
            },
            // SAFETY: as above; NULL ranges are everything.
            SymbolTable::V1_2_1(symbols) => unsafe {
                (symbols.rkllm_clear_kv_cache)(self.handle, keep, null, null)
            },
            // SAFETY: as above.
            SymbolTable::V1_3_0(symbols) => unsafe {
                (symbols.rkllm_clear_kv_cache)(self.handle, keep, null, null)
            },
        };
        outcome("rkllm_clear_kv_cache", code)
    }

    /// Tokens in the KV cache.
    ///
    /// # Errors
    /// [`CallError`]: needs [`Capabilities::kv_cache_size`].
    pub fn kv_cache_size(&mut self) -> Result<u32, CallError> {
        // One number per row of a batch is written; there is one row, the rest is room for a surprise.
        let mut sizes = [0; 128];
        let get = match &self.symbols {
            SymbolTable::V1_2_0(_) => return Err(self.unsupported("tell the size of the KV cache")),
            SymbolTable::V1_2_1(symbols) => symbols.rkllm_get_kv_cache_size,
            SymbolTable::V1_3_0(symbols) => symbols.rkllm_get_kv_cache_size,
        };
        // SAFETY: the handle is alive and without a run; there is room for every row.
        let code = unsafe { get(self.handle, sizes.as_mut_ptr()) };
        outcome("rkllm_get_kv_cache_size", code)?;
        Ok(u32::try_from(sizes[0]).unwrap_or_default())
    }

    /// Loads a KV cache that a run has saved. The next run that stands alone finds it.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn load_prompt_cache(&mut self, path: &Path) -> Result<(), CallError> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // The library wants one released before another is loaded.
        if self.prompt_cache_loaded {
            self.release_prompt_cache()?;
        }
        // SAFETY: the handle is alive and without a run; the path outlives the call.
        let code =
            unsafe { common!(self.symbols, rkllm_load_prompt_cache)(self.handle, path.as_ptr()) };
        self.prompt_cache_loaded = code == 0;
        outcome("rkllm_load_prompt_cache", code)
    }

    /// Forgets a loaded KV cache.
    ///
    /// # Errors
    /// [`CallError::Failed`].
    pub fn release_prompt_cache(&mut self) -> Result<(), CallError> {
        // SAFETY: the handle is alive and without a run.
        let code = unsafe { common!(self.symbols, rkllm_release_prompt_cache)(self.handle) };
        outcome("rkllm_release_prompt_cache", code)?;
        self.prompt_cache_loaded = false;
        Ok(())
    }

    /// Loads a LoRA adapter, which runs select by `name`. It stays until the model is unloaded.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn load_lora(&mut self, path: &Path, name: &str, scale: f32) -> Result<(), CallError> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let name = CString::new(name)?;
        let mut adapter = RKLLMLoraAdapter {
            lora_adapter_path: path.as_ptr(),
            lora_adapter_name: name.as_ptr(),
            scale,
        };
        // SAFETY: the handle is alive and without a run; the strings are kept as long as the model.
        let code = unsafe { common!(self.symbols, rkllm_load_lora)(self.handle, &mut adapter) };
        outcome("rkllm_load_lora", code)?;
        self.loras.push((path, name));
        Ok(())
    }

    /// Replaces the model's own chat template for prompts. There is no way back but to load the model again.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn set_chat_template(
        &mut self,
        system: &str,
        prefix: &str,
        postfix: &str,
    ) -> Result<(), CallError> {
        let texts = [
            CString::new(system)?,
            CString::new(prefix)?,
            CString::new(postfix)?,
        ];
        let set = common!(self.symbols, rkllm_set_chat_template);
        // SAFETY: the handle is alive and without a run; the strings are kept as long as they are in force.
        let code = unsafe {
            set(
                self.handle,
                texts[0].as_ptr(),
                texts[1].as_ptr(),
                texts[2].as_ptr(),
            )
        };
        outcome("rkllm_set_chat_template", code)?;
        self.chat_template = texts;
        Ok(())
    }

    /// Names the functions that the model may call, for prompts. `tools` is a JSON array;
    /// `tool_response` is the text that marks a tool's result, such as `tool_response`.
    ///
    /// # Errors
    /// [`CallError`]: needs [`Capabilities::function_tools`].
    pub fn set_function_tools(
        &mut self,
        system: &str,
        tools: &str,
        tool_response: &str,
    ) -> Result<(), CallError> {
        let set = match &self.symbols {
            SymbolTable::V1_2_0(_) => return Err(self.unsupported("name functions to the model")),
            SymbolTable::V1_2_1(symbols) => symbols.rkllm_set_function_tools,
            SymbolTable::V1_3_0(symbols) => symbols.rkllm_set_function_tools,
        };
        let texts = [
            CString::new(system)?,
            CString::new(tools)?,
            CString::new(tool_response)?,
        ];
        // SAFETY: the handle is alive and without a run; the strings are kept as long as they are in force.
        let code = unsafe {
            set(
                self.handle,
                texts[0].as_ptr(),
                texts[1].as_ptr(),
                texts[2].as_ptr(),
            )
        };
        outcome("rkllm_set_function_tools", code)?;
        self.function_tools = texts;
        Ok(())
    }

    fn unsupported(&self, what: &'static str) -> CallError {
        Unsupported {
            what,
            abi: self.abi(),
        }
        .into()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: the handle is alive, as this runs once, and without a run, as every run borrows the model.
        // The fields that the library may read are dropped after this.
        unsafe { common!(self.symbols, rkllm_destroy)(self.handle) };
    }
}

fn outcome(function: &'static str, code: c_int) -> Result<(), CallError> {
    if code == 0 {
        Ok(())
    } else {
        Err(CallError::Failed { function, code })
    }
}
