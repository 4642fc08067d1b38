//! The `rkgate` binary: maps the result of a command to an exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    rkgate::cli::run()
}
