//! From the file form to the checked form: everything that no single value shows.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use url::Url;

use super::{
    Address, Alias, ApiKey, Config, Engine, Keys, Library, Limits, Listen, LogServer, LogStore,
    Period, Policy, PromptCache, PromptLog, Telemetry, Traces, Upstream,
    file::{self, At, Kind},
    preload, read, unreadable,
};
use crate::problem::{Problem, Sources};

/// Bytes below which a log would forget everything all the time.
const SMALLEST_LOG: u64 = 4 << 20;

struct Checker<'a> {
    /// The directory of the configuration's file; relative paths in it start there.
    dir: &'a Path,
    env: &'a BTreeMap<String, String>,
    sources: &'a mut Sources,
    problems: &'a mut Vec<Problem>,
}

pub(super) fn check(
    file: &file::File,
    dir: &Path,
    env: &BTreeMap<String, String>,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) -> Config {
    let mut checker = Checker {
        dir,
        env,
        sources,
        problems,
    };
    let keys = checker.keys(&file.auth);
    Config {
        listen: checker.listen(&file.listen, keys.is_empty() && !file.auth.allow_anonymous),
        engine: checker.engine(&file.engine),
        upstreams: checker.upstreams(&file.upstream),
        policy: Policy {
            rules: checker.path(&file.policy.rules),
            policies: checker.path(&file.policy.policies),
            watch: file.policy.watch,
        },
        log: checker.log(&file.log),
        keys,
        limits: checker.limits(&file.limits),
        telemetry: checker.telemetry(&file.telemetry),
    }
}

