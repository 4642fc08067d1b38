//! Workers, models and libraries that fail.

use std::{process::Command, time::Duration};

use futures::future::join_all;
use rkgate::engine::{
    Engine, EngineError, Residency, WorkerStatus,
    settings::{AbiOverride, Library},
};
use tokio::runtime::Handle;

use crate::bench::{Bench, chat, first_piece, follow, run, until};

const MODEL: &str = "qwen3-1.7b";

#[tokio::test]
async fn a_killed_worker_costs_one_job() {
    let bench = Bench::new().speed("2");
    let engine = bench.start();
    let mut cut = engine
        .submit(chat(MODEL, &["Tell me a long story."]))
        .await
        .unwrap();
    first_piece(&mut cut).await;
    let pid = engine.status().workers[0].pid.unwrap();
    assert!(
        Command::new("kill")
            .arg("-9")
            .arg(pid.to_string())
            .status()
            .unwrap()
            .success()
    );
    let outcome = follow(cut).await;
    let EngineError::Worker { what, .. } = outcome.error() else {
        panic!("{outcome:?}")
    };
    assert!(what.contains("signal 9"), "{what}");
    let mut job = chat(MODEL, &["Hello"]);
    job.max_tokens = Some(3);
    let next = run(&engine, job).await;
    next.completion();
    assert_eq!(next.loading, 1);
    assert_eq!(engine.status().counters.workers_lost, 1);
}

#[tokio::test]
async fn a_worker_that_dies_before_a_full_queue_costs_none_of_those_that_wait() {
    const PLACES: usize = 3;
    let bench = Bench::new()
        .speed("5")
        .with(|settings| settings.queue_limit = PLACES);
    let engine = bench.start();
    let mut cut = engine
        .submit(chat(MODEL, &["Tell me a long story."]))
        .await
        .unwrap();
    first_piece(&mut cut).await;
    let mut waiting = Vec::new();
    for question in ["One?", "Two?", "Three?"] {
        let mut job = chat(MODEL, &[question]);
        job.max_tokens = Some(4);
        waiting.push(engine.submit(job).await.unwrap());
    }
    let refused = engine.submit(chat(MODEL, &["Four?"])).await.unwrap_err();
    assert!(
        matches!(refused, EngineError::QueueFull { .. }),
        "{refused}"
    );
    let pid = engine.status().workers[0].pid.unwrap().to_string();
    let kill = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(kill.success());
    let answers = join_all(waiting.into_iter().map(follow));
    let (cut, answers) = tokio::join!(follow(cut), answers);
    assert!(
        matches!(cut.error(), EngineError::Worker { what, .. } if what.contains("signal 9")),
        "{cut:?}"
    );
    for answer in &answers {
        assert_eq!(answer.completion().usage.completion, 4);
    }
    let loads: usize = answers.iter().map(|answer| answer.loading).sum();
    assert_eq!(loads, 1, "of the first who waited");
    let status = engine.status();
    let counters = status.counters;
    assert_eq!(
        (status.queued, counters.completed, counters.failed),
        (0, PLACES as u64, 1)
    );
    assert_eq!((counters.workers_lost, counters.loads), (1, 2));
    assert_eq!(status.workers.len(), 1);
}

/// Kills the only worker of this model.
fn kill_worker(engine: &Engine, model: &str) -> u32 {
    let workers = engine.status().workers;
    let worker = workers.iter().find(|worker| worker.model == model).unwrap();
    let pid = worker.pid.unwrap();
    let kill = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(kill.unwrap().success());
    pid
}

fn residency(engine: &Engine, model: &str) -> Residency {
    let models = engine.status().models;
    let model = models.iter().find(|it| it.model == model).unwrap();
    model.residency
}

#[tokio::test]
async fn a_worker_that_dies_idle_leaves_its_room_and_a_pinned_one_comes_back() {
    const PINNED: &str = "minicpm4-0.5b";
    let bench = Bench::new();
    let engine = bench.start();
    engine.pin(PINNED, true).unwrap();
    engine.load(PINNED).await.unwrap();
    engine.load(MODEL).await.unwrap();
    kill_worker(&engine, MODEL);
    until("the loss", || {
        residency(&engine, MODEL) == Residency::Absent
    })
    .await;
    assert_eq!(engine.status().counters.workers_lost, 1);
    let pid = kill_worker(&engine, PINNED);
    let back = |worker: &WorkerStatus| worker.resident.is_some() && worker.pid != Some(pid);
    until("the next load", || engine.status().workers.iter().any(back)).await;
    until("the end of the load", || {
        residency(&engine, PINNED) == Residency::Loaded
    })
    .await;
    let counters = engine.status().counters;
    assert_eq!((counters.workers_lost, counters.loads), (2, 3));
    let mut job = chat(MODEL, &["Hello"]);
    job.max_tokens = Some(3);
    assert_eq!(run(&engine, job).await.loading, 1);
    assert_eq!(engine.status().workers.len(), 2);
}

