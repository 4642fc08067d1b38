//! What rkgate costs: `make bench` prints every figure beside its reference from the same run.
//!
//! All processes (stub upstream, references, rkgate, load) share one core, because unpinned runs compare the
//! placement of processes rather than the processes; CPU time per request is the figure to carry away. A part runs
//! alone with `cargo bench --bench gateway -- engine` (or `requests`, `streams`, `log`).

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints its findings and stops at the first thing that is not as expected"
)]

mod bare;
mod engine;
mod floor;
mod load;
mod logging;
mod passthrough;
mod process;
mod simulator;
mod streams;
mod stub;
#[path = "../words/mod.rs"]
mod words;

use std::{env, os::unix::process::CommandExt, process::Command};

const PINNED: &str = "RKGATE_BENCH_PINNED";

fn main() {
    // Cargo adds this one.
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stub"] => return stub::serve(),
        ["bare", port, upstream] => return bare::serve(port, upstream),
        ["floor", role, period] => return floor::play(role, period),
        ["simulator", model, prompts @ ..] => return simulator::play(model, prompts),
        _ => {}
    }
    if env::var_os(PINNED).is_none() {
        let failure = Command::new("taskset")
            .args(["-c", "0"])
            .arg(env::current_exe().expect("own path"))
            .args(&words)
            .env(PINNED, "1")
            .exec();
        println!("not pinned, figures are unreliable: taskset: {failure}");
    }
    let parts: [(&str, fn()); 4] = [
        ("requests", passthrough::run),
        ("streams", streams::run),
        ("engine", engine::run),
        ("log", logging::run),
    ];
    for (name, run) in parts {
        if words.is_empty() || words.contains(&name) {
            run();
        }
    }
}
