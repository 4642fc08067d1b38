//! Many conversations at once with a gateway of their own, and the account of it.

mod account;
mod client;
mod gateway;
mod memory;
#[path = "../../kit/message.rs"]
#[allow(dead_code, reason = "of use to other tests too")]
mod message;
mod numbers;
mod talk;
mod task;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use client::Client;
use gateway::Gateway;
use memory::Memory;
use numbers::Numbers;
use talk::Pace;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) length: Length,
    /// How many conversations there are at any time.
    pub(crate) conversations: u64,
}

/// How long it goes on.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "the bench and the test take one each")]
pub(crate) enum Length {
    /// When one has ended, the next one begins, for so long. People think between their questions.
    Time(Duration),
    /// Each is held once.
    Once,
}

/// Pauses between a person's questions, at most.
const THOUGHT: Duration = Duration::from_secs(4);

/// Holds the conversations, tells `say` how it goes, and returns what is wrong.
pub(crate) async fn run(plan: &Plan, say: impl Fn(&str)) -> Vec<String> {
    let gateway = Gateway::start();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let began = Instant::now();
    let client = |number| Client {
        api: gateway.api,
        name: format!("c{number}"),
        sent: Arc::clone(&sent),
    };
    let talks = (0..plan.conversations).map(|number| {
        let client = client(number);
        let length = plan.length;
        tokio::spawn(async move {
            let mut numbers = Numbers::new(number);
            let pace = match length {
                Length::Time(time) => Pace {
                    pause: THOUGHT,
                    until: Some(began + time),
                },
                Length::Once => Pace::default(),
            };
            for round in 0.. {
                talk::hold(&client, round, &mut numbers, pace).await;
                if pace.is_over().unwrap_or(true) {
                    return;
                }
            }
        })
    });
    let talks: Vec<_> = talks.collect();
    let mut memory = Memory::new(gateway.pid());
    let all = futures::future::join_all(talks);
    tokio::pin!(all);
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let ended = loop {
        tokio::select! {
            ended = &mut all => break ended,
            _ = seconds.tick() => {
                if let Some(line) = memory.look() {
                    let count = sent.lock().unwrap().len();
                    say(&format!("{line}; {count} requests"));
                }
            }
        }
    };
    let mut faults: Vec<String> = ended
        .into_iter()
        .filter_map(|talk| Some(format!("a conversation broke off: {}", talk.err()?)))
        .collect();
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    gateway.settle(sent.len()).await;
    faults.extend(account::settle(&gateway, &sent, &say).await);
    if let Length::Time(time) = plan.length {
        faults.extend(memory.growth(time, &say));
    }
    faults
}
