//! `rkgate doctor`: what stands between this machine and a fast answer, each with its cure.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use serde_json::json;

use super::{Configuration, Failure, Format, code};
use crate::{
    doctor::{self, Finding, Status, WEBUI_HEADERS},
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
    findings.extend(doctor::machine(&board, config.as_ref()));
    if let Some(config) = &config {
        findings.extend(doctor::models(&board, config));
        findings.push(doctor::prompt_log(&config.log.place));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime =
            runtime.map_err(|error| Failure::because(code::SOFTWARE, "cannot start", &error))?;
        findings.extend(runtime.block_on(doctor::listeners(config)));
        findings.extend(runtime.block_on(doctor::upstreams(config)));
        findings.push(runtime.block_on(doctor::webui_headers(config)));
    }
    let url = config
        .as_ref()
        .map(|config| doctor::webui_url(&config.listen.api));
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
