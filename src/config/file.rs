//! The configuration as it is written: every key with its default and its documentation. The doc comments are the
//! descriptions in the JSON Schema.

use std::{borrow::Cow, ops::Range, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    share::Share,
    units::{Address, Budget, ByteSize, Period},
};

/// A value and where it is written; `None` for a default.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Option<Range<usize>>,
}

impl<T> From<T> for At<T> {
    fn from(value: T) -> Self {
        Self { value, span: None }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::deserialize(deserializer)?;
        Ok(Self {
            span: Some(spanned.span()),
            value: spanned.into_inner(),
        })
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The configuration of rkgate. Every key has a default; unknown keys are errors.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "rkgate.toml")]
pub(super) struct File {
    /// Where rkgate listens.
    pub(super) listen: Listen,
    /// The embedded RKLLM engine.
    pub(super) engine: Engine,
    /// OpenAI-compatible servers whose models join the catalogue.
    pub(super) upstream: Vec<Upstream>,
    /// What requests are recognised by, how they are rewritten, and which model gets what.
    pub(super) policy: Policy,
    /// The prompt log: what every request was, what was sent in its place, why, and what came of it.
    pub(super) log: PromptLog,
    /// Who may use rkgate.
    pub(super) auth: Auth,
    /// Limits and timeouts of the API.
    pub(super) limits: Limits,
    /// rkgate's own log.
    pub(super) telemetry: Telemetry,
}

/// Where rkgate listens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listen {
    /// The API, OpenAI at `/v1`: `IP:PORT` (port 0: the system chooses) or `unix:/path`.
    pub(super) api: At<Address>,
    /// Metrics, health and state: `IP:PORT` or `unix:/path`.
    pub(super) admin: At<Address>,
    /// Origins whose pages may call the API from a browser; `*` is any, an empty list none.
    pub(super) cors: Vec<String>,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| At::from(Address::Tcp(([127, 0, 0, 1], port).into()));
        Self {
            api: loopback(3588),
            admin: loopback(3589),
            cors: vec!["*".to_owned()],
        }
    }
}

/// The embedded RKLLM engine.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Engine {
    /// `auto`: librkllmrt.so if it is found, else the simulator. `sim`: the simulator. `none`: no model
    /// of this machine, only upstreams answer. Else the path of a library.
    pub(super) library: At<String>,
    /// Take the library for one of this ABI, whatever its version string says.
    pub(super) abi: Option<Abi>,
    /// Directory of the models: every `*.rkllm` below it.
    pub(super) models_dir: At<PathBuf>,
    /// Memory that the resident models may use together: `auto` or a size such as `6GiB`.
    pub(super) memory_budget: Budget,
    /// Requests that may wait for the NPU; more are refused with status 429.
    pub(super) queue_limit: At<usize>,
    /// A model is unloaded after this time without a request, unless its `model.toml` says otherwise; `0s` keeps it.
    pub(super) idle_unload: Period,
    /// Models to load at start, in this order, as far as the memory budget has room.
    pub(super) preload: Vec<At<String>>,
    /// Keep long beginnings of prompts in files, to load them where they are driven out of the KV cache; without it none
    /// are kept, as they are large and wear out SD cards.
    pub(super) prompt_cache: Option<PromptCache>,
    /// Longest time between two tokens before the engine is taken for hung.
    pub(super) stall_timeout: At<Period>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            library: "auto".to_owned().into(),
            abi: None,
            models_dir: PathBuf::from("models").into(),
            memory_budget: Budget::Auto,
            queue_limit: 256.into(),
            idle_unload: Period::seconds(600),
            preload: Vec::new(),
            prompt_cache: None,
            stall_timeout: Period::seconds(30).into(),
        }
    }
}

/// Files of long beginnings of prompts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PromptCache {
    /// Directory of the files.
    pub(super) dir: At<PathBuf>,
    /// How large the files may grow together; about 115 MB per 1000 tokens of a model of 1.7 billion parameters.
    pub(super) max_size: ByteSize,
}

