//! Models that a person loads, unloads and pins.

use rkgate::engine::{Engine, EngineError, Residency, ResidencyError, settings::MemoryBudget};

use crate::bench::{Bench, chat, first_piece, follow, run, until};

const ONE: &str = "minicpm4-0.5b";
const OTHER: &str = "qwen3-0.6b";

fn state(engine: &Engine, model: &str) -> (Residency, bool) {
    let models = engine.status().models;
    let model = models.iter().find(|it| it.model == model).unwrap();
    (model.residency, model.pinned)
}

/// Room for one of the small models, not for two.
fn narrow() -> Bench {
    let bench = Bench::new();
    let engine = bench.start();
    let need = |id| engine.model(id).unwrap().expected_memory();
    let budget = need(ONE) + need(OTHER) - 1;
    bench.with(|settings| settings.memory_budget = MemoryBudget::Bytes(budget))
}

#[tokio::test]
async fn a_model_is_loaded_for_the_next_request_and_unloaded_when_it_is_not_needed() {
    let bench = Bench::new().speed("5");
    let engine = bench.start();
    let (one, two) = tokio::join!(engine.load(ONE), engine.load("MiniCPM4-0.5B"));
    one.and(two).unwrap();
    assert_eq!(state(&engine, ONE), (Residency::Loaded, false));
    let mut answer = engine
        .submit(chat(ONE, &["Tell me a long story."]))
        .await
        .unwrap();
    first_piece(&mut answer).await;
    let refused = engine.unload(ONE).await.unwrap_err();
    assert!(
        matches!(refused, ResidencyError::InUse { requests: 1, .. }),
        "{refused}"
    );
    assert_eq!(follow(answer).await.loading, 0);
    engine.unload(ONE).await.unwrap();
    assert_eq!(state(&engine, ONE), (Residency::Absent, false));
    assert!(engine.status().workers.is_empty());
    let counters = engine.status().counters;
    assert_eq!((counters.loads, counters.unloads), (1, 1));
    run(&engine, chat(ONE, &["Hello"])).await.completion();
}

#[tokio::test]
async fn a_load_by_hand_waits_for_room_and_can_be_called_off() {
    let bench = narrow().speed("5");
    let engine = bench.start();
    let mut answer = engine
        .submit(chat(ONE, &["Tell me a long story."]))
        .await
        .unwrap();
    first_piece(&mut answer).await;
    let called_off = tokio::spawn({
        let engine = engine.clone();
        async move { engine.load(OTHER).await }
    });
    until("waiting", || state(&engine, OTHER).0 == Residency::Waiting).await;
    engine.unload(OTHER).await.unwrap();
    let called_off = called_off.await.unwrap();
    assert!(matches!(called_off, Err(ResidencyError::CalledOff(_))));
    let loaded = engine.load(OTHER);
    drop(answer);
    loaded.await.unwrap();
    assert_eq!(state(&engine, ONE).0, Residency::Absent);
    assert_eq!(state(&engine, OTHER).0, Residency::Loaded);
}

#[tokio::test]
async fn a_pinned_model_makes_room_for_a_request_only() {
    let bench = narrow();
    let engine = bench.start();
    engine.pin(ONE, true).unwrap();
    until("loading", || {
        state(&engine, ONE) == (Residency::Loaded, true)
    })
    .await;
    assert!(matches!(
        engine.unload(ONE).await,
        Err(ResidencyError::Pinned(_))
    ));
    let refused = engine.load(OTHER).await.unwrap_err();
    assert!(matches!(&refused, ResidencyError::NoRoom { pinned, .. } if pinned == ONE));
    run(&engine, chat(OTHER, &["Hello"])).await.completion();
    assert_eq!(state(&engine, ONE), (Residency::Absent, true));
    engine.pin(ONE, false).unwrap();
    engine.unload(OTHER).await.unwrap();
    assert_eq!(state(&engine, ONE), (Residency::Absent, false));
}

#[tokio::test]
async fn a_worker_that_has_died_is_noticed_by_a_load_by_hand() {
    let bench = Bench::new();
    let engine = bench.start();
    engine.load(ONE).await.unwrap();
    let pid = engine.status().workers[0].pid.unwrap();
    let mut kill = std::process::Command::new("kill");
    assert!(
        kill.args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
    until("the worker's end", || engine.status().workers.is_empty()).await;
    engine.load(ONE).await.unwrap();
    assert_ne!(engine.status().workers[0].pid.unwrap(), pid);
}

#[tokio::test]
async fn what_cannot_be_loaded_says_why() {
    let bench = Bench::new().fault("no_driver");
    let engine = bench.start();
    let failed = engine.load(ONE).await.unwrap_err();
    let ResidencyError::Engine(EngineError::Load { model, reason }) = &failed else {
        panic!("{failed}");
    };
    assert!(model == ONE && !reason.is_empty());
    let unknown = engine.load("nobody").await.unwrap_err();
    assert!(matches!(
        unknown,
        ResidencyError::Engine(EngineError::UnknownModel { .. })
    ));
}