#[tokio::test]
async fn a_worker_that_dies_while_it_loads_counts() {
    let bench = Bench::new().speed("1");
    let engine = bench.start();
    let job = engine.submit(chat(MODEL, &["Hello"])).await.unwrap();
    until("the load", || {
        residency(&engine, MODEL) == Residency::Loading
    })
    .await;
    kill_worker(&engine, MODEL);
    let outcome = follow(job).await;
    assert!(
        matches!(outcome.error(), EngineError::Load { .. }),
        "{outcome:?}"
    );
    let counters = engine.status().counters;
    assert_eq!((counters.workers_lost, counters.load_failures), (1, 1));
}

#[tokio::test]
async fn a_crash_in_the_runtime_is_named() {
    let bench = Bench::new().fault("crash=3");
    let engine = bench.start();
    let outcome = run(&engine, chat(MODEL, &["Hello"])).await;
    let EngineError::Worker { what, .. } = outcome.error() else {
        panic!("{outcome:?}")
    };
    assert!(what.contains("signal"), "{what}");
    assert!(!outcome.text.is_empty());
}

#[tokio::test]
async fn a_hanging_runtime_is_killed_and_the_next_job_served() {
    let bench = Bench::new()
        .fault("hang=3")
        .with(|settings| settings.stall_timeout = Duration::from_millis(500));
    let engine = bench.start();
    for _ in 0..2 {
        let outcome = run(&engine, chat(MODEL, &["Hello"])).await;
        let EngineError::Worker { what, .. } = outcome.error() else {
            panic!("{outcome:?}")
        };
        assert!(what.contains("no token"), "{what}");
        assert_eq!(outcome.loading, 1);
    }
}

#[tokio::test]
async fn a_stopped_process_counts_as_dead() {
    let bench = Bench::new()
        .speed("1")
        .with(|settings| settings.heartbeat_timeout = Duration::from_secs(3));
    let engine = bench.start();
    let mut stopped = engine
        .submit(chat(MODEL, &["Tell me a long story."]))
        .await
        .unwrap();
    first_piece(&mut stopped).await;
    let pid = engine.status().workers[0].pid.unwrap();
    assert!(
        Command::new("kill")
            .arg("-STOP")
            .arg(pid.to_string())
            .status()
            .unwrap()
            .success()
    );
    let outcome = follow(stopped).await;
    let EngineError::Worker { what, .. } = outcome.error() else {
        panic!("{outcome:?}")
    };
    assert!(what.contains("sign of life"), "{what}");
}

#[tokio::test]
async fn a_failed_run_is_told_in_the_runtimes_words_and_the_worker_lives_on() {
    let bench = Bench::new().fault("error=2");
    let engine = bench.start();
    let outcome = run(&engine, chat(MODEL, &["Hello"])).await;
    assert!(
        matches!(outcome.error(), EngineError::Run { .. }),
        "{outcome:?}"
    );
    let again = run(&engine, chat(MODEL, &["Hello"])).await;
    assert_eq!(again.loading, 0);
}

#[tokio::test]
async fn a_missing_or_broken_model_file_is_explained() {
    let bench = Bench::new();
    let engine = bench.start();
    for (contents, expected) in [
        (None, "cannot be opened"),
        (Some("junk"), "no rkllm model"),
        (Some("# rkllm-sim model\nx"), "damaged"),
    ] {
        let path = &engine.model(MODEL).unwrap().path;
        match contents {
            None => std::fs::remove_file(path).unwrap(),
            Some(text) => std::fs::write(path, text).unwrap(),
        }
        let outcome = run(&engine, chat(MODEL, &["Hello"])).await;
        let EngineError::Load { reason, .. } = outcome.error() else {
            panic!("{outcome:?}")
        };
        assert!(reason.contains(expected), "{reason}");
    }
    // Another model is not affected.
    run(&engine, chat("qwen3-0.6b", &["Hello"]))
        .await
        .completion();
}

