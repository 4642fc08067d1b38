//! What rkgate costs: `make bench` prints every figure beside its reference from the same run.
//!
//! All processes (stub upstream, references, rkgate, load) share one core, because unpinned runs compare the
//! placement of processes rather than the processes; CPU time per request is the figure to carry away.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints its findings and stops at the first thing that is not as expected"
)]

mod bare;
mod engine;
mod load;
mod passthrough;
mod process;
mod streams;
mod stub;

use std::{env, os::unix::process::CommandExt, process::Command};

const PINNED: &str = "RKGATE_BENCH_PINNED";

fn main() {
    let role: Vec<String> = env::args().skip(1).collect();
    match role
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["stub"] => return stub::serve(),
        ["bare", port, upstream] => return bare::serve(port, upstream),
        _ => {}
    }
    if env::var_os(PINNED).is_none() {
        let failure = Command::new("taskset")
            .args(["-c", "0"])
            .arg(env::current_exe().expect("own path"))
            .env(PINNED, "1")
            .exec();
        println!("not pinned, figures are unreliable: taskset: {failure}");
    }
    passthrough::run();
    streams::run();
    engine::run();
}
