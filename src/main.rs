//! The `rkgate` binary: maps the result of a command to an exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// What a request needs is gone when it ends, what is remembered of it stays a while. Where one lies behind the other, the gaps
/// between what stays are too small for the next request, and it takes new memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rkgate::cli::run()
}
