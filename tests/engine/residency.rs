//! Which models stay in memory.

use std::{path::Path, time::Duration};

use futures::future::join_all;
use rkgate::engine::{
    Engine, EngineError,
    settings::{AbiOverride, MemoryBudget},
};

use crate::bench::{Bench, chat, run, until};

fn resident(engine: &Engine) -> Vec<String> {
    let workers = engine.status().workers;
    workers
        .into_iter()
        .filter(|worker| worker.resident.is_some())
        .map(|worker| worker.model)
        .collect()
}

async fn use_model(engine: &Engine, model: &str) {
    let mut job = chat(model, &["Hello"]);
    job.max_tokens = Some(2);
    run(engine, job).await.completion();
}

#[tokio::test]
async fn the_least_recently_used_model_makes_room() {
    let bench = Bench::new();
    let need = |id: &str| bench.start().model(id).unwrap().expected_memory();
    let budget = need("qwen3-0.6b") + need("minicpm4-0.5b") + need("qwen3-1.7b") / 2;
    assert!(budget < need("qwen3-4b"));
    let bench = bench.with(|settings| settings.memory_budget = MemoryBudget::Bytes(budget));
    let engine = bench.start();
    use_model(&engine, "qwen3-0.6b").await;
    let first = engine.status().workers[0].pid.unwrap();
    use_model(&engine, "minicpm4-0.5b").await;
    assert_eq!(resident(&engine), ["minicpm4-0.5b", "qwen3-0.6b"]);
    use_model(&engine, "qwen3-1.7b").await;
    assert_eq!(resident(&engine), ["minicpm4-0.5b", "qwen3-1.7b"]);
    assert!(
        !Path::new(&format!("/proc/{first}")).exists(),
        "the process and its memory are gone"
    );
    assert_eq!(engine.status().counters.unloads, 1);
    // What does not fit at all is tried alone.
    use_model(&engine, "qwen3-4b").await;
    assert_eq!(resident(&engine), ["qwen3-4b"]);
}

#[tokio::test]
async fn two_models_with_room_for_one_take_turns_and_every_job_is_answered() {
    let bench = Bench::new().speed("5");
    let need = |id: &str| bench.start().model(id).unwrap().expected_memory();
    let budget = need("qwen3-0.6b").max(need("minicpm4-0.5b")) + (1 << 20);
    let bench = bench.with(|settings| settings.memory_budget = MemoryBudget::Bytes(budget));
    let engine = bench.start();
    let models = ["qwen3-0.6b", "minicpm4-0.5b"].into_iter().cycle();
    let jobs = (0..8).zip(models);
    join_all(jobs.map(|(_, model)| use_model(&engine, model))).await;
    assert_eq!(resident(&engine).len(), 1);
    let counters = engine.status().counters;
    assert_eq!((counters.completed, counters.failed), (8, 0));
    // A B A B is A A B B; one may come too late to go with the others.
    assert!(counters.loads <= 3, "{counters:?}");
    assert_eq!(counters.unloads, counters.loads - 1);
}

#[tokio::test]
async fn big_models_get_domains_of_their_own() {
    let bench = Bench::new().fault("oom");
    let engine = bench.start();
    use_model(&engine, "qwen3-4b").await;
    use_model(&engine, "phi-3-mini").await;
    let domains: Vec<i32> = engine
        .status()
        .workers
        .iter()
        .map(|worker| worker.resident.as_ref().unwrap().domain)
        .collect();
    assert_eq!(domains.len(), 2);
    assert_ne!(domains[0], domains[1]);
}

#[tokio::test]
async fn models_that_are_given_the_same_domain_make_room_for_each_other() {
    let bench = Bench::new().fault("oom");
    for model in ["qwen3-4b", "qwen3-1.7b"] {
        let manifest = bench.model_dir(model).join("model.toml");
        let text = std::fs::read_to_string(&manifest).unwrap_or_default();
        std::fs::write(&manifest, format!("domain = 1\n{text}")).unwrap();
    }
    let engine = bench.start();
    use_model(&engine, "minicpm4-0.5b").await;
    for model in ["qwen3-4b", "qwen3-1.7b", "qwen3-4b"] {
        use_model(&engine, model).await;
        assert_eq!(resident(&engine), ["minicpm4-0.5b", model]);
    }
}

#[tokio::test]
async fn an_idle_model_is_unloaded_and_loaded_again_for_the_next_job() {
    let bench = Bench::new().with(|settings| settings.idle_unload = Duration::from_millis(200));
    let engine = bench.start();
    use_model(&engine, "qwen3-0.6b").await;
    until("unloading", || engine.status().workers.is_empty()).await;
    use_model(&engine, "qwen3-0.6b").await;
    assert_eq!(engine.status().counters.loads, 2);
}

#[tokio::test]
async fn a_pinned_model_is_there_from_the_start_and_stays() {
    let bench = Bench::new().with(|settings| settings.idle_unload = Duration::from_millis(200));
    let manifest = bench.model_dir("minicpm4-0.5b").join("model.toml");
    let text = std::fs::read_to_string(&manifest).unwrap_or_default();
    std::fs::write(&manifest, format!("pin = true\n{text}")).unwrap();
    let engine = bench.start();
    until("preloading", || !resident(&engine).is_empty()).await;
    use_model(&engine, "qwen3-0.6b").await;
    until("unloading", || engine.status().workers.len() == 1).await;
    assert_eq!(resident(&engine), ["minicpm4-0.5b"]);
    assert_eq!(engine.status().counters.loads, 2);
}

