//! Whether rkgate lasts: hundreds of conversations at once for minutes, with tasks beside them and clients that go away,
//! on a simulated board that takes no time. Prints the memory of each process by the minute and what has been counted,
//! and ends with 1 where a sum is wrong, a request is stuck or memory grows.
//!
//! `cargo bench --bench soak -- SECONDS CONVERSATIONS`; without the two it does nothing, so that `cargo bench` does not
//! take its time. It opens some three files for each conversation.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints its findings and stops at the first thing that is not as expected"
)]

#[path = "../tests/soak/drive/mod.rs"]
mod drive;

use std::{env, process::ExitCode, time::Duration};

use drive::{Length, Plan};

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo adds a word.
    let words = env::args().skip(1).filter(|word| word != "--bench");
    let numbers: Vec<u64> = words.map(|word| word.parse().expect("a number")).collect();
    let [seconds, conversations] = numbers[..] else {
        println!("nothing to do: cargo bench --bench soak -- SECONDS CONVERSATIONS");
        return ExitCode::SUCCESS;
    };
    let plan = Plan {
        length: Length::Time(Duration::from_secs(seconds)),
        conversations,
    };
    let faults = drive::run(&plan, |line| println!("{line}")).await;
    for fault in &faults {
        println!("WRONG: {fault}");
    }
    if faults.is_empty() {
        println!("all as it should be");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
