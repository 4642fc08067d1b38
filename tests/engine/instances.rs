//! A model that may be in memory twice, with a KV cache for each of two conversations.

use rkgate::{
    engine::{Engine, EngineError, Job, Miss, QueueClass, Residency, settings::MemoryBudget},
    telemetry::{Metrics, board::Board},
};

use crate::bench::{Bench, Outcome, chat, first_piece, follow, run, until};

const MODEL: &str = "qwen3-1.7b";
const SMALL: &str = "minicpm4-0.5b";
const LIGHTHOUSES: &str = "What do you know about lighthouses and the people who kept them?";
const BREAD: &str = "Please explain to a beginner how bread is made without any yeast at all.";

/// [`MODEL`] may be in memory so many times.
fn bench(instances: u8) -> Bench {
    bench_of(MODEL, instances)
}

fn bench_of(model: &str, instances: u8) -> Bench {
    let bench = Bench::new();
    let manifest = bench.model_dir(model).join("model.toml");
    let text = std::fs::read_to_string(&manifest).unwrap_or_default();
    std::fs::write(&manifest, format!("instances = {instances}\n{text}")).unwrap();
    bench
}

/// A conversation and what the model has of it.
struct Person {
    turns: Vec<String>,
    held: u32,
}

impl Person {
    fn new(question: &str) -> Self {
        Self {
            turns: vec![question.to_owned()],
            held: 0,
        }
    }

    fn job(&self) -> Job {
        let turns: Vec<&str> = self.turns.iter().map(String::as_str).collect();
        chat(MODEL, &turns)
    }

    fn hears(&mut self, outcome: &Outcome) {
        let usage = outcome.completion().usage;
        self.held = usage.prompt + usage.completion;
        self.turns.push(outcome.text.trim().to_owned());
        self.turns.push("Go on.".to_owned());
    }
}

fn task() -> Job {
    Job {
        queue: QueueClass {
            urgency: 4,
            fallback: true,
            ..QueueClass::default()
        },
        ..chat(MODEL, &["Suggest a title for all of this, in five words."])
    }
}

/// Processes that have the model loaded.
fn resident(engine: &Engine) -> usize {
    let workers = engine.status().workers;
    let loaded = workers.iter().filter(|worker| worker.resident.is_some());
    loaded.count()
}

#[tokio::test]
async fn two_conversations_in_turn_each_keep_their_kv_cache() {
    let bench = bench(2);
    let engine = bench.start();
    let mut people = [Person::new(LIGHTHOUSES), Person::new(BREAD)];
    for _ in 0..3 {
        for person in &mut people {
            let outcome = run(&engine, person.job()).await;
            assert_eq!(outcome.completion().usage.cached, person.held);
            person.hears(&outcome);
        }
    }
    let status = engine.status();
    assert_eq!((status.counters.loads, status.counters.unloads), (2, 0));
    assert_eq!(status.counters.misses[Miss::Intruded as usize].prompts, 0);
    assert_eq!(resident(&engine), 2);
    let listed = status.models.iter().filter(|model| model.model == MODEL);
    let listed: Vec<Residency> = listed.map(|model| model.residency).collect();
    assert_eq!(listed, [Residency::Loaded]);

    let mut metrics = Metrics::new(Board::new("/nonexistent"));
    metrics.watch(engine.clone());
    let scraped = metrics.encode().unwrap();
    let counters = status.counters;
    let computed = counters.prompt_tokens - counters.cached_tokens;
    for (kind, tokens) in [("reused", counters.cached_tokens), ("computed", computed)] {
        let line = format!("rkgate_prefill_tokens_total{{kind=\"{kind}\"}} {tokens}");
        assert!(scraped.lines().any(|it| it == line), "{line}\n{scraped}");
    }
    let memory = format!("rkgate_engine_model_memory_bytes{{model=\"{MODEL}\"}} ");
    let series: Vec<&str> = scraped
        .lines()
        .filter_map(|line| line.strip_prefix(&memory))
        .collect();
    let both = 2 * engine.model(MODEL).unwrap().expected_memory();
    assert_eq!(series, [both.to_string()]);

    engine.unload(MODEL).await.unwrap();
    assert_eq!(resident(&engine), 0);
}

#[tokio::test]
async fn with_one_instance_or_room_for_one_they_drive_each_other_out() {
    let need = Bench::new().start().model(MODEL).unwrap().expected_memory();
    let narrow = bench(2).with(|settings| {
        settings.memory_budget = MemoryBudget::Bytes(need + need / 2);
    });
    for bench in [bench(1), narrow] {
        let engine = bench.start();
        let mut people = [Person::new(LIGHTHOUSES), Person::new(BREAD)];
        for person in &mut people {
            let outcome = run(&engine, person.job()).await;
            person.hears(&outcome);
        }
        for person in &mut people {
            let outcome = run(&engine, person.job()).await;
            let completion = outcome.completion();
            assert_eq!(outcome.miss, Some(Miss::Intruded));
            assert!(completion.usage.cached < person.held / 2);
        }
        assert_eq!(engine.status().counters.loads, 1);
        assert_eq!(resident(&engine), 1);
    }
}

#[tokio::test]
async fn a_task_leaves_the_chat_its_kv_cache() {
    let bench = bench(2);
    let engine = bench.start();
    let mut person = Person::new(LIGHTHOUSES);
    for _ in 0..3 {
        let outcome = run(&engine, person.job()).await;
        assert_eq!(outcome.completion().usage.cached, person.held);
        person.hears(&outcome);
        run(&engine, task()).await.completion();
    }
    assert_eq!(engine.status().counters.loads, 2);
}

#[tokio::test]
async fn those_who_come_while_another_is_answered_get_the_other_instance() {
    let bench = bench(2).speed("5");
    let engine = bench.start();
    let mut first = engine.submit(Person::new(LIGHTHOUSES).job()).await.unwrap();
    first_piece(&mut first).await;
    let second = engine.submit(Person::new(BREAD).job()).await.unwrap();
    until("the second load", || resident(&engine) == 2).await;
    drop(first);
    let outcome = follow(second).await;
    assert_eq!(outcome.completion().usage.cached, 0);
}

#[tokio::test]
async fn other_models_go_before_a_second_instance() {
    let engine = Bench::new().start();
    let need = |id: &str| engine.model(id).unwrap().expected_memory();
    let budget = need(MODEL) * 2 + need(SMALL) / 2;
    let bench = bench(2).with(|settings| settings.memory_budget = MemoryBudget::Bytes(budget));
    let engine = bench.start();
    run(&engine, Person::new(LIGHTHOUSES).job())
        .await
        .completion();
    run(&engine, chat(SMALL, &["Hello"])).await.completion();
    run(&engine, Person::new(BREAD).job()).await.completion();
    let counters = engine.status().counters;
    assert_eq!((counters.loads, counters.unloads), (2, 0));
}

#[tokio::test]
async fn an_instance_that_cannot_be_loaded_is_done_without() {
    // The budget has room for two, the simulated domain for one.
    let bench = bench_of(SMALL, 2);
    let need = bench.start().model(SMALL).unwrap().expected_memory();
    let megabytes = need * 3 / 2 / 1_000_000;
    let bench = bench.fault(&format!("oom={megabytes}"));
    let engine = bench.start();
    let ask = async |question| run(&engine, chat(SMALL, &[question])).await;
    ask(LIGHTHOUSES).await.completion();
    assert!(matches!(ask(BREAD).await.error(), EngineError::Load { .. }));
    ask(BREAD).await.completion();
    let counters = engine.status().counters;
    assert_eq!((counters.loads, counters.load_failures), (1, 1));
}