impl Checker<'_> {
    /// Paths in the file start at the file; those of the environment and of flags where rkgate was started.
    fn path(&self, path: &At<PathBuf>) -> PathBuf {
        let elsewhere = path
            .span
            .as_ref()
            .and_then(|span| self.sources.locate(span))
            .is_some_and(|(source, _)| source > 0);
        if elsewhere {
            path.value.clone()
        } else {
            self.dir.join(&path.value)
        }
    }

    fn keys(&mut self, auth: &file::Auth) -> Keys {
        let path = self.path(&auth.keys_file);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && auth.keys_file.span.is_none() =>
            {
                return Keys::default();
            }
            Err(error) => {
                let span = auth.keys_file.span.clone();
                self.problems
                    .push(unreadable(&path, &error).at(span, "named here"));
                return Keys::default();
            }
        };
        let base = self.sources.add(path.display().to_string(), text.as_str());
        let file: Option<file::KeysFile> =
            read::read(&text, base, &[], self.sources, self.problems);
        Keys::checked(&file.unwrap_or_default(), self.problems)
    }

    fn listen(&mut self, listen: &file::Listen, closed: bool) -> Listen {
        for (key, address) in [("api", &listen.api), ("admin", &listen.admin)] {
            if closed && !address.value.is_local() {
                self.problems.push(
                    Problem::error(
                        "C007",
                        format!("listen.{key} is open to the network, but there are no API keys"),
                    )
                    .at(address.span.clone(), "reaches beyond this machine")
                    .help("put keys into auth.keys_file, or set auth.allow_anonymous = true"),
                );
            }
        }
        let shared = match (&listen.api.value, &listen.admin.value) {
            (Address::Tcp(api), Address::Tcp(admin)) => api == admin && api.port() != 0,
            (api, admin) => api == admin,
        };
        if shared {
            self.problems.push(
                Problem::error("C005", "listen.api and listen.admin are the same address").at(
                    listen.admin.span.clone().or(listen.api.span.clone()),
                    "give each its own",
                ),
            );
        }
        Listen {
            api: listen.api.value.clone(),
            admin: listen.admin.value.clone(),
            cors: listen.cors.clone(),
        }
    }

    fn engine(&mut self, engine: &file::Engine) -> Engine {
        let library = match engine.library.value.as_str() {
            "auto" => Library::Auto,
            "sim" => Library::Sim,
            "none" => Library::None,
            path => {
                let At { span, .. } = &engine.library;
                if path.is_empty() {
                    self.problems.push(
                        Problem::error("C003", "engine.library is empty")
                            .at(span.clone(), "expected `auto`, `sim`, `none` or a path"),
                    );
                }
                Library::Path(self.path(&At {
                    value: path.into(),
                    span: span.clone(),
                }))
            }
        };
        if engine.queue_limit.value == 0 {
            let problem =
                Problem::error("C003", "with a queue of no places no request is answered")
                    .at(engine.queue_limit.span.clone(), "expected more than zero")
                    .help("leave it out for 256 places");
            self.problems.push(problem);
        }
        let models_dir = self.path(&engine.models_dir);
        let preload = preload::check(&engine.preload, &models_dir, &library, self.problems);
        Engine {
            library,
            abi: engine.abi,
            models_dir,
            memory_budget: engine.memory_budget,
            queue_limit: engine.queue_limit.value,
            idle_unload: engine.idle_unload.0,
            preload,
            prompt_cache: engine.prompt_cache.as_ref().map(|cache| PromptCache {
                dir: self.path(&cache.dir),
                max_size: cache.max_size.0,
            }),
            stall_timeout: self.positive(&engine.stall_timeout),
        }
    }

    fn upstreams(&mut self, upstreams: &[file::Upstream]) -> Vec<Upstream> {
        let mut names = BTreeMap::new();
        let mut aliases = BTreeMap::new();
        for upstream in upstreams {
            self.unique("upstreams are named", &upstream.name, &mut names);
            for alias in &upstream.models {
                self.unique("models are offered as", &alias.r#as, &mut aliases);
            }
        }
        upstreams
            .iter()
            .map(|upstream| self.upstream(upstream))
            .collect()
    }

    fn unique<'f>(
        &mut self,
        what: &str,
        name: &'f At<String>,
        seen: &mut BTreeMap<&'f str, &'f At<String>>,
    ) {
        if name.value.is_empty() {
            self.problems
                .push(Problem::error("C003", "the name is empty").at(name.span.clone(), ""));
        } else if let Some(first) = seen.insert(&name.value, name) {
            self.problems.push(
                Problem::error("C005", format!("two {what} `{}`", name.value))
                    .at(name.span.clone(), "the second one")
                    .at(first.span.clone(), "the first one"),
            );
        }
    }

    fn upstream(&mut self, upstream: &file::Upstream) -> Upstream {
        if upstream.kind.value == Kind::Ollama {
            self.problems.push(
                Problem::error("C006", "upstreams of kind `ollama` come with a later version")
                    .at(upstream.kind.span.clone(), "only `openai` is supported")
                    .help("Ollama also speaks OpenAI's API: use kind = \"openai\" and a URL that ends in /v1"),
            );
        }
        if upstream.urls.value.is_empty() {
            self.problems.push(
                Problem::error(
                    "C004",
                    format!("the upstream `{}` has no URL", upstream.name.value),
                )
                .at(upstream.urls.span.clone(), "expected at least one"),
            );
        }
        Upstream {
            name: upstream.name.value.clone(),
            urls: upstream
                .urls
                .value
                .iter()
                .filter_map(|url| self.url(url))
                .collect(),
            api_key: upstream
                .api_key_env
                .as_ref()
                .and_then(|name| self.secret(name, "this upstream is called without a key"))
                .map(ApiKey),
            models: upstream
                .models
                .iter()
                .map(|alias| Alias {
                    name: alias.r#as.value.clone(),
                    model: alias.model.clone(),
                })
                .collect(),
            thinking: upstream.thinking,
            connect_timeout: self.positive(&upstream.connect_timeout),
            first_byte_timeout: self.positive(&upstream.first_byte_timeout),
            idle_timeout: self.positive(&upstream.idle_timeout),
        }
    }

    fn url(&mut self, text: &At<String>) -> Option<Url> {
        let problem = match Url::parse(&text.value) {
            Err(error) => format!("`{}` is not a URL: {error}", text.value),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                format!("`{}` is not a URL of a web server", text.value)
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "the URL carries a password; use api_key_env".to_owned()
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                "a base URL has no query and no fragment".to_owned()
            }
            Ok(url) => return Some(url),
        };
        self.problems.push(
            Problem::error("C003", problem)
                .at(text.span.clone(), "expected a base URL")
                .help("for example `http://127.0.0.1:8081/v1`"),
        );
        None
    }

    fn secret(&mut self, name: &At<String>, without: &str) -> Option<String> {
        let secret = self
            .env
            .get(&name.value)
            .filter(|secret| !secret.is_empty());
        if secret.is_none() {
            self.problems.push(
                Problem::warning(
                    "C010",
                    format!("the environment variable `{}` is not set", name.value),
                )
                .at(name.span.clone(), without),
            );
        }
        secret.cloned()
    }

    fn log(&mut self, log: &file::PromptLog) -> PromptLog {
        let size = &log.max_size;
        if size.value.0 < SMALLEST_LOG {
            let problem = Problem::error("C003", "the prompt log needs more room");
            self.problems
                .push(problem.at(size.span.clone(), "expected 4MiB or more"));
        }
        let server = log.url.as_ref().and_then(|url| self.log_server(url, log));
        PromptLog {
            instance: server
                .as_ref()
                .map(|_| log.instance.clone().unwrap_or_else(host_name)),
            place: match server {
                Some(server) => LogStore::Postgres(Box::new(server)),
                None => LogStore::Sqlite(self.path(&log.path)),
            },
            content: log.content,
            retention: log.retention.0,
            max_size: size.value.0,
            flush: self.positive(&log.flush),
            allow_opt_out: log.allow_opt_out,
        }
    }

    fn log_server(&mut self, url: &At<String>, log: &file::PromptLog) -> Option<LogServer> {
        let password = log.password_env.as_ref();
        let password =
            password.and_then(|name| self.secret(name, "the server is asked without a password"));
        match LogServer::new(&url.value, password.as_deref()) {
            Ok(server) => Some(server),
            Err(error) => {
                let problem = Problem::error("C003", error.to_string())
                    .at(url.span.clone(), "expected a server")
                    .help("for example `postgres://rkgate@10.0.0.2/rkgate?sslmode=require`");
                self.problems.push(problem);
                None
            }
        }
    }

    fn limits(&mut self, limits: &file::Limits) -> Limits {
        for size in [&limits.body, &limits.header] {
            if size.value.0 == 0 {
                self.zero(size);
            }
        }
        for count in [&limits.connections, &limits.concurrent_requests] {
            if count.value == 0 {
                self.zero(count);
            }
        }
        Limits {
            body: limits.body.value.0,
            header: limits.header.value.0,
            connections: limits.connections.value,
            concurrent_requests: limits.concurrent_requests.value,
            header_timeout: self.positive(&limits.header_timeout),
            body_timeout: self.positive(&limits.body_timeout),
            write_timeout: self.positive(&limits.write_timeout),
            keep_alive: self.positive(&limits.keep_alive),
            first_heartbeat: self.positive(&limits.first_heartbeat),
            heartbeat: self.positive(&limits.heartbeat),
            drain: limits.drain.0,
        }
    }

    fn positive(&mut self, period: &At<Period>) -> Duration {
        if period.value.0.is_zero() {
            self.zero(period);
        }
        period.value.0
    }

    fn zero<T>(&mut self, value: &At<T>) {
        let problem = Problem::error("C003", "nothing works with a limit of zero");
        self.problems
            .push(problem.at(value.span.clone(), "expected more than zero"));
    }

    fn telemetry(&mut self, telemetry: &file::Telemetry) -> Telemetry {
        let level = &telemetry.log_level;
        if !is_log_filter(&level.value) {
            self.problems.push(
                Problem::error("C003", format!("`{}` is no log level", level.value))
                    .at(
                        level.span.clone(),
                        "expected error, warn, info, debug or trace",
                    )
                    .help("per module: `info,rkgate::gateway=debug`"),
            );
        }
        Telemetry {
            log_level: telemetry.log_level.value.clone(),
            log_format: telemetry.log_format,
            log_file: telemetry.log_file.as_ref().map(|path| self.path(path)),
            traces: self.traces(telemetry),
        }
    }

    fn traces(&mut self, telemetry: &file::Telemetry) -> Option<Traces> {
        let name = telemetry.otlp_headers_env.as_ref();
        let text = name.and_then(|name| self.secret(name, "the collector gets no headers"));
        let mut headers = Vec::new();
        for part in text.iter().flat_map(|text| text.split(',')) {
            match header(part) {
                Some(header) => headers.push(header),
                // The value may be a secret.
                None => self.problems.push(
                    Problem::error("C003", "a part of the variable's text is no header")
                        .at(name.and_then(|name| name.span.clone()), "the variable")
                        .help("write `name=value,name=value`"),
                ),
            }
        }
        Some(Traces {
            endpoint: self.url(telemetry.otlp_endpoint.as_ref()?)?,
            headers,
            sample_ratio: telemetry.otlp_sample_ratio.0,
        })
    }
}

fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once('=')?;
    let mut value: HeaderValue = value.trim().parse().ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// What the kernel says, or else a name that says as much.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "rkgate".to_owned(),
        name => name.to_owned(),
    }
}

/// `EnvFilter` takes a misspelt level for the name of a module, which nothing would be logged of.
fn is_log_filter(text: &str) -> bool {
    let levels =
        |directive: &str| directive.contains('=') || directive.parse::<LevelFilter>().is_ok();
    EnvFilter::try_new(text).is_ok() && text.split(',').map(str::trim).all(levels)
}
