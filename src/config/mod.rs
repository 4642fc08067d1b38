//! The configuration: read from a file, the environment and the command line (`file`), checked, and given to the
//! rest of rkgate in the form of this file.

mod check;
mod file;
mod keys;
mod log;
mod preload;
mod read;
mod share;
mod units;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use schemars::transform::ReplaceConstValue;
use url::Url;

pub use file::{Abi, Content, LogFormat, ThinkSwitch};
pub use keys::Keys;
pub use log::{LogServer, LogStore};
pub use units::{Address, Budget, ByteSize, Malformed, Period};

use crate::problem::{Problem, Report, Sources};
use read::Override;

#[cfg(test)]
mod tests;

/// The file that is used without `--config`, where it exists in the current directory.
pub const DEFAULT_FILE: &str = "rkgate.toml";

/// A configuration that rkgate can run with. Paths are ready to open, times and sizes are numbers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where rkgate listens.
    pub listen: Listen,
    /// The embedded engine.
    pub engine: Engine,
    /// Servers whose models join the catalogue.
    pub upstreams: Vec<Upstream>,
    /// Rules and policies.
    pub policy: Policy,
    /// The prompt log.
    pub log: PromptLog,
    /// The keys that open the API; empty: no key is asked for.
    pub keys: Keys,
    /// Limits and timeouts of the API.
    pub limits: Limits,
    /// rkgate's own log.
    pub telemetry: Telemetry,
}

/// Where rkgate listens.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The API.
    pub api: Address,
    /// Metrics, health and state.
    pub admin: Address,
    /// Origins whose pages may call the API from a browser.
    pub cors: Vec<String>,
}

/// The embedded engine.
#[derive(Debug, Clone)]
pub struct Engine {
    /// `auto`, `sim` or a path.
    pub library: Library,
    /// The ABI to take the library for.
    pub abi: Option<Abi>,
    /// Directory of the models.
    pub models_dir: PathBuf,
    /// Memory that the resident models may use together.
    pub memory_budget: Budget,
    /// Requests that may wait for the NPU.
    pub queue_limit: usize,
    /// A model is unloaded after this time without a request; zero keeps it.
    pub idle_unload: Duration,
    /// Models to load at start.
    pub preload: Vec<String>,
    /// Where long beginnings of prompts are kept in files, if they are.
    pub prompt_cache: Option<PromptCache>,
    /// Longest time between two tokens.
    pub stall_timeout: Duration,
}

/// Files of long beginnings of prompts.
#[derive(Debug, Clone)]
pub struct PromptCache {
    /// Directory of the files.
    pub dir: PathBuf,
    /// Bytes of all files together.
    pub max_size: u64,
}

/// The runtime library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Library {
    /// librkllmrt.so if it is found, else the simulator.
    Auto,
    /// The simulator.
    Sim,
    /// None: only upstreams answer.
    None,
    /// This library.
    Path(PathBuf),
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Sim => f.write_str("sim"),
            Self::None => f.write_str("none"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// An OpenAI-compatible server.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name in logs, metrics and errors.
    pub name: String,
    /// Its base URLs; at least one.
    pub urls: Vec<Url>,
    /// Its API key.
    pub api_key: Option<ApiKey>,
    /// The models to offer; empty asks the server.
    pub models: Vec<Alias>,
    /// How it is told whether a model is to think.
    pub thinking: ThinkSwitch,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time from the request's end to the answer's first byte.
    pub first_byte_timeout: Duration,
    /// Longest silence within an answer.
    pub idle_timeout: Duration,
}

/// A secret; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(pub String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// A model of an upstream under a name of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name that clients see.
    pub name: String,
    /// The name that the upstream knows.
    pub model: String,
}

/// Rules and policies.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Directory of the rule files.
    pub rules: PathBuf,
    /// Directory of the policy files.
    pub policies: PathBuf,
    /// Whether a changed file takes effect at once.
    pub watch: bool,
}

/// The prompt log.
#[derive(Debug, Clone)]
pub struct PromptLog {
    /// The log's database.
    pub place: LogStore,
    /// What this instance is called in records that several write.
    pub instance: Option<String>,
    /// What is kept of prompts and answers.
    pub content: Content,
    /// How long a record is kept.
    pub retention: Duration,
    /// How large the database may grow, in bytes.
    pub max_size: u64,
    /// Time between two writes.
    pub flush: Duration,
    /// Whether a request may ask for its content not to be kept.
    pub allow_opt_out: bool,
}

