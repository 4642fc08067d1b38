//! What stands between this machine and a fast answer, each with its cure.

mod board;
mod budget;
mod host;
mod network;
mod prompt_log;
pub(crate) mod running;
pub(crate) mod runtime;
mod webui;

use serde::Serialize;

use crate::{
    config::{Config, Library, LogStore},
    engine::{catalog::Catalog, memory_budget},
    promptlog::PromptLog,
    telemetry::board::Board,
};

pub use network::webui_url;

#[cfg(test)]
mod tests;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// It cannot work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it concerns, e.g. `npu`.
    pub about: &'static str,
    /// How bad it is.
    pub status: Status,
    /// What was found.
    pub message: String,
    /// What to do about it, best as a command.
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(about: &'static str, message: impl Into<String>) -> Self {
        Self {
            about,
            status: Status::Ok,
            message: message.into(),
            fix: None,
        }
    }

    /// Something could be better.
    #[must_use]
    pub fn warn(about: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            about,
            status: Status::Warn,
            message: message.into(),
            fix: Some(fix.into()),
        }
    }

    /// Something cannot work.
    #[must_use]
    pub fn fail(about: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(about, message, fix)
        }
    }
}

/// Headers that Open WebUI fills in for each request of a connection.
pub const WEBUI_HEADERS: &str = r#"{"X-OpenWebUI-Task": "{{TASK}}", "X-OpenWebUI-Chat-Id": "{{CHAT_ID}}", "X-OpenWebUI-User-Id": "{{USER_ID}}"}"#;

/// The machine, as far as it can be seen; `config` is missing where it has errors.
#[must_use]
pub fn machine(board: &Board, config: Option<&Config>) -> Vec<Finding> {
    let automatic = Library::Auto;
    let library = config.map_or(&automatic, |config| &config.engine.library);
    let runtime = runtime::find(board, library);
    let mut findings = vec![
        board::chip(board, &runtime),
        board::memory(board),
        runtime::finding(
            board,
            &runtime,
            config.is_some_and(|config| !config.upstreams.is_empty()),
        ),
    ];
    if runtime.is_real() {
        findings.push(runtime::openmp(board));
    }
    if runtime.is_real() || board.chip().is_some() {
        findings.extend([board::driver(board), host::devices(board)]);
        findings.extend(board::clocks(board));
    }
    let connections = config.map(|config| config.limits.connections);
    findings.extend(connections.map(|connections| host::open_files(board, connections)));
    findings
}

/// The models of this configuration.
#[must_use]
pub fn models(board: &Board, config: &Config) -> Vec<Finding> {
    let runtime = runtime::find(board, &config.engine.library);
    if runtime == runtime::Runtime::None {
        return Vec::new();
    }
    let simulated = !runtime.is_real();
    let dir = &config.engine.models_dir;
    let catalog = Catalog::scan(dir);
    if catalog.models().is_empty() && simulated {
        let message = format!("none below {}: the simulator's own are used", dir.display());
        return vec![Finding::ok("models", message)];
    }
    if catalog.models().is_empty() {
        let fix = format!(
            "put models below {} (or set engine.models_dir), one directory each",
            dir.display()
        );
        return vec![Finding::warn(
            "models",
            format!("no *.rkllm below {}", dir.display()),
            fix,
        )];
    }
    let mut findings = Vec::new();
    for model in catalog.models() {
        if model.warnings.is_empty() {
            let context = model.context_or_default();
            findings.push(Finding::ok(
                "models",
                format!(
                    "{}: tokenizer and template found, context {context}",
                    model.id
                ),
            ));
        }
        for warning in &model.warnings {
            // The catalogue's warnings name the cure behind the last semicolon.
            let (what, cure) = warning
                .rsplit_once("; ")
                .unwrap_or((warning, "see docs/operations.md"));
            findings.push(Finding::warn(
                "models",
                format!("{}: {what}", model.id),
                cure,
            ));
        }
    }
    let room = memory_budget(config.engine.memory_budget.into(), simulated);
    findings.extend(budget::findings(catalog.models(), room));
    findings
}

/// Whether the prompt log can be read and written.
#[must_use]
pub fn prompt_log(place: &LogStore) -> Finding {
    prompt_log::finding(place)
}

/// Whether the prompt log of a running gateway is written.
#[must_use]
pub fn running_prompt_log(log: &PromptLog) -> Finding {
    prompt_log::of_writer(log.place(), &log.status().health)
}

/// Whether this configuration's addresses can be listened on; that a running gateway has them is as it should be.
pub async fn listeners(config: &Config) -> Vec<Finding> {
    let running = running::ask(&config.listen.admin, "/api/state").await;
    network::listeners(config, &running).await
}

/// Whether this configuration's upstreams can be reached.
pub async fn upstreams(config: &Config) -> Vec<Finding> {
    network::upstreams(config).await
}

/// Whether Open WebUI's headers arrive, as the gateway knows that runs with this configuration.
pub async fn webui_headers(config: &Config) -> Finding {
    let admin = &config.listen.admin;
    webui::headers(admin, &running::ask(admin, "/api/state").await)
}
