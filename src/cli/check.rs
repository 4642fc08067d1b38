//! `rkgate check`.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Args;

use super::{Configuration, Failure, Format};
use crate::{config::Loaded, problem::Problem};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// How to print the problems.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Exit code 0 without errors, 1 with.
pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let (file, report) = match configuration.inputs().load() {
        Ok(Loaded { file, warnings, .. }) => (file, warnings),
        Err(report) => (None, report),
    };
    let errors = report
        .problems
        .iter()
        .filter(|problem| problem.is_error())
        .count();
    let mut out = io::stdout();
    match options.format {
        Format::Json => {
            let json = report.to_json().map_err(|error| {
                Failure::because(super::code::SOFTWARE, "cannot write JSON", &error)
            })?;
            writeln!(out, "{json}")?;
        }
        Format::Text => {
            write!(out, "{report}")?;
            match (errors, file.as_deref().map(Path::display)) {
                (0, Some(file)) => writeln!(out, "{file} is fine")?,
                (0, None) => {
                    writeln!(out, "there is no configuration file; the defaults are fine")?
                }
                (1, _) => writeln!(out, "1 error")?,
                (errors, _) => writeln!(out, "{errors} errors")?,
            }
        }
    }
    let failed = report.problems.iter().any(Problem::is_error);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
