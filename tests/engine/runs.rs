//! Answers: text, ends, counts.

use rkgate::{
    chat::{FinishReason, Role, Sampling},
    engine::{
        EngineError, Prompt,
        settings::{AbiOverride, Profiles},
    },
};

use crate::bench::{Bench, chat, follow, message, run};

const MODEL: &str = "qwen3-1.7b";
const ABIS: [AbiOverride; 3] = [
    AbiOverride::V1_2_0,
    AbiOverride::V1_2_1,
    AbiOverride::V1_3_0,
];

#[tokio::test]
async fn a_chat_is_answered_with_exact_counts_on_every_abi() {
    for abi in ABIS {
        let bench = Bench::new().abi(abi);
        let engine = bench.start();
        let submitted = engine
            .submit(chat(MODEL, &["Tell me about the sea."]))
            .await
            .unwrap();
        let prompt = submitted.prompt_tokens;
        assert!(prompt > 5);
        let outcome = follow(submitted).await;
        let completion = outcome.completion();
        assert_eq!(outcome.loading, 1);
        assert!(
            !outcome.text.is_empty() && !outcome.text.contains("<|"),
            "{abi:?}: {}",
            outcome.text
        );
        assert_eq!(completion.finish, FinishReason::Stop);
        assert_eq!(completion.usage.prompt, prompt);
        // The end token is counted and not shown.
        assert_eq!(
            completion.usage.completion,
            outcome.piece_tokens + 1,
            "{abi:?}"
        );
        assert_eq!(completion.usage.cached, 0);
        assert!(
            !completion.prefill.is_zero() && !completion.decode.is_zero(),
            "{abi:?}: {completion:?}"
        );
    }
}

#[tokio::test]
async fn the_next_turn_reuses_the_prefix() {
    for abi in ABIS {
        let bench = Bench::new().abi(abi);
        let engine = bench.start();
        let first = run(&engine, chat("phi-3-mini", &["Hello"])).await;
        let second = run(
            &engine,
            chat("phi-3-mini", &["Hello", &first.text, "And now?"]),
        )
        .await;
        let cached = second.completion().usage.cached;
        let expected = first.completion().usage.prompt;
        assert!(cached >= expected, "{abi:?}: {cached} of {expected} reused");
        assert_eq!(
            second.held,
            Some(cached),
            "{abi:?}: told at the beginning too"
        );
        assert!(second.completion().usage.prompt > cached);
        let counters = engine.status().counters;
        assert_eq!(
            (counters.completed, counters.mispredicted, counters.loads),
            (2, 0, 1),
            "{abi:?}: {counters:?}"
        );
    }
}

#[tokio::test]
async fn max_tokens_ends_the_answer_exactly_and_leaves_the_model_usable() {
    for abi in ABIS {
        let bench = Bench::new().abi(abi).fault("abort_poisons");
        let engine = bench.start();
        for _ in 0..2 {
            let mut job = chat(MODEL, &["Tell me a long story."]);
            job.max_tokens = Some(5);
            let outcome = run(&engine, job).await;
            let completion = outcome.completion();
            assert_eq!(
                (completion.finish, completion.usage.completion),
                (FinishReason::Length, 5),
                "{abi:?}"
            );
            assert!(!outcome.text.is_empty());
        }
        assert_eq!(
            run(&engine, chat(MODEL, &["Hello"]))
                .await
                .completion()
                .finish,
            FinishReason::Stop
        );
    }
}

#[tokio::test]
async fn a_final_message_of_the_model_is_continued() {
    let bench = Bench::new();
    let engine = bench.start();
    let fresh = engine
        .submit(chat(MODEL, &["Count", "One, two,", "go on"]))
        .await
        .unwrap();
    let continued = engine
        .submit(chat(MODEL, &["Count", "One, two,"]))
        .await
        .unwrap();
    assert!(continued.prompt_tokens < fresh.prompt_tokens);
    assert_eq!(
        follow(continued).await.completion().finish,
        FinishReason::Stop
    );
}

#[tokio::test]
async fn thinking_follows_the_request() {
    let bench = Bench::new();
    let engine = bench.start();
    let thinking = |on: bool| {
        let mut job = chat(MODEL, &["Why is the sky blue?"]);
        if let Prompt::Chat(request) = &mut job.prompt {
            std::sync::Arc::make_mut(request).thinking = Some(on);
        }
        job
    };
    let thought = run(&engine, thinking(true)).await;
    let plain = run(&engine, thinking(false)).await;
    assert!(thought.text.contains("</think>"), "{}", thought.text);
    assert!(!plain.text.contains("</think>"), "{}", plain.text);
}

