//! `rkgate test`.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{Configuration, Failure, Format, code, policy_files};
use crate::problem::Report;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Rule and policy files or directories to test instead of the configured ones.
    paths: Vec<PathBuf>,
    /// How to print what fails.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Exit code 0 where every test passes, 1 where one fails or the files are wrong.
pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let loaded = configuration.load()?;
    let files = policy_files::read(Some(&loaded.config.policy), &options.paths)?;
    let result = policy_files::compile(&files).map(|(_, passed)| passed);
    let mut out = io::stdout().lock();
    match options.format {
        Format::Json => {
            let report = result.as_ref().err().cloned();
            let json = Report::to_json(report.as_slice())
                .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
            writeln!(out, "{json}")?;
        }
        Format::Text => match &result {
            Ok(passed) => writeln!(out, "{passed} tests pass")?,
            Err(report) => {
                write!(out, "{report}")?;
                match report
                    .problems
                    .iter()
                    .filter(|problem| problem.is_error())
                    .count()
                {
                    1 => writeln!(out, "1 error")?,
                    errors => writeln!(out, "{errors} errors")?,
                }
            }
        },
    }
    Ok(if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
