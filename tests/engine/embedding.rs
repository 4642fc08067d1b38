//! Embeddings: vectors, counts, refusals, runs that are given up.

use rkgate::{
    chat::Passage,
    engine::{EngineError, Job, ModelKind, Prompt, settings::AbiOverride},
};

use crate::bench::{Bench, chat, follow, run, until};

const MODEL: &str = "qwen3-embedding-0.6b";
const CHAT_MODEL: &str = "qwen3-0.6b";
const ABIS: [AbiOverride; 3] = [
    AbiOverride::V1_2_0,
    AbiOverride::V1_2_1,
    AbiOverride::V1_3_0,
];

fn embed(passage: Passage) -> Job {
    Job {
        prompt: Prompt::Embed(passage),
        max_tokens: Some(1),
        ..chat(MODEL, &[])
    }
}

fn text(text: &str) -> Job {
    embed(Passage::Text(text.to_owned()))
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn a_text_becomes_a_vector_of_length_one_on_every_abi() {
    for abi in ABIS {
        let bench = Bench::new().abi(abi);
        let engine = bench.start();
        let card = engine.model(MODEL).unwrap();
        assert_eq!((card.kind, card.thinking), (ModelKind::Embedding, false));
        assert!(card.warnings.is_empty(), "{:?}", card.warnings);
        let submitted = engine
            .submit(text("The harbour lies to the north of the old town."))
            .await
            .unwrap();
        let tokens = submitted.prompt_tokens;
        let outcome = follow(submitted).await;
        let usage = outcome.completion().usage;
        assert_eq!(
            (usage.prompt, usage.completion, usage.cached),
            (tokens, 0, 0)
        );
        assert!(!outcome.completion().prefill.is_zero(), "{abi:?}");
        let vector = outcome.vector();
        assert_eq!(vector.len(), 1024);
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-5);
        assert!(outcome.text.is_empty());
    }
}

#[tokio::test]
async fn like_texts_are_nearer_than_unlike_ones_and_the_same_text_is_the_same_vector() {
    let bench = Bench::new();
    let engine = bench.start();
    let mut vectors = Vec::new();
    for passage in [
        "A heat pump moves heat from the cold air outside into the house.",
        "How does a heat pump move heat into a house?",
        "The committee postponed its vote on the new library.",
        "A heat pump moves heat from the cold air outside into the house.",
    ] {
        vectors.push(run(&engine, text(passage)).await.vector().to_vec());
    }
    assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.2);
    // Everything between them shares a prefix with the cache, which must change nothing.
    assert_eq!(vectors[0], vectors[3]);
    let misses = engine.status().counters.misses;
    assert!(misses.iter().all(|miss| miss.prompts == 0), "{misses:?}");
}

#[tokio::test]
async fn the_tokenizers_end_token_is_part_of_a_text_and_control_tokens_in_it_are_not() {
    let bench = Bench::new();
    let engine = bench.start();
    let tokens = |job| async { engine.submit(job).await.unwrap().prompt_tokens };
    assert_eq!(tokens(text("")).await, 1);
    let spelt = tokens(text("<|endoftext|>")).await;
    assert!(spelt > 4, "{spelt} tokens");
    assert_eq!(tokens(embed(Passage::Tokens(vec![5, 6, 7]))).await, 3);
}

#[tokio::test]
async fn ids_are_read_as_they_are_and_unknown_ones_refused() {
    let bench = Bench::new();
    let engine = bench.start();
    let outcome = run(&engine, embed(Passage::Tokens(vec![70, 71, 72]))).await;
    assert_eq!(outcome.completion().usage.prompt, 3);
    for (ids, words) in [(vec![1, 4_000_000_000], "4000000000"), (vec![], "empty")] {
        let error = engine
            .submit(embed(Passage::Tokens(ids)))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, EngineError::Unsupported(why) if why.contains(words)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn each_kind_of_model_refuses_what_the_other_is_for() {
    let bench = Bench::new();
    let engine = bench.start();
    let chat_with_it = engine.submit(chat(MODEL, &["Hello"])).await.unwrap_err();
    let embed_with_it = Job {
        model: CHAT_MODEL.to_owned(),
        ..text("Hello")
    };
    let embed_with_it = engine.submit(embed_with_it).await.unwrap_err();
    for (error, words) in [
        (chat_with_it, "writes no text"),
        (embed_with_it, "gives no embeddings"),
    ] {
        assert!(
            matches!(&error, EngineError::Unsupported(why) if why.contains(words)),
            "{error}"
        );
    }
    assert!(engine.status().workers.is_empty(), "a worker was started");
}

#[tokio::test]
async fn a_text_beyond_the_context_is_refused() {
    let bench = Bench::new();
    let engine = bench.start();
    let error = engine
        .submit(text(&"word ".repeat(5000)))
        .await
        .unwrap_err();
    assert!(
        matches!(error, EngineError::ContextLength { prompt, limit: 4096 } if prompt > 5000),
        "{error}"
    );
}

#[tokio::test]
async fn the_end_of_the_call_is_the_end_of_the_run_where_no_callback_says_so() {
    let bench = Bench::new().fault("no_finish_hidden");
    let engine = bench.start();
    for _ in 0..2 {
        assert_eq!(run(&engine, text("Hello")).await.vector().len(), 1024);
    }
}

#[tokio::test]
async fn what_is_given_up_leaves_the_model_usable_and_chats_go_on_beside_it() {
    let bench = Bench::new().speed("20");
    let engine = bench.start();
    let before = run(&engine, text("Hello")).await.vector().to_vec();
    let long = "A long paragraph about nothing in particular. ".repeat(200);
    let given_up = engine.submit(text(&long)).await.unwrap();
    let waiting = engine.submit(text(&long)).await.unwrap();
    let chat = engine
        .submit(chat(CHAT_MODEL, &["Say hello."]))
        .await
        .unwrap();
    drop((given_up, waiting));
    follow(chat).await.completion();
    assert_eq!(run(&engine, text("Hello")).await.vector(), before);
    until("both to be gone", || engine.status().queued == 0).await;
    let counters = engine.status().counters;
    assert_eq!(counters.completed + counters.cancelled, 5, "{counters:?}");
    assert_eq!(counters.mispredicted, 0);
}
