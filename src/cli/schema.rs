//! `rkgate schema`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use super::{Failure, code};
use crate::{
    config,
    policy::{self, file::schema},
};

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
    /// rules/*.toml.
    Rules,
    /// policies/*.toml.
    Policies,
    /// Both, with every operation, as a page to read.
    Reference,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let json = match options.of {
        Of::Config => serde_json::to_string_pretty(&config::schema()),
        Of::Rules => serde_json::to_string_pretty(&schema::rules()),
        Of::Policies => serde_json::to_string_pretty(&schema::policies()),
        Of::Reference => {
            write!(io::stdout(), "{}", policy::reference())?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let json =
        json.map_err(|error| Failure::because(code::SOFTWARE, "cannot write JSON", &error))?;
    writeln!(io::stdout(), "{json}")?;
    Ok(ExitCode::SUCCESS)
}
