//! Loading the library.

use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::{
    abi::{Abi, MissingSymbol, SymbolTable, v1_2_0, v1_2_1, v1_3_0},
    capabilities::Capabilities,
    init,
    model::Model,
    options::{LoadError, ModelOptions},
    version::{self, Version, VersionError},
};

/// A loaded librkllmrt.so.
///
/// It is never unloaded: the library starts threads of its own, and taking the code from under them would crash.
#[derive(Debug, Clone)]
pub struct Runtime {
    symbols: SymbolTable,
    version: Option<Version>,
}

/// Why a library cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file does not tell its version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The version is not known; with a wrong interface the library would crash.
    #[error(
        "{} is version {version}, whose interface is not known (known are 1.2.0 to 1.2.3 and 1.3.0)", path.display()
    )]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// What it says of itself.
        version: Version,
    },
    /// The dynamic loader refused it, for another machine's file or a missing library such as libgomp.so.1.
    #[error("cannot load {}: {source}", path.display())]
    Loader {
        /// The file.
        path: PathBuf,
        /// What the dynamic loader said.
        source: libloading::Error,
    },
    /// It lacks a function of its interface.
    #[error("{} does not have the interface of runtime {abi}", path.display())]
    Symbol {
        /// The file.
        path: PathBuf,
        /// The interface looked for.
        abi: Abi,
        /// The function it lacks.
        source: MissingSymbol,
    },
}

impl Runtime {
    /// Loads the library in `path`. `abi` overrides what the version in the file says; it is for versions that are
    /// not known here and have the interface of one that is.
    ///
    /// Loading a library runs its code, so `path` needs the same trust as a program to be started. That trust is
    /// why this function is not `unsafe`: a file that claims a version is held to have that version's interface.
    ///
    /// # Errors
    /// [`OpenError`]: no librkllmrt.so, an unknown version without `abi`, or the loader's refusal.
    pub fn open(path: &Path, abi: Option<Abi>) -> Result<Self, OpenError> {
        // With a bare name the dynamic loader would search elsewhere than the version was read from.
        let path = std::path::absolute(path).map_err(|source| VersionError::Read {
            path: path.to_owned(),
            source,
        })?;
        let (version, abi) = match (version::read(&path), abi) {
            (Ok(version), Some(abi)) => (Some(version), abi),
            (Err(VersionError::Absent { .. }), Some(abi)) => (None, abi),
            (Err(error), _) => return Err(error.into()),
            (Ok(version), None) => match version.abi() {
                Some(abi) => (Some(version), abi),
                None => return Err(OpenError::UnknownVersion { path, version }),
            },
        };
        // SAFETY: running the library's initialisers is what the caller asks for with a trusted path.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
        let library = match library {
            Ok(library) => libloading::Library::from(library),
            Err(source) => return Err(OpenError::Loader { path, source }),
        };
        // SAFETY: the version says that the library is of this generation, or the caller does; it is never unloaded.
        let symbols = unsafe { resolve(&library, abi) };
        // Even a library without the right symbols may have started threads by now.
        std::mem::forget(library);
        let symbols = symbols.map_err(|source| OpenError::Symbol { path, abi, source })?;
        Ok(Self { symbols, version })
    }

    /// A runtime inside this process.
    ///
    /// # Safety
    /// The functions must behave as those of a librkllmrt.so of their generation do, for the life of the process:
    /// - they may be called from any thread, and only `rkllm_abort` is ever called during another call on a handle;
    /// - `rkllm_run` calls the callback only with the userdata of that run, never after it has returned, with a result
    ///   that is NULL or valid during the callback, whose `text` is NULL or NUL-terminated and whose arrays have
    ///   the lengths that it states;
    /// - pointers given to a call are read during that call only, but for strings given to `rkllm_init`,
    ///   `rkllm_load_lora`, `rkllm_set_chat_template` and `rkllm_set_function_tools`, which may be read until
    ///   `rkllm_destroy` has returned, and the callbacks of `rkllm_init`.
    #[must_use]
    pub unsafe fn from_symbols(symbols: SymbolTable) -> Self {
        Self {
            symbols,
            version: None,
        }
    }

    /// The interface that the runtime is called by.
    #[must_use]
    pub fn abi(&self) -> Abi {
        self.symbols.abi()
    }

    /// The version that the file tells; a runtime inside this process has none.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// What the runtime can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.abi().capabilities()
    }

    /// Loads a model. Blocks until it is loaded, which takes seconds.
    ///
    /// # Errors
    /// [`LoadError`]. Why the library refused a model it only prints; [`crate::log`] reads that.
    pub fn load(&self, options: &ModelOptions) -> Result<Model, LoadError> {
        init::load(self.symbols, options)
    }
}

/// # Safety
/// As for the `resolve` of each generation's table.
unsafe fn resolve(library: &libloading::Library, abi: Abi) -> Result<SymbolTable, MissingSymbol> {
    Ok(match abi {
        // SAFETY: the caller vouches for generation and life of the library.
        Abi::V1_2_0 => SymbolTable::V1_2_0(unsafe { v1_2_0::Symbols::resolve(library) }?),
        // SAFETY: as above.
        Abi::V1_2_1 => SymbolTable::V1_2_1(unsafe { v1_2_1::Symbols::resolve(library) }?),
        // SAFETY: as above.
        Abi::V1_3_0 => SymbolTable::V1_3_0(unsafe { v1_3_0::Symbols::resolve(library) }?),
    })
}
