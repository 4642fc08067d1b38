//! The `rkgate` binary: maps the result of a command to an exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// What a request needs is gone when it ends, what is remembered of it stays a while. Where one lies behind the other, the gaps
/// between what stays are too small for the next request, and it takes new memory: sizes that are kept apart leave no such
/// gaps. How soon freed memory goes back to the system is said in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    rkgate::cli::run()
}
