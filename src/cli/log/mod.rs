//! `rkgate log`: the prompt log.

mod export;
mod filter;
mod show;
mod stats;
mod tail;

pub(super) use filter::Filters;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Configuration, Failure, code, paint};
use crate::promptlog::{Reader, StoreError};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the latest requests, one line each, and those that come with `--follow`.
    Tail(tail::Options),
    /// Shows one request: what came, what was sent, why, and what was answered.
    Show(show::Options),
    /// Writes requests to stdout or a file, for other programs.
    Export(export::Options),
    /// Counts requests, tokens and times by class and model.
    Stats(stats::Options),
}

pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    let loaded = configuration.load()?;
    let mut reader = Reader::open(&loaded.config.log.place).map_err(unreadable)?;
    match &options.command {
        Command::Tail(options) => tail::run(&mut reader, options),
        Command::Show(options) => show::run(&mut reader, options),
        Command::Export(options) => export::run(&mut reader, options),
        Command::Stats(options) => stats::run(&mut reader, options),
    }
}

pub(super) fn unreadable(error: StoreError) -> Failure {
    Failure::new(code::IO, error.words())
}