/// A binary interface of librkllmrt, named after the runtime version that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Abi {
    /// 1.2.0.
    #[serde(rename = "1.2.0")]
    V1_2_0,
    /// 1.2.1, 1.2.2 and 1.2.3.
    #[serde(rename = "1.2.1")]
    V1_2_1,
    /// 1.3.0.
    #[serde(rename = "1.3.0")]
    V1_3_0,
}

/// An OpenAI-compatible server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Upstream {
    /// The server's name in logs, metrics and errors.
    pub(super) name: At<String>,
    /// Base URLs, e.g. `http://127.0.0.1:8081/v1`; a request goes to the first one that can be reached.
    pub(super) urls: At<Vec<At<String>>>,
    /// What the server speaks.
    #[serde(default = "openai")]
    pub(super) kind: At<Kind>,
    /// The environment variable that holds the server's API key.
    #[serde(default)]
    pub(super) api_key_env: Option<At<String>>,
    /// The models to offer; empty asks the server for its list.
    #[serde(default)]
    pub(super) models: Vec<Alias>,
    /// How the server is told whether a model is to think, where policies or people say so.
    #[serde(default)]
    pub(super) thinking: ThinkSwitch,
    /// Longest time to connect.
    #[serde(default = "connect_timeout")]
    pub(super) connect_timeout: At<Period>,
    /// Longest time from the request's end to the answer's first byte; a long prompt may take minutes to read.
    #[serde(default = "first_byte_timeout")]
    pub(super) first_byte_timeout: At<Period>,
    /// Longest silence within an answer.
    #[serde(default = "idle_timeout")]
    pub(super) idle_timeout: At<Period>,
}

fn openai() -> At<Kind> {
    Kind::Openai.into()
}

fn connect_timeout() -> At<Period> {
    Period::seconds(5).into()
}

fn first_byte_timeout() -> At<Period> {
    Period::seconds(600).into()
}

fn idle_timeout() -> At<Period> {
    Period::seconds(600).into()
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Kind {
    /// OpenAI's API.
    Openai,
    /// Ollama's own API; not supported yet.
    Ollama,
}

/// How a server is told whether a model is to think.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ThinkSwitch {
    /// `chat_template_kwargs.enable_thinking`: llama.cpp, vLLM, SGLang.
    ChatTemplateKwargs,
    /// `think`: Ollama and what speaks like it.
    Think,
    /// `/no_think` behind the last user message: Qwen3 behind any server.
    Suffix,
    /// It is not told; what clients say of it is passed on as it is.
    #[default]
    None,
}

/// A model of an upstream under a name of our own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Alias {
    /// The name that clients see.
    pub(super) r#as: At<String>,
    /// The name that the upstream knows.
    pub(super) model: String,
}

/// Rules and policies.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Policy {
    /// Directory of the rule files.
    pub(super) rules: At<PathBuf>,
    /// Directory of the policy files.
    pub(super) policies: At<PathBuf>,
    /// Whether a changed file takes effect at once.
    pub(super) watch: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rules: PathBuf::from("rules").into(),
            policies: PathBuf::from("policies").into(),
            watch: true,
        }
    }
}

/// The prompt log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PromptLog {
    /// The log's database: a file.
    pub(super) path: At<PathBuf>,
    /// A PostgreSQL server in its place, `postgres://USER@HOST/DATABASE`, which several instances can share;
    /// `?sslmode=require` encrypts the connection and checks the server's certificate.
    pub(super) url: Option<At<String>>,
    /// Name of the environment variable that holds the password for `url`.
    pub(super) password_env: Option<At<String>>,
    /// What this instance is called in records on a server; without it the host's name.
    pub(super) instance: Option<String>,
    /// What is kept of prompts and answers.
    pub(super) content: Content,
    /// How long a record is kept.
    pub(super) retention: Period,
    /// How large the database may grow.
    pub(super) max_size: At<ByteSize>,
    /// Time between two writes; what came in between is lost with the power.
    pub(super) flush: At<Period>,
    /// Whether a request with the header `x-rkgate-log: off` is kept without its content.
    pub(super) allow_opt_out: bool,
}

