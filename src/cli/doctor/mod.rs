//! `rkgate doctor`: what stands between this machine and a fast answer, each with its cure.

mod board;
mod host;
mod network;
pub(super) mod runtime;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{Configuration, Failure, Format, code};
use crate::{
    config::{Config, Library},
    engine::catalog::Catalog,
    telemetry::board::Board,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// How to print the findings.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Look at the /proc, /sys, /dev and /usr below this directory.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// What it concerns, e.g. `npu`.
    about: &'static str,
    status: Status,
    /// What was found.
    message: String,
    /// What to do about it, best as a command.
    fix: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, message: impl Into<String>) -> Self {
        Self {
            about,
            status: Status::Ok,
            message: message.into(),
            fix: None,
        }
    }

    fn warn(about: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            about,
            status: Status::Warn,
            message: message.into(),
            fix: Some(fix.into()),
        }
    }

    fn fail(about: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(about, message, fix)
        }
    }
}

/// Headers that Open WebUI fills in for each request of a connection.
const WEBUI_HEADERS: &str =
    r#"{"X-OpenWebUI-Task": "{{TASK}}", "X-OpenWebUI-Chat-Id": "{{CHAT_ID}}"}"#;

/// Exit code 1 when something has failed.
pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let board = Board::new(&options.root);
    let mut findings = Vec::new();
    let config = match configuration.inputs().load() {
        Ok(loaded) => {
            let warnings = loaded.warnings.to_string();
            findings.push(match (&loaded.file, warnings.is_empty()) {
                (_, false) => Finding::warn("config", warnings.trim_end(), "see above"),
                (Some(file), true) => Finding::ok("config", format!("{} is fine", file.display())),
                (None, true) => Finding::ok("config", "no configuration file: defaults"),
            });
            Some(loaded.config)
        }
        Err(report) => {
            findings.push(Finding::fail(
                "config",
                report.to_string().trim_end(),
                "correct what is shown above",
            ));
            None
        }
    };
    findings.extend(machine(&board, config.as_ref()));
    if let Some(config) = &config {
        let simulated = !runtime::find(&board, &config.engine.library).is_real();
        findings.extend(models(config, simulated));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime =
            runtime.map_err(|error| Failure::because(code::SOFTWARE, "cannot start", &error))?;
        findings.extend(runtime.block_on(network::findings(config)));
    }
    let url = config.as_ref().map(network::webui_url);
    print(options.format, &findings, url.as_deref())?;
    let failed = findings
        .iter()
        .any(|finding| finding.status == Status::Fail);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What is asked of the board depends on whether the runtime or the simulator will run.
fn machine(board: &Board, config: Option<&Config>) -> Vec<Finding> {
    let automatic = Library::Auto;
    let library = config.map_or(&automatic, |config| &config.engine.library);
    let runtime = runtime::find(board, library);
    let mut findings = vec![
        board::chip(board, &runtime),
        board::memory(board),
        runtime::finding(board, &runtime),
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

fn models(config: &Config, simulated: bool) -> Vec<Finding> {
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
    findings
}

fn print(format: Format, findings: &[Finding], url: Option<&str>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if format == Format::Json {
        let webui = url.map(|url| json!({ "url": url, "headers": WEBUI_HEADERS }));
        writeln!(
            out,
            "{:#}",
            json!({ "findings": findings, "open_webui": webui })
        )?;
        return Ok(());
    }
    for Finding {
        about,
        status,
        message,
        fix,
    } in findings
    {
        let status = match status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        writeln!(
            out,
            "{status}  {about:<9} {}",
            message.replace('\n', "\n                ")
        )?;
        if let Some(fix) = fix {
            writeln!(out, "                fix: {fix}")?;
        }
    }
    if let Some(url) = url {
        writeln!(
            out,
            "\nOpen WebUI: Admin Panel > Settings > Connections > OpenAI API > add"
        )?;
        writeln!(out, "  URL      {url}")?;
        writeln!(out, "  Headers  {WEBUI_HEADERS}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
