//! `rkgate schema`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use super::{Failure, code};
use crate::config;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The kind of file.
    #[arg(value_enum)]
    of: Of,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Of {
    /// rkgate.toml.
    Config,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let schema = match options.of {
        Of::Config => config::schema(),
    };
    let json = serde_json::to_string_pretty(&schema)
        .map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
    writeln!(io::stdout(), "{json}")?;
    Ok(ExitCode::SUCCESS)
}
