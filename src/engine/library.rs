//! Which runtime library the workers load, and what there is to load models into.

use std::{
    env,
    path::{Path, PathBuf},
};

use rkllm::{Abi, version};

use super::settings::{AbiOverride, Library, MemoryBudget};

const FILE: &str = "librkllmrt.so";
/// Memory of the simulated board: 16 GiB.
const SIMULATED_BOARD: u64 = 16 << 30;
/// Where the system's memory cannot be read: the smallest board that is sold.
const SMALLEST_BOARD: u64 = 4 << 30;

/// The library's path; `None` is the simulator, or nothing.
pub(super) fn find(library: &Library) -> Option<PathBuf> {
    match library {
        Library::Sim | Library::None => None,
        Library::Path(path) => Some(path.clone()),
        Library::Auto => usual_places().into_iter().find(|path| path.is_file()),
    }
}

/// What to do where there is no runtime library.
pub(crate) const GET: &str =
    "get librkllmrt.so from https://github.com/airockchip/rknn-llm and copy it to /usr/lib";
/// What to do about a version whose interface is not known.
pub(crate) const OTHER_VERSION: &str =
    "use 1.2.0 to 1.2.3 or 1.3.0, or name the interface that it shares: engine.abi = \"1.3.0\"";
/// What to do where the library that librkllmrt.so is linked with is not there.
pub(crate) const GET_OPENMP: &str = "sudo apt-get install libgomp1";

/// The interface of the simulator unless another is asked for.
pub(super) const SIMULATED_ABI: Abi = Abi::V1_2_1;

/// Whether the runtime in `library`, or the simulator, takes sampling values with each run; otherwise those hold that
/// a model was loaded with. A library that tells no known version loads no model; it is taken for a recent one.
pub(crate) fn samples_per_run(library: Option<&Path>, abi: Option<AbiOverride>) -> bool {
    let told = || match library {
        Some(path) => version::read(path).ok().and_then(|version| version.abi()),
        None => Some(SIMULATED_ABI),
    };
    let abi = abi.map(Abi::from).or_else(told);
    abi.is_none_or(|abi| abi.capabilities().per_run_sampling)
}

/// Why no model can be loaded with a library, with its cure, as far as its file tells.
pub(super) fn problem(library: &Path, abi: Option<AbiOverride>) -> Option<String> {
    if abi.is_some() {
        return None;
    }
    match version::read(library) {
        Ok(version) if version.abi().is_some() => None,
        Ok(version) => Some(format!(
            "{} is version {version}, whose interface is not known; {OTHER_VERSION}",
            library.display()
        )),
        Err(error) => Some(format!("{error}; {GET}")),
    }
}

/// Where the library is looked for, in this order.
pub(crate) fn usual_places() -> Vec<PathBuf> {
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(Path::to_path_buf));
    let listed = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let system = [
        "/usr/local/lib",
        "/usr/lib",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/local/lib/aarch64-linux-gnu",
    ];
    // An empty entry of LD_LIBRARY_PATH means the working directory, from which nobody wants code loaded.
    let listed: Vec<PathBuf> = env::split_paths(&listed)
        .filter(|dir| dir.is_absolute())
        .collect();
    beside
        .into_iter()
        .chain(listed)
        .chain(system.map(PathBuf::from))
        .map(|dir| dir.join(FILE))
        .collect()
}

/// The memory budget in bytes.
pub(crate) fn memory_budget(budget: MemoryBudget, simulated: bool) -> u64 {
    match budget {
        MemoryBudget::Bytes(bytes) => bytes,
        MemoryBudget::Auto if simulated => SIMULATED_BOARD / 10 * 7,
        MemoryBudget::Auto => available_memory().unwrap_or(SMALLEST_BOARD) / 10 * 7,
    }
}

fn available_memory() -> Option<u64> {
    mem_available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// The runtime's processors: the big cores 4 to 7 of the usual eight; otherwise the runtime's own choice.
pub(super) fn cpu_mask() -> Option<u32> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    (cpus >= 8).then_some(0xF0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_budget_follows_the_available_memory() {
        assert_eq!(
            mem_available("MemTotal: 16 kB\nMemAvailable:   10 kB\n"),
            Some(10240)
        );
        assert_eq!(mem_available("MemTotal: 16 kB\n"), None);
        assert_eq!(memory_budget(MemoryBudget::Bytes(7), true), 7);
        assert!(memory_budget(MemoryBudget::Auto, false) > 0);
    }

    #[test]
    fn only_the_newest_interface_samples_per_run() {
        assert!(!samples_per_run(None, None));
        assert!(!samples_per_run(None, Some(AbiOverride::V1_2_0)));
        assert!(samples_per_run(None, Some(AbiOverride::V1_3_0)));
    }

    #[test]
    fn a_library_that_loads_no_model_is_known_by_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("librkllmrt.so");
        let said = |text: &str, abi| {
            std::fs::write(&library, text).unwrap();
            problem(&library, abi).unwrap_or_default()
        };
        let version = |number: &str| format!("\0RKLLM SDK (version: {number} | target: Linux)\0");
        assert_eq!(said(&version("1.2.3"), None), "");
        assert!(said(&version("1.9.9"), None).contains(OTHER_VERSION));
        assert_eq!(said(&version("1.9.9"), Some(AbiOverride::V1_3_0)), "");
        assert!(said("no library", None).contains(GET));
    }

    #[test]
    fn a_named_library_is_taken_as_it_is() {
        assert_eq!(
            find(&Library::Path("/x/y.so".into())),
            Some(PathBuf::from("/x/y.so"))
        );
        assert_eq!(find(&Library::Sim), None);
    }
}