#[tokio::test]
async fn raw_text_is_run_as_it_is() {
    let bench = Bench::new();
    let engine = bench.start();
    let mut job = chat(MODEL, &[]);
    job.prompt = Prompt::Text("Once upon a time".to_owned());
    let submitted = engine.submit(job).await.unwrap();
    assert!((2..10).contains(&submitted.prompt_tokens));
    assert!(follow(submitted).await.completion().usage.completion > 0);
}

#[tokio::test]
async fn sampling_is_told_as_the_runtime_uses_it() {
    for (abi, temperature) in [(AbiOverride::V1_2_1, 0.6), (AbiOverride::V1_3_0, 0.25)] {
        let bench = Bench::new().abi(abi);
        let engine = bench.start();
        let mut job = chat(MODEL, &["Hi"]);
        job.sampling = Sampling {
            temperature: Some(0.25),
            top_k: Some(1),
            ..Sampling::default()
        };
        let started = run(&engine, job).await.started.unwrap();
        assert_eq!(started.sampling.temperature, Some(temperature), "{abi:?}");
        assert!(started.sampling.top_k.unwrap() > 1);
    }
}

#[tokio::test]
async fn a_runtime_without_sampling_per_run_is_loaded_with_the_policys_values() {
    let profiles = Profiles::new(|card, _| {
        assert_eq!(card.id, MODEL);
        Sampling {
            temperature: Some(0.35),
            top_k: Some(7),
            ..Sampling::default()
        }
    });
    for (abi, expected) in [
        (AbiOverride::V1_2_0, (0.35, 7)),
        (AbiOverride::V1_2_1, (0.35, 7)),
        // Each run has its own.
        (AbiOverride::V1_3_0, (0.25, 5)),
    ] {
        let bench = Bench::new().abi(abi);
        let bench = bench.with(|settings| settings.profiles = Some(profiles.clone()));
        let engine = bench.start();
        let mut job = chat(MODEL, &["Hi"]);
        job.sampling = Sampling {
            temperature: Some(0.25),
            top_k: Some(5),
            ..Sampling::default()
        };
        let used = run(&engine, job).await.started.unwrap().sampling;
        assert_eq!(
            (used.temperature.unwrap(), used.top_k.unwrap()),
            expected,
            "{abi:?}"
        );
    }
}

#[tokio::test]
async fn a_prompt_beyond_the_context_is_refused_before_anything_is_loaded() {
    let bench = Bench::new();
    let engine = bench.start();
    let limit = engine.model(MODEL).unwrap().context.unwrap();
    let error = engine
        .submit(chat(MODEL, &[&"word ".repeat(limit as usize)]))
        .await
        .unwrap_err();
    assert!(
        matches!(error, EngineError::ContextLength { prompt, limit: told } if prompt > limit && told == limit),
        "{error}"
    );
    assert!(
        engine
            .status()
            .workers
            .iter()
            .all(|worker| worker.resident.is_none())
    );
    assert_eq!(engine.status().queued, 0);
}

#[tokio::test]
async fn what_has_no_place_in_a_prompt_is_refused_with_a_reason() {
    let bench = Bench::new();
    let engine = bench.start();
    let mut job = chat(MODEL, &[]);
    job.prompt = Prompt::Chat(std::sync::Arc::new(rkgate::chat::Request {
        messages: vec![rkgate::chat::Message {
            content: rkgate::chat::Content::Parts(vec![rkgate::chat::Part::Image(
                "data:image/png;base64,AA==".to_owned(),
            )]),
            ..message(Role::User, "")
        }],
        ..rkgate::chat::Request::default()
    }));
    let error = engine.submit(job).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Unsupported(why) if why.contains("image")),
        "{error}"
    );
    let error = engine.submit(chat("gpt-4", &["Hi"])).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::UnknownModel { known, .. } if known.contains(MODEL)),
        "{error}"
    );
}

#[tokio::test]
async fn without_a_tokenizer_the_runtimes_own_template_answers() {
    let bench = Bench::new();
    let dir = bench.model_dir(MODEL);
    // The simulated runtime itself reads the file, as a real one has it in the model.
    std::fs::write(
        dir.join("model.toml"),
        "tokenizer = 'none'\ncontext = 4096\n",
    )
    .unwrap();
    let engine = bench.start();
    assert!(
        engine
            .model(MODEL)
            .unwrap()
            .warnings
            .iter()
            .any(|warning| warning.contains("tokenizer.json"))
    );
    let outcome = run(&engine, chat(MODEL, &["Tell me about the sea."])).await;
    let completion = outcome.completion();
    assert_eq!(completion.finish, FinishReason::Stop);
    assert!(
        completion.usage.prompt > 5 && completion.usage.completion > 5,
        "{completion:?}"
    );
    assert!(!outcome.text.is_empty());
}
