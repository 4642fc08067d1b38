//! `rkgate check`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{Configuration, Failure, Format, code, policy_files};
use crate::{config::Loaded, problem::Report};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Rule and policy files or directories to check instead of the configured ones.
    paths: Vec<PathBuf>,
    /// How to print the problems.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Exit code 0 without errors, 1 with.
pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let mut reports = Vec::new();
    let loaded = match configuration.inputs().load() {
        Ok(Loaded {
            config,
            file,
            warnings,
        }) => {
            reports.push(warnings);
            Some((config, file))
        }
        Err(report) => {
            reports.push(report);
            None
        }
    };
    let policy = loaded.as_ref().map(|(config, _)| &config.policy);
    let files = policy_files::read(policy, &options.paths)?;
    let (report, tests) = policy_files::compile(&files).unwrap_or_else(|report| (report, 0));
    reports.push(report);
    let failed = reports.iter().any(Report::has_errors);
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => {
            let json = Report::to_json(&reports)
                .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
            writeln!(out, "{json}")?;
        }
        Format::Text => {
            for report in &reports {
                write!(out, "{report}")?;
            }
            match reports
                .iter()
                .flat_map(|report| &report.problems)
                .filter(|problem| problem.is_error())
                .count()
            {
                0 => {
                    let file = loaded.as_ref().and_then(|(_, file)| file.as_deref());
                    match file.map(Path::display) {
                        Some(file) => writeln!(out, "{file} is fine")?,
                        None => {
                            writeln!(out, "there is no configuration file; the defaults are fine")?
                        }
                    }
                    writeln!(
                        out,
                        "{} rule and policy files are fine, {tests} tests pass",
                        files.len()
                    )?;
                }
                1 => writeln!(out, "1 error")?,
                errors => writeln!(out, "{errors} errors")?,
            }
        }
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