/// Limits and timeouts of the API.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest request body in bytes.
    pub body: u64,
    /// Largest request header in bytes.
    pub header: u64,
    /// Connections at once.
    pub connections: usize,
    /// Requests at once.
    pub concurrent_requests: usize,
    /// Longest time for a request's header.
    pub header_timeout: Duration,
    /// Longest silence within a request's body.
    pub body_timeout: Duration,
    /// Longest time for a client to take a piece of an answer.
    pub write_timeout: Duration,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
    /// Silence after which a stream that has not begun gets its first sign of life.
    pub first_heartbeat: Duration,
    /// Silence after which a stream gets its next sign of life.
    pub heartbeat: Duration,
    /// How long running answers may go on after SIGTERM.
    pub drain: Duration,
}

/// rkgate's own log.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// A filter as `tracing_subscriber::EnvFilter` reads it.
    pub log_level: String,
    /// How lines are written.
    pub log_format: LogFormat,
    /// The file that the log goes to instead of stderr.
    pub log_file: Option<PathBuf>,
    /// Where traces of requests go, if anywhere.
    pub traces: Option<Traces>,
}

/// Where traces of requests go.
#[derive(Debug, Clone)]
pub struct Traces {
    /// The collector's base URL.
    pub endpoint: Url,
    /// Headers for it; they may hold a secret.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The share of requests that are traced, 0 to 1.
    pub sample_ratio: f64,
}

/// Where a configuration comes from, least binding first.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    file: Option<PathBuf>,
    env: BTreeMap<String, String>,
    flags: Vec<Override>,
}

impl Inputs {
    /// The file named, or [`DEFAULT_FILE`] in the current directory where it exists; and the environment.
    pub fn new(file: Option<PathBuf>, env: impl IntoIterator<Item = (String, String)>) -> Self {
        let file = file.or_else(|| {
            Path::new(DEFAULT_FILE)
                .exists()
                .then(|| DEFAULT_FILE.into())
        });
        Self {
            file,
            env: env.into_iter().collect(),
            flags: Vec::new(),
        }
    }

    /// Sets `section.key` from a flag such as `--api`.
    pub fn flag(&mut self, flag: &str, section: &str, key: &str, value: &str) {
        self.flags
            .push(Override::from_flag(flag, section, key, value));
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// The report of all problems when one of them is an error.
    pub fn load(&self) -> Result<Loaded, Report> {
        let path = self.file.as_deref();
        match path.map(|path| (path, fs::read_to_string(path))) {
            None => self.evaluate(Path::new(DEFAULT_FILE), ""),
            Some((path, Ok(text))) => self.evaluate(path, &text),
            Some((path, Err(error))) => {
                let problems = vec![unreadable(path, &error)];
                Err(Report {
                    problems,
                    sources: Sources::default(),
                })
            }
        }
    }

    fn evaluate(&self, path: &Path, text: &str) -> Result<Loaded, Report> {
        let (mut sources, mut problems) = (Sources::default(), Vec::new());
        let base = sources.add(path.display().to_string(), text);
        let mut overrides: Vec<Override> = self
            .env
            .iter()
            .filter_map(|(name, value)| Override::from_env(name, value))
            .collect();
        overrides.extend(self.flags.iter().cloned());
        let file: Option<file::File> =
            read::read(text, base, &overrides, &mut sources, &mut problems);
        let dir = path.parent().unwrap_or(Path::new(""));
        let config =
            file.map(|file| check::check(&file, dir, &self.env, &mut sources, &mut problems));
        problems.sort_by_key(Problem::place);
        let report = Report { problems, sources };
        match config {
            Some(config) if !report.problems.iter().any(Problem::is_error) => Ok(Loaded {
                config,
                file: self.file.clone(),
                warnings: report,
            }),
            _ => Err(report),
        }
    }
}

/// A file that cannot be read.
fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::error("C008", format!("cannot read {}: {error}", path.display()))
}

/// A configuration without errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that it was read from, if there was one.
    pub file: Option<PathBuf>,
    /// What is odd about it; often empty.
    pub warnings: Report,
}

/// The JSON Schema of the file, draft 7, without what draft 4 does not know: the usual TOML editor engine is that old.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::generate::SchemaSettings::draft07()
        .with_transform(ReplaceConstValue::default())
        .into_generator()
        .into_root_schema_for::<file::File>()
}
