//! The runtime library.

use std::path::{Path, PathBuf};

use super::Finding;
use rkllm::version;

use crate::{
    config::Library,
    engine::{
        Catalog, GET, GET_OPENMP, OTHER_VERSION, ShippedModels, StartError, catalog_of,
        usual_places,
    },
    telemetry::board::Board,
};

/// What will run the models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The simulator; `wanted` if the configuration says so.
    Simulator { wanted: bool },
    /// Nothing: only upstreams answer.
    None,
    /// A library at this path of the board.
    Library(PathBuf),
}

impl Runtime {
    pub(crate) fn is_real(&self) -> bool {
        self.library().is_some()
    }

    /// The library's path.
    pub(crate) fn library(&self) -> Option<&Path> {
        match self {
            Self::Library(path) => Some(path),
            Self::Simulator { .. } | Self::None => None,
        }
    }

    /// The models below `dir` that it can run; the simulator's own ones last as long as what is returned of them.
    ///
    /// # Errors
    /// When the simulator's own models cannot be written.
    pub(crate) fn catalog(
        &self,
        dir: &Path,
    ) -> Result<(Catalog, Option<ShippedModels>), StartError> {
        match self {
            Self::None => Ok((Catalog::default(), None)),
            Self::Simulator { .. } => catalog_of(dir, true),
            Self::Library(_) => catalog_of(dir, false),
        }
    }
}

/// Where distributions put libgomp.so.1, which librkllmrt.so is linked with.
const OPENMP_DIRS: [&str; 6] = [
    "/usr/lib/aarch64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib",
    "/usr/local/lib",
];

pub(crate) fn find(board: &Board, library: &Library) -> Runtime {
    match library {
        Library::Sim => Runtime::Simulator { wanted: true },
        Library::None => Runtime::None,
        Library::Path(path) => Runtime::Library(path.clone()),
        Library::Auto => {
            let found = usual_places()
                .into_iter()
                .find(|path| board.path(path).is_file());
            found.map_or(Runtime::Simulator { wanted: false }, Runtime::Library)
        }
    }
}

pub(super) fn finding(board: &Board, runtime: &Runtime, beside_upstreams: bool) -> Finding {
    let path = match runtime {
        Runtime::Library(path) => path,
        Runtime::Simulator { wanted: false } if board.chip().is_some() => {
            return Finding::warn(
                "runtime",
                "no librkllmrt.so: the simulator answers, not the NPU",
                GET,
            );
        }
        Runtime::Simulator { wanted: false } if beside_upstreams => {
            return Finding::warn(
                "runtime",
                "the simulator's models are listed beside those of the upstreams, and what they answer is made up",
                "if only the upstreams are to answer: engine.library = \"none\"",
            );
        }
        Runtime::Simulator { .. } => return Finding::ok("runtime", "the simulator"),
        Runtime::None => return Finding::ok("runtime", "none: upstreams answer"),
    };
    match version::read(&board.path(path)) {
        Ok(version) if version.abi().is_some() => {
            Finding::ok("runtime", format!("{} {version}", path.display()))
        }
        Ok(version) => Finding::fail(
            "runtime",
            format!(
                "{} is version {version}, whose interface is not known",
                path.display()
            ),
            OTHER_VERSION,
        ),
        Err(error) => Finding::fail("runtime", error.to_string(), GET),
    }
}

pub(super) fn openmp(board: &Board) -> Finding {
    let found = OPENMP_DIRS
        .iter()
        .any(|dir| board.path(dir).join("libgomp.so.1").exists());
    if found {
        Finding::ok("libgomp", "libgomp.so.1 is there")
    } else {
        Finding::fail(
            "libgomp",
            "libgomp.so.1 is missing: librkllmrt.so cannot be loaded",
            GET_OPENMP,
        )
    }
}
