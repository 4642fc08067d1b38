//! The soak of `cargo bench --bench soak`, once round and small: no sum is wrong and no request is stuck.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod drive;

use drive::{Length, Plan};

#[tokio::test]
async fn twenty_conversations_add_up() {
    let plan = Plan {
        length: Length::Once,
        conversations: 20,
    };
    let faults = drive::run(&plan, |line| println!("{line}")).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