impl Default for PromptLog {
    fn default() -> Self {
        Self {
            path: PathBuf::from("rkgate-log.sqlite").into(),
            url: None,
            password_env: None,
            instance: None,
            content: Content::Full,
            retention: Period::seconds(30 * 86_400),
            max_size: ByteSize(512 << 20).into(),
            flush: Period::seconds(1).into(),
            allow_opt_out: true,
        }
    }
}

/// What the prompt log keeps of prompts and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Content {
    /// All of it.
    Full,
    /// All of it but personal data that can be recognised.
    Redacted,
    /// None of it: counts and times only.
    Off,
}

/// Who may use rkgate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    /// File of the hashed API keys. Where it is missing by default, no key is asked for.
    pub(super) keys_file: At<PathBuf>,
    /// Serve whoever can connect, even beyond this machine.
    pub(super) allow_anonymous: bool,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            keys_file: PathBuf::from("keys.toml").into(),
            allow_anonymous: false,
        }
    }
}

/// Limits and timeouts of the API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    /// Largest request body.
    pub(super) body: At<ByteSize>,
    /// Largest request header.
    pub(super) header: At<ByteSize>,
    /// Connections at once; more wait to be accepted.
    pub(super) connections: At<usize>,
    /// Requests at once; more are refused with status 503.
    pub(super) concurrent_requests: At<usize>,
    /// Longest time for a request's header.
    pub(super) header_timeout: At<Period>,
    /// Longest silence within a request's body.
    pub(super) body_timeout: At<Period>,
    /// Longest time for a client to take a piece of an answer.
    pub(super) write_timeout: At<Period>,
    /// How long a connection without a request is kept.
    pub(super) keep_alive: At<Period>,
    /// Silence after which a stream that has not begun gets its first sign of life; errors before it keep their status.
    pub(super) first_heartbeat: At<Period>,
    /// Silence after which a stream gets its next sign of life.
    pub(super) heartbeat: At<Period>,
    /// How long running answers may go on after SIGTERM.
    pub(super) drain: Period,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: ByteSize(64 << 20).into(),
            header: ByteSize(64 << 10).into(),
            connections: 1024.into(),
            concurrent_requests: 512.into(),
            header_timeout: Period::seconds(20).into(),
            body_timeout: Period::seconds(60).into(),
            write_timeout: Period::seconds(60).into(),
            keep_alive: Period::seconds(75).into(),
            first_heartbeat: Period::seconds(2).into(),
            heartbeat: Period::seconds(10).into(),
            drain: Period::seconds(60),
        }
    }
}

/// rkgate's own log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Telemetry {
    /// `error`, `warn`, `info`, `debug` or `trace`; per module as in `info,rkgate::gateway=debug`.
    pub(super) log_level: At<String>,
    /// `auto` is `human` on a terminal and `json` otherwise.
    pub(super) log_format: LogFormat,
    /// Write the log to this file instead of stderr.
    pub(super) log_file: Option<At<PathBuf>>,
    /// Base URL of an OpenTelemetry collector that gets a trace of each request by OTLP/HTTP, without any text of prompts
    /// or answers, e.g. `http://127.0.0.1:4318`; without it none is made.
    pub(super) otlp_endpoint: Option<At<String>>,
    /// Name of the environment variable that holds headers for it: `name=value`, separated by commas.
    pub(super) otlp_headers_env: Option<At<String>>,
    /// The share of requests that are traced, 0 to 1, where the caller's `traceparent` does not say.
    pub(super) otlp_sample_ratio: Share,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned().into(),
            log_format: LogFormat::Auto,
            log_file: None,
            otlp_endpoint: None,
            otlp_headers_env: None,
            otlp_sample_ratio: Share(1.0),
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// `human` on a terminal, else `json`.
    Auto,
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// The file of API keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KeysFile {
    pub(super) key: Vec<KeyEntry>,
}

/// One API key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    pub(super) name: At<String>,
    pub(super) sha256: At<String>,
    /// Whether it opens the admin port as well.
    #[serde(default = "yes")]
    pub(super) admin: bool,
}

fn yes() -> bool {
    true
}