#[tokio::test]
async fn load_failures_carry_the_cure() {
    for (fault, expected) in [
        ("no_driver", "rknpu driver"),
        ("wrong_platform", "another chip"),
        ("crash_load", "signal"),
    ] {
        let bench = Bench::new().fault(fault);
        let engine = bench.start();
        let outcome = run(&engine, chat(MODEL, &["Hello"])).await;
        let EngineError::Load { reason, .. } = outcome.error() else {
            panic!("{outcome:?}")
        };
        assert!(reason.contains(expected), "{fault}: {reason}");
        assert_eq!(engine.status().counters.load_failures, 1);
    }
}

#[tokio::test]
async fn a_broken_tokenizer_fails_the_submission() {
    let bench = Bench::new();
    std::fs::write(bench.model_dir(MODEL).join("tokenizer.json"), "{}").unwrap();
    let engine = bench.start();
    let error = engine.submit(chat(MODEL, &["Hello"])).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Load { reason, .. } if reason.contains("tokenizer.json")),
        "{error}"
    );
}

#[tokio::test]
async fn a_runtime_of_unknown_version_is_refused_by_name() {
    let bench = Bench::new();
    let library = bench.dir.path().join("librkllmrt.so");
    std::fs::write(&library, "\0RKLLM SDK (version: 1.9.0 | target: Linux)\0").unwrap();
    let bench = bench.with(|settings| settings.library = Library::Path(library));
    let engine = bench.start();
    let outcome = run(&engine, chat(MODEL, &["Hello"])).await;
    let EngineError::Load { reason, .. } = outcome.error() else {
        panic!("{outcome:?}")
    };
    assert!(reason.contains("1.9.0"), "{reason}");
    let missing =
        bench.with(|settings| settings.library = Library::Path("/nowhere/librkllmrt.so".into()));
    assert!(Engine::start(missing.settings.clone(), Handle::current()).is_err());
}

#[tokio::test]
async fn a_lost_end_token_changes_nothing() {
    let healthy = Bench::new().abi(AbiOverride::V1_3_0);
    let expected = run(&healthy.start(), chat(MODEL, &["Tell me about the sea."])).await;
    let bench = Bench::new().abi(AbiOverride::V1_3_0).fault("eos_lost");
    let engine = bench.start();
    for _ in 0..2 {
        let outcome = run(&engine, chat(MODEL, &["Tell me about the sea."])).await;
        assert_eq!(outcome.completion().finish, expected.completion().finish);
        assert_eq!(outcome.text, expected.text);
        assert_eq!(
            outcome.completion().usage.completion,
            expected.completion().usage.completion
        );
    }
}

#[tokio::test]
async fn a_context_above_the_models_limit_is_lowered() {
    let bench = Bench::new();
    let manifest = bench.model_dir(MODEL).join("model.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("context"))
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(&manifest, format!("context = 1048576\n{text}")).unwrap();
    let engine = bench.start();
    run(&engine, chat(MODEL, &["Hello"])).await.completion();
    let context = engine.status().workers[0]
        .resident
        .as_ref()
        .unwrap()
        .context;
    assert!(context <= 16384, "{context}");
}

#[tokio::test]
async fn a_machine_that_stood_still_loses_no_worker() {
    let timeout = Duration::from_secs(3);
    let bench = Bench::new().with(|settings| settings.heartbeat_timeout = timeout);
    let engine = bench.start();
    let first = run(&engine, chat(MODEL, &["Hello"])).await;
    let pid = engine.status().workers[0].pid.unwrap().to_string();
    let signal = |name: &str| {
        let kill = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(kill.success());
    };
    signal("-STOP");
    #[allow(
        clippy::disallowed_methods,
        reason = "the whole process is to stand still"
    )]
    std::thread::sleep(timeout + Duration::from_millis(2500));
    // The engine wakes up first, and finds its worker silent.
    tokio::time::sleep(Duration::from_millis(50)).await;
    signal("-CONT");
    let second = run(
        &engine,
        chat(MODEL, &["Hello", first.text.trim(), "And now?"]),
    )
    .await;
    let read = first.completion().usage;
    assert_eq!(
        second.completion().usage.cached,
        read.prompt + read.completion
    );
    assert_eq!(engine.status().counters.loads, 1);
}