#[tokio::test]
async fn a_model_says_itself_how_long_it_stays() {
    let bench = Bench::new().with(|settings| settings.idle_unload = Duration::from_millis(200));
    for (model, stays) in [("minicpm4-0.5b", "1h"), ("qwen3-1.7b", "0s")] {
        let manifest = bench.model_dir(model).join("model.toml");
        let text = std::fs::read_to_string(&manifest).unwrap_or_default();
        std::fs::write(&manifest, format!("idle_unload = \"{stays}\"\n{text}")).unwrap();
    }
    let engine = bench.start();
    for model in ["minicpm4-0.5b", "qwen3-1.7b", "qwen3-0.6b"] {
        use_model(&engine, model).await;
    }
    until("unloading", || engine.status().workers.len() == 2).await;
    assert_eq!(resident(&engine), ["minicpm4-0.5b", "qwen3-1.7b"]);
}

#[tokio::test]
async fn what_is_preloaded_answers_at_once_and_nothing_is_left_of_the_warm_up() {
    let names = ["Qwen3-1.7B", "minicpm4-0.5b", "nobody"].map(str::to_owned);
    for abi in [AbiOverride::V1_2_1, AbiOverride::V1_3_0] {
        let bench = Bench::new().abi(abi);
        let bench = bench.with(|settings| settings.preload = names.to_vec());
        let engine = bench.start();
        until("preloading", || resident(&engine).len() == 2).await;
        assert_eq!(resident(&engine), ["minicpm4-0.5b", "qwen3-1.7b"]);
        let answer = run(&engine, chat("qwen3-1.7b", &["Hello"])).await;
        assert_eq!((answer.loading, answer.completion().usage.cached), (0, 0));
        let again = run(&engine, chat("qwen3-1.7b", &["Hello"])).await;
        assert_eq!(again.text, answer.text);
        let counters = engine.status().counters;
        assert_eq!((counters.loads, counters.mispredicted), (2, 0), "{abi:?}");
    }
}

#[tokio::test]
async fn a_model_that_nobody_waits_for_is_warmed_up() {
    // The runtime dies of its first token.
    let bench = Bench::new().fault("crash");
    let bench = bench.with(|settings| settings.preload = vec!["qwen3-0.6b".to_owned()]);
    let engine = bench.start();
    let failures = || engine.status().counters.load_failures;
    until("the crash of the warm-up", || failures() == 1).await;
    let answer = run(&engine, chat("qwen3-0.6b", &["Hello"])).await;
    assert!(matches!(answer.error(), EngineError::Worker { .. }));
    assert_eq!(failures(), 1, "for a job a load is a load and no more");
}

#[tokio::test]
async fn workers_end_with_the_engine() {
    let bench = Bench::new();
    let engine = bench.start();
    use_model(&engine, "qwen3-0.6b").await;
    let pid = engine.status().workers[0].pid.unwrap();
    drop(engine);
    until("the worker's end", || {
        // Until it is waited for, which the dropped engine cannot do, a dead process stays visible as a zombie.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    })
    .await;
}

#[tokio::test]
async fn without_models_the_simulators_own_are_used() {
    let bench = Bench::new();
    let empty = bench.dir.path().join("empty");
    let bench = bench.with(|settings| settings.models_dir = empty);
    let engine = bench.start();
    let status = engine.status();
    assert!(status.shipped_models && status.library.is_none());
    use_model(&engine, "qwen3-1.7b").await;
    let dir = status.models_dir.clone();
    assert!(dir.exists());
    drop(engine);
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_drives_no_other_out_again_and_again() {
    let bench = Bench::new();
    let need = |id: &str| bench.start().model(id).unwrap().expected_memory();
    let budget = need("qwen3-1.7b") + (1 << 20);
    assert!(budget < need("qwen3-1.7b") + need("minicpm4-0.5b"));
    let bench = bench.with(|settings| settings.memory_budget = MemoryBudget::Bytes(budget));
    let engine = bench.start();
    let file = engine.model("minicpm4-0.5b").unwrap().path.clone();
    let whole = std::fs::read(&file).unwrap();
    let refusal = async || {
        let job = chat("minicpm4-0.5b", &["Hello"]);
        match engine.submit(job).await {
            Err(EngineError::Load { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    use_model(&engine, "qwen3-1.7b").await;
    std::fs::write(&file, "garbage").unwrap();
    // Nobody knows before it was tried.
    let outcome = run(&engine, chat("minicpm4-0.5b", &["Hello"])).await;
    assert!(
        matches!(outcome.error(), EngineError::Load { .. }),
        "{outcome:?}"
    );
    use_model(&engine, "qwen3-1.7b").await;
    for _ in 0..3 {
        let reason = refusal().await;
        assert!(reason.contains("no rkllm model"), "{reason}");
        assert!(reason.contains("unless the file changes"), "{reason}");
    }
    std::fs::remove_file(&file).unwrap();
    let reason = refusal().await;
    assert!(reason.contains("cannot be read"), "{reason}");
    assert_eq!(resident(&engine), ["qwen3-1.7b"]);
    let counters = engine.status().counters;
    assert_eq!(
        (counters.loads, counters.unloads, counters.load_failures),
        (2, 1, 1)
    );
    std::fs::write(&file, whole).unwrap();
    use_model(&engine, "minicpm4-0.5b").await;
    assert_eq!(resident(&engine), ["minicpm4-0.5b"]);
}
