//! What a conversation costs: only what is new is read.

use rkgate::engine::{
    Engine, Job, Miss, QueueClass,
    settings::{AbiOverride, MemoryBudget},
};

use crate::bench::{Bench, chat, first_piece, follow, run, until};

const MODEL: &str = "qwen3-1.7b";
const OTHER: &str = "minicpm4-0.5b";
const ABIS: [AbiOverride; 3] = [
    AbiOverride::V1_2_0,
    AbiOverride::V1_2_1,
    AbiOverride::V1_3_0,
];

fn task(text: &str) -> Job {
    Job {
        queue: QueueClass {
            urgency: 4,
            fallback: true,
            ..QueueClass::default()
        },
        ..chat(MODEL, &[text])
    }
}

/// How many prompts were missed for this reason, and the tokens that were read again.
fn missed(engine: &Engine, why: Miss) -> (u64, u64) {
    let count = engine.status().counters.misses[why as usize];
    (count.prompts, count.tokens)
}

#[tokio::test]
async fn a_long_chat_costs_only_its_new_tokens() {
    let bench = Bench::new();
    let engine = bench.start();
    let mut turns: Vec<String> = Vec::new();
    let mut held = 0;
    for question in [
        "Hello",
        "What is 2 + 2?",
        "Tell me about the sea.",
        "Thanks",
    ] {
        turns.push(question.to_owned());
        let said: Vec<&str> = turns.iter().map(String::as_str).collect();
        let outcome = run(&engine, chat(MODEL, &said)).await;
        let usage = outcome.completion().usage;
        assert_eq!(usage.cached, held, "{turns:?}");
        held = usage.prompt + usage.completion;
        turns.push(outcome.text.trim().to_owned());
    }
    let counters = engine.status().counters;
    assert_eq!(counters.mispredicted, 0);
    let misses = counters.misses.map(|count| count.prompts);
    assert_eq!(misses.iter().sum::<u64>(), 1, "{misses:?}");
    assert_eq!(missed(&engine, Miss::NewChat), (1, 0));
}

#[tokio::test]
async fn what_was_said_before_a_client_left_is_not_read_again() {
    for abi in ABIS {
        let bench = Bench::new().speed("5").abi(abi);
        let engine = bench.start();
        let question = "Tell me a very long story.";
        let mut stopped = engine.submit(chat(OTHER, &[question])).await.unwrap();
        let prompt = stopped.prompt_tokens;
        let begun = first_piece(&mut stopped).await;
        drop(stopped);
        until("the abort", || engine.status().counters.cancelled == 1).await;
        let next = run(&engine, chat(OTHER, &[question, &begun, "Stop."])).await;
        let cached = next.completion().usage.cached;
        assert!(cached >= prompt, "{abi:?}: {cached} of {prompt}");
        let counters = engine.status().counters;
        assert_eq!((counters.mispredicted, counters.loads), (0, 1), "{abi:?}");
    }
}

#[tokio::test]
async fn a_runtime_that_forgets_after_an_abort_is_believed_once() {
    let bench = Bench::new().speed("5").fault("abort_forgets");
    let engine = bench.start();
    let question = "Tell me a very long story.";
    for round in 1..=2 {
        let mut stopped = engine.submit(chat(MODEL, &[question])).await.unwrap();
        first_piece(&mut stopped).await;
        drop(stopped);
        until("the abort", || engine.status().counters.cancelled == round).await;
        let mut next = chat(MODEL, &[question]);
        next.max_tokens = Some(3);
        run(&engine, next).await.completion();
    }
    assert_eq!(engine.status().counters.mispredicted, 1);
}

#[tokio::test]
async fn each_miss_is_counted_with_its_reason() {
    let bench = Bench::new().with(|settings| settings.memory_budget = MemoryBudget::Bytes(1));
    let engine = bench.start();
    let question = "What do you know about lighthouses and the people who kept them?";
    let first = run(&engine, chat(MODEL, &[question])).await;
    run(&engine, task("Suggest three questions."))
        .await
        .completion();
    assert_eq!(missed(&engine, Miss::Task), (1, 0));
    let second = run(&engine, chat(MODEL, &[question, &first.text, "More."])).await;
    assert_eq!(second.miss, Some(Miss::Intruded));
    let (prompts, tokens) = missed(&engine, Miss::Intruded);
    let prompt = u64::from(first.completion().usage.prompt);
    assert!(prompts == 1 && tokens > 0 && tokens <= prompt, "{tokens}");

    run(&engine, chat(OTHER, &["Hello"])).await.completion();
    let turns = [question, &first.text, "More.", &second.text, "And now?"];
    let third = follow(engine.submit(chat(MODEL, &turns)).await.unwrap()).await;
    assert_eq!(third.miss, Some(Miss::Evicted));
    let turns = [
        "Other words, long enough to be worth a look, I would say.",
        &first.text,
        "More.",
    ];
    let edited = run(&engine, chat(MODEL, &turns)).await;
    assert_eq!(edited.miss, Some(Miss::NewChat));
}
