//! Heads of prompts that several conversations share, kept in files.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};

use rkgate::{
    chat::{Request, Role},
    engine::{
        Counters, Engine, Job, Prompt,
        settings::{AbiOverride, MemoryBudget, PromptCacheSettings},
    },
};

use crate::bench::{Bench, Outcome, chat, message, run};

const MODEL: &str = "qwen3-1.7b";
const OTHER: &str = "minicpm4-0.5b";
const PLENTY: u64 = 4 << 30;

fn bench(max_size: u64) -> Bench {
    let bench = Bench::new();
    let dir = bench.dir.path().join("cache");
    bench.with(|settings| settings.prompt_cache = Some(PromptCacheSettings { dir, max_size }))
}

/// What the conversations share: more than 256 tokens, and less than a second of reading.
fn head() -> String {
    let rules: Vec<String> = (1..60)
        .map(|number| format!("Rule {number}: be kind to the reader."))
        .collect();
    rules.join("\n")
}

/// The first turn of a conversation.
fn question(text: &str) -> Job {
    let messages = vec![message(Role::System, &head()), message(Role::User, text)];
    Job {
        prompt: Prompt::Chat(Arc::new(Request {
            messages,
            thinking: Some(false),
            ..Request::default()
        })),
        ..chat(MODEL, &["-"])
    }
}

async fn ask(engine: &Engine, text: &str) -> Outcome {
    let outcome = run(engine, question(text)).await;
    outcome.completion();
    outcome
}

/// Drives everything out of the model's KV cache.
async fn intrude(engine: &Engine, model: &str) {
    run(engine, chat(model, &["What else is there?"]))
        .await
        .completion();
}

fn files(bench: &Bench, kind: &str) -> Vec<PathBuf> {
    let models = fs::read_dir(bench.dir.path().join("cache"));
    let models = models.into_iter().flatten().flatten();
    let files = models.flat_map(|model| fs::read_dir(model.path()).into_iter().flatten().flatten());
    files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|own| own == kind))
        .collect()
}

fn saved_and_loaded(counters: Counters) -> (u64, u64) {
    (counters.prefixes_saved, counters.prefixes_loaded)
}

#[tokio::test]
async fn a_head_is_saved_when_a_second_conversation_has_it_and_loaded_when_it_is_gone() {
    for abi in [
        AbiOverride::V1_2_0,
        AbiOverride::V1_2_1,
        AbiOverride::V1_3_0,
    ] {
        let bench = bench(PLENTY).abi(abi);
        let engine = bench.start();
        let first = ask(&engine, "What is a lighthouse?").await;
        assert_eq!(saved_and_loaded(engine.status().counters), (0, 0));
        ask(&engine, "Who keeps it?").await;
        assert_eq!(
            saved_and_loaded(engine.status().counters),
            (1, 0),
            "{abi:?}"
        );
        intrude(&engine, MODEL).await;
        let third = ask(&engine, "What is a lighthouse?").await;
        let counters = engine.status().counters;
        assert_eq!(saved_and_loaded(counters), (1, 1), "{abi:?}");
        assert_eq!(third.text, first.text);
        let usage = third.completion().usage;
        assert!(counters.loaded_tokens > 256 && usage.prompt - usage.cached < 64);
        assert_eq!(third.held, Some(usage.cached));
        assert_eq!(counters.mispredicted, 0);
        // Beside what the file holds nothing is gained.
        ask(&engine, "And who paints it?").await;
        assert_eq!(saved_and_loaded(engine.status().counters), (1, 1));
    }
}

