//! The `rkgate` binary: maps the result of a command to an exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// What a request needs is gone when it ends, what is remembered of it stays a while. glibc puts one behind the other, and
/// the gaps add up: ten times the memory under load, and twice the CPU time to fill it anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rkgate::cli::run()
}
