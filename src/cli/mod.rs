//! The command line: one file per command.

mod bench;
mod check;
mod configuration;
mod doctor;
mod explain;
mod log;
mod models;
mod paint;
mod policy_files;
mod progress;
mod replay;
mod schema;
mod serve;
mod test;
mod worker;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};

use configuration::Configuration;

/// Exit codes beyond 0 and 1: clap's own for misuse, the others from the BSD `sysexits.h`.
mod code {
    pub(super) const MISUSE: u8 = 2;
    pub(super) const DATA: u8 = 65;
    pub(super) const MISSING: u8 = 66;
    pub(super) const UNAVAILABLE: u8 = 69;
    pub(super) const SOFTWARE: u8 = 70;
    pub(super) const IO: u8 = 74;
    pub(super) const CONFIG: u8 = 78;
    /// As shells tell the end by SIGINT.
    pub(super) const INTERRUPTED: u8 = 130;
}

/// Gateway between Open WebUI and small language models on Rockchip boards.
#[derive(Debug, Parser)]
#[command(name = "rkgate", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gateway; also the default with no command.
    Serve,
    /// Checks the configuration, the rule and policy files, and runs the tests in them.
    Check(check::Options),
    /// Runs the tests in rule and policy files.
    Test(test::Options),
    /// Tells what becomes of a request and why, without running it: class, model, sampling, rewriting, prompt.
    Explain(explain::Options),
    /// Lists the local models: family, size, quantisation, context, memory and the speed to expect.
    Models(models::Options),
    /// Reads the prompt log.
    Log(log::Options),
    /// Runs logged requests through other rules and policies: what would change.
    Replay(replay::Options),
    /// Measures what conversations cost.
    Bench(bench::Options),
    /// Looks for what keeps this machine from answering fast, and names the cure.
    Doctor(doctor::Options),
    /// Prints the JSON Schema of a kind of file, for editors.
    Schema(schema::Options),
    /// Runs one model for `serve`, which starts it; of no use by hand.
    #[command(hide = true)]
    Worker,
}

/// How a command prints what it found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Why a command ended without success.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// What was attempted and the whole chain of reasons.
    fn because(code: u8, attempt: &str, error: &dyn Error) -> Self {
        let mut message = format!("{attempt}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Self::new(code, message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever read our output has seen enough.
        let code = if error.kind() == io::ErrorKind::BrokenPipe {
            0
        } else {
            code::IO
        };
        Self::because(code, "cannot write the output", &error)
    }
}

/// Runs the command that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    let Cli {
        configuration,
        command,
    } = Cli::parse();
    let result = match command {
        None | Some(Command::Serve) => serve::run(&configuration),
        Some(Command::Worker) => worker::run(),
        Some(Command::Check(options)) => check::run(&configuration, &options),
        Some(Command::Test(options)) => test::run(&configuration, &options),
        Some(Command::Explain(options)) => explain::run(&configuration, &options),
        Some(Command::Models(options)) => models::run(&configuration, &options),
        Some(Command::Log(options)) => log::run(&configuration, &options),
        Some(Command::Replay(options)) => replay::run(&configuration, &options),
        Some(Command::Bench(options)) => bench::run(&configuration, &options),
        Some(Command::Doctor(options)) => doctor::run(&configuration, &options),
        Some(Command::Schema(options)) => schema::run(&options),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            if failure.code != 0 {
                // Where stderr is closed the exit code alone must do.
                let _ = writeln!(io::stderr(), "{}", failure.message.trim_end());
            }
            failure.code.into()
        }
    }
}