#[tokio::test]
async fn another_process_finds_the_file_unless_the_model_has_changed() {
    let bench = bench(PLENTY).with(|settings| settings.memory_budget = MemoryBudget::Bytes(1));
    let engine = bench.start();
    ask(&engine, "What is a lighthouse?").await;
    intrude(&engine, OTHER).await;
    // The same conversation again: its head had to be read twice.
    ask(&engine, "What is a lighthouse?").await;
    assert_eq!(saved_and_loaded(engine.status().counters), (1, 0));
    intrude(&engine, OTHER).await;
    ask(&engine, "Who keeps it?").await;
    assert_eq!(saved_and_loaded(engine.status().counters), (1, 1));
    drop(engine);

    let model = bench.start().model(MODEL).unwrap().path.clone();
    let model = File::options().append(true).open(model).unwrap();
    model.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let engine = bench.start();
    let anew = ask(&engine, "Who keeps it?").await;
    assert_eq!(anew.completion().usage.cached, 0);
    assert_eq!(saved_and_loaded(engine.status().counters), (0, 0));
    assert_eq!(files(&bench, "kv").len(), 1, "it may come back");
}

#[tokio::test]
async fn a_broken_file_is_removed_and_the_prompt_read() {
    let bench = bench(PLENTY);
    let engine = bench.start();
    ask(&engine, "What is a lighthouse?").await;
    ask(&engine, "Who keeps it?").await;
    let [file] = &files(&bench, "kv")[..] else {
        panic!("one file");
    };
    File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(100_000)
        .unwrap();
    intrude(&engine, MODEL).await;
    let answer = ask(&engine, "And who paints it?").await;
    assert_eq!(answer.completion().usage.cached, 0);
    assert_eq!(saved_and_loaded(engine.status().counters), (1, 0));
    assert!(files(&bench, "kv").is_empty() && files(&bench, "trying").is_empty());
    // It is saved again in its time.
    ask(&engine, "What is a lighthouse?").await;
    assert_eq!(saved_and_loaded(engine.status().counters), (2, 0));
}

/// Three conversations that begin with the same head.
async fn ask_three(engine: &Engine) {
    for text in [
        "What is a lighthouse?",
        "Who keeps it?",
        "And who paints it?",
    ] {
        ask(engine, text).await;
    }
}

#[tokio::test]
async fn where_there_is_no_room_nothing_is_saved_and_everything_answered() {
    let bench = bench(1 << 20);
    let engine = bench.start();
    ask_three(&engine).await;
    assert_eq!(saved_and_loaded(engine.status().counters), (0, 0));
    assert!(files(&bench, "kv").is_empty() && files(&bench, "part").is_empty());
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_costs_nothing_but_the_gain() {
    let bench = bench(PLENTY);
    let engine = bench.start();
    ask(&engine, "What is a lighthouse?").await;
    let [seen] = &files(&bench, "seen")[..] else {
        panic!("one head");
    };
    // Neither root nor anyone else writes a file where a directory is.
    fs::create_dir(seen.with_extension("part")).unwrap();
    for text in ["Who keeps it?", "And who paints it?"] {
        ask(&engine, text).await;
    }
    assert_eq!(saved_and_loaded(engine.status().counters), (0, 0));
    assert!(files(&bench, "kv").is_empty());
}

#[tokio::test]
async fn a_runtime_that_does_not_save_answers_as_ever() {
    let bench = bench(PLENTY).fault("no_prompt_cache");
    let engine = bench.start();
    ask_three(&engine).await;
    assert_eq!(saved_and_loaded(engine.status().counters), (0, 0));
    assert!(files(&bench, "kv").is_empty() && files(&bench, "ids").is_empty());
}

#[tokio::test]
async fn what_an_aborted_run_has_saved_is_not_kept() {
    let bench = bench(PLENTY).abi(AbiOverride::V1_2_1);
    let engine = bench.start();
    ask(&engine, "What is a lighthouse?").await;
    // This runtime knows no limit of a run; it is stopped.
    let mut short = question("Who keeps it?");
    short.max_tokens = Some(1);
    run(&engine, short).await.completion();
    assert_eq!(saved_and_loaded(engine.status().counters), (0, 0));
    assert!(files(&bench, "part").is_empty());
}
