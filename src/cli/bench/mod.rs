//! `rkgate bench`.

mod conversation;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Configuration, Failure, code, serve::settings};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Plays a conversation of Open WebUI against this configuration and against a naive gateway, each on a simulated
    /// board of its own, and tells what people waited for and what it cost the NPU.
    Conversation(conversation::Options),
}

pub(super) fn run(configuration: &Configuration, options: &Options) -> Result<ExitCode, Failure> {
    match &options.what {
        What::Conversation(options) => conversation::run(configuration, options),
    }
}
