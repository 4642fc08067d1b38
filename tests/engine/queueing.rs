//! Many jobs, one NPU.

use std::time::Duration;

use futures::future::join_all;
use rkgate::engine::EngineError;

use crate::bench::{Bench, chat, first_piece, follow, run, until};

const MODEL: &str = "qwen3-0.6b";

#[tokio::test]
async fn fifty_jobs_are_served_in_their_order() {
    let bench = Bench::new();
    let engine = bench.start();
    let mut runs = Vec::new();
    for number in 0..50 {
        let mut job = chat(MODEL, &[&format!("Question {number}")]);
        job.max_tokens = Some(8);
        runs.push(engine.submit(job).await.unwrap());
    }
    let outcomes = join_all(runs.into_iter().map(follow)).await;
    for outcome in &outcomes {
        assert!(outcome.completion().usage.completion <= 8);
        assert!(
            outcome.places.is_sorted_by(|a, b| a > b),
            "{:?}",
            outcome.places
        );
    }
    // Nobody was overtaken, or some place would have grown; and some have waited.
    assert!(outcomes.iter().any(|outcome| outcome.places.len() > 1));
    let counters = engine.status().counters;
    assert_eq!((counters.completed, counters.loads), (50, 1));
}

#[tokio::test]
async fn parallel_submissions_start_one_worker_per_model() {
    let bench = Bench::new();
    let engine = bench.start();
    let jobs = (0..20).map(|number| {
        let mut job = chat(
            if number % 2 == 0 { MODEL } else { "qwen3-1.7b" },
            &["Hello"],
        );
        job.max_tokens = Some(2);
        run(&engine, job)
    });
    for outcome in join_all(jobs).await {
        outcome.completion();
    }
    let status = engine.status();
    assert_eq!((status.workers.len(), status.counters.loads), (2, 2));
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let bench = Bench::new()
        .speed("5")
        .with(|settings| settings.queue_limit = 1);
    let engine = bench.start();
    let mut running = engine
        .submit(chat(MODEL, &["Tell me a long story."]))
        .await
        .unwrap();
    first_piece(&mut running).await;
    let waiting = engine.submit(chat(MODEL, &["Hello"])).await.unwrap();
    let error = engine.submit(chat(MODEL, &["Hello"])).await.unwrap_err();
    assert!(
        matches!(error, EngineError::QueueFull { waiting: 1, retry_after } if !retry_after.is_zero()),
        "{error}"
    );
    drop((running, waiting));
    until("an empty queue", || engine.status().queued == 0).await;
    run(&engine, chat(MODEL, &["Hello"])).await.completion();
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let bench = Bench::new();
    let engine = bench.start();
    let unread = engine
        .submit(chat(MODEL, &["Tell me a very long story."]))
        .await
        .unwrap();
    run(&engine, chat(MODEL, &["Hello"])).await.completion();
    let outcome = follow(unread).await;
    assert_eq!(
        outcome.completion().usage.completion,
        outcome.piece_tokens + 1
    );
}

#[tokio::test]
async fn a_shutdown_lets_answers_finish_and_ends_the_workers() {
    let bench = Bench::new().speed("20");
    let engine = bench.start();
    let mut running = engine.submit(chat(MODEL, &["Hello"])).await.unwrap();
    first_piece(&mut running).await;
    let pid = engine.status().workers[0].pid.unwrap();
    let (outcome, ()) = tokio::join!(follow(running), engine.shutdown(Duration::from_secs(60)));
    outcome.completion();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(matches!(
        engine.submit(chat(MODEL, &["Hello"])).await,
        Err(EngineError::ShuttingDown)
    ));
}

#[tokio::test]
async fn a_shutdown_ends_what_takes_too_long() {
    let bench = Bench::new().speed("1");
    let engine = bench.start();
    let mut running = engine
        .submit(chat(MODEL, &["Tell me a very long story."]))
        .await
        .unwrap();
    let waiting = engine.submit(chat(MODEL, &["Hello"])).await.unwrap();
    first_piece(&mut running).await;
    let (running, waiting, ()) = tokio::join!(
        follow(running),
        follow(waiting),
        engine.shutdown(Duration::ZERO)
    );
    assert!(
        matches!(running.error(), EngineError::ShuttingDown),
        "{running:?}"
    );
    assert!(
        matches!(waiting.error(), EngineError::ShuttingDown),
        "{waiting:?}"
    );
}
