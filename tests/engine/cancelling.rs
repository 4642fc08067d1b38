//! A client that goes away, in each phase.

use std::time::Duration;

use rkgate::engine::{Progress, settings::AbiOverride};
use tokio::{sync::mpsc, time::timeout};

use crate::bench::{Bench, PATIENCE, chat, first_piece, follow, run, until};

const MODEL: &str = "qwen3-1.7b";

#[tokio::test]
async fn a_queued_job_leaves_the_queue_at_once_and_the_others_move_up() {
    let bench = Bench::new().speed("20");
    let engine = bench.start();
    let mut running = engine
        .submit(chat(MODEL, &["Tell me a long story."]))
        .await
        .unwrap();
    first_piece(&mut running).await;
    let second = engine.submit(chat(MODEL, &["Two"])).await.unwrap();
    let third = engine.submit(chat(MODEL, &["Three"])).await.unwrap();
    assert_eq!(engine.status().queued, 2);
    drop(second);
    until("leaving the queue", || engine.status().queued == 1).await;
    drop(running);
    let outcome = follow(third).await;
    assert!(outcome.places.starts_with(&[2, 1]), "{:?}", outcome.places);
    outcome.completion();
    assert_eq!(engine.status().counters.cancelled, 2);
}

#[tokio::test]
async fn a_job_that_is_dropped_while_its_model_loads_lets_the_load_finish() {
    let bench = Bench::new().speed("10");
    let engine = bench.start();
    let mut dropped = engine.submit(chat(MODEL, &["One"])).await.unwrap();
    assert!(matches!(
        dropped.progress.recv().await,
        Some(Progress::Loading)
    ));
    drop(dropped);
    let outcome = run(&engine, chat(MODEL, &["Two"])).await;
    outcome.completion();
    assert_eq!(outcome.loading, 0);
    let counters = engine.status().counters;
    assert_eq!(
        (counters.loads, counters.cancelled, counters.completed),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn a_running_job_is_stopped_and_the_model_stays_usable() {
    for abi in [
        AbiOverride::V1_2_0,
        AbiOverride::V1_2_1,
        AbiOverride::V1_3_0,
    ] {
        let bench = Bench::new().speed("2").abi(abi).fault("abort_poisons");
        let engine = bench.start();
        let mut cancelled = engine
            .submit(chat(MODEL, &["Tell me a very long story."]))
            .await
            .unwrap();
        first_piece(&mut cancelled).await;
        drop(cancelled);
        until("the abort", || engine.status().counters.cancelled == 1).await;
        let mut job = chat(MODEL, &["Hello"]);
        job.max_tokens = Some(3);
        assert_eq!(
            run(&engine, job).await.completion().usage.completion,
            3,
            "{abi:?}"
        );
        assert_eq!(engine.status().counters.loads, 1);
    }
}

#[tokio::test]
async fn a_runtime_that_refuses_to_run_after_an_abort_is_loaded_again_once() {
    for abi in [
        AbiOverride::V1_2_0,
        AbiOverride::V1_2_1,
        AbiOverride::V1_3_0,
    ] {
        let bench = Bench::new().speed("5").abi(abi).fault("abort_poisons=all");
        let engine = bench.start();
        // It ends by itself: with a limit, a runtime that knows of none is aborted.
        let question = chat(MODEL, &["Hello"]);
        let whole = run(&engine, question.clone()).await;
        for aborts in 1..=2 {
            let mut left = engine
                .submit(chat(MODEL, &["Tell me a very long story."]))
                .await
                .unwrap();
            first_piece(&mut left).await;
            drop(left);
            let next = run(&engine, question.clone()).await;
            assert_eq!(next.text, whole.text, "{abi:?}");
            assert_eq!(next.completion().usage.cached, 0, "it was loaded again");
            run(&engine, question.clone()).await.completion();
            let counters = engine.status().counters;
            assert_eq!(
                (counters.loads, counters.failed),
                (1 + aborts, 0),
                "{abi:?}"
            );
            assert_eq!(counters.workers_lost, 0);
        }
    }
}

#[tokio::test]
async fn who_leaves_while_a_long_prompt_is_read_costs_the_next_one_that_and_no_more() {
    // At the speed of a board, where this prompt is read for more than a second.
    let (turns, mut reports) = mpsc::unbounded_channel();
    let bench = Bench::new()
        .speed("1")
        .with(|settings| settings.turns = Some(turns));
    let engine = bench.start();
    let mut question = chat("qwen3-0.6b", &["Hello"]);
    question.max_tokens = Some(2);
    run(&engine, question.clone()).await.completion();
    let mut turn = || reports.try_recv().unwrap();
    turn();
    let long = "And what do you make of this, then? ".repeat(100);
    // The runtime reads a moment after that is told; on a busy machine it may hear of the end before.
    for left in 1..=20 {
        let mut leaves = engine.submit(chat("qwen3-0.6b", &[&long])).await.unwrap();
        loop {
            match timeout(PATIENCE, leaves.progress.recv()).await.unwrap() {
                Some(Progress::Reading { .. }) => break,
                Some(_) => {}
                None => panic!("it was not read"),
            }
        }
        let tokens = leaves.prompt_tokens;
        drop(leaves);
        run(&engine, question.clone()).await.completion();
        let (aborted, next) = (turn(), turn());
        assert!(aborted.stopped && aborted.prompt == tokens);
        assert_eq!(aborted.completion, 0, "nothing is written for nobody");
        let idle = next.began - aborted.ended;
        assert!(idle < Duration::from_secs(1), "{idle:?}");
        let counters = engine.status().counters;
        assert_eq!((counters.cancelled, counters.completed), (left, 1 + left));
        let read = aborted.ended - aborted.began;
        if read > Duration::from_secs(1) {
            assert!(read < aborted.prefill + Duration::from_secs(1), "{read:?}");
            assert_eq!(counters.mispredicted, 0);
            return;
        }
    }
    panic!("no prompt was read");
}

#[tokio::test]
async fn a_submission_that_is_given_up_leaves_nothing_behind() {
    let bench = Bench::new();
    let engine = bench.start();
    let submission = engine.submit(chat(MODEL, &["One"]));
    let given_up = timeout(Duration::from_millis(1), submission).await;
    drop(given_up);
    run(&engine, chat(MODEL, &["Two"])).await.completion();
    until("the end of both jobs", || {
        engine.status().workers.iter().all(|worker| !worker.in_use)
    })
    .await;
}
