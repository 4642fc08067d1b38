//! What the cache saves, history, and prompt cache files.

use super::*;

fn computed(session: &Session, request: &Request) -> u32 {
    let mut sink = recorder();
    session.run(request, &mut sink).unwrap();
    sink.finish().prefill_tokens
}

#[test]
fn the_common_prefix_with_the_last_run_is_not_computed_again() {
    let session = Board::new().load();
    // One token a letter; "ok" and the end token follow the prompt into the cache.
    assert_eq!(computed(&session, &tokens(&session, "abcd[ok]")), 8);
    assert_eq!(
        computed(&session, &tokens(&session, "abcd[ok]")),
        1,
        "the last token always is"
    );
    let next_turn = tokens(&session, "abcd[ok]ok<|im_end|>x[no]");
    assert_eq!(
        computed(&session, &next_turn),
        5,
        "generated tokens are in the cache too"
    );
    assert_eq!(computed(&session, &tokens(&session, "abXd[ok]")), 6);
}

#[test]
fn with_the_fault_no_reuse_nothing_is_saved() {
    let mut board = Board::new();
    board.knobs.faults.no_reuse = true;
    let session = board.load();
    for _ in 0..2 {
        assert_eq!(computed(&session, &tokens(&session, "abcd[ok]")), 8);
    }
}

#[test]
fn history_appends_to_the_cache() {
    let session = Board::new().load();
    let request = Request {
        keep_history: true,
        ..tokens(&session, "ab[ok]")
    };
    assert_eq!(computed(&session, &request), 6);
    assert_eq!(computed(&session, &request), 6);
    assert_eq!(session.cached[0].load(Ordering::SeqCst), 2 * (6 + 3));
}

#[test]
fn overflowing_history_is_dropped_behind_the_part_to_keep() {
    let mut board = Board::new();
    board.settings.max_context_len = 32;
    board.settings.n_keep = 3;
    let session = board.load();
    let request = Request {
        keep_history: true,
        ..tokens(&session, "abcdefghij[ok]")
    };
    (0..3).for_each(|_| assert_eq!(computed(&session, &request), 14));
    assert!(session.cached[0].load(Ordering::SeqCst) <= 32);
    let long = Request {
        keep_history: true,
        ..tokens(&session, &"x".repeat(30))
    };
    assert_eq!(
        session.run(&long, &mut recorder()),
        Err(Failed),
        "what is to be kept and the prompt are too long"
    );
}

#[test]
fn prompts_are_templated_and_the_system_part_survives_clearing() {
    let model = model_file::tests::SAMPLE
        .split("[fault]")
        .next()
        .unwrap()
        .replace("qwen3", "qwen2");
    let session = Board::with_model(&model).load();
    let text = "[hi]".to_owned();
    let input = Input::Prompt {
        text,
        role: template::Role::User,
        enable_thinking: true,
    };
    let request = Request {
        inputs: vec![input],
        keep_history: true,
        ..tokens(&session, "")
    };
    let first = computed(&session, &request);
    let second = computed(&session, &request);
    let system = session.vocabulary.encode(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n",
    );
    assert_eq!(first - second, system.len() as u32);
    session.clear_kv_cache(Clear::KeepSystem, None);
    assert_eq!(
        session.cached[0].load(Ordering::SeqCst),
        system.len() as i32
    );
    session.clear_kv_cache(Clear::All, None);
    assert_eq!(session.cached[0].load(Ordering::SeqCst), 0);
}

#[test]
fn ranges_are_cleared_in_a_paused_answer_only() {
    let session = Board::new().load();
    session
        .run(&tokens(&session, "abcd[ok]"), &mut recorder())
        .unwrap();
    session.clear_kv_cache(Clear::All, Some(&[(0, 4)]));
    assert_eq!(session.cached[0].load(Ordering::SeqCst), 11);
    let mut pausing = Recorder {
        calls: Vec::new(),
        answer: |_: &Call| Verdict::Pause,
    };
    session
        .run(&tokens(&session, "abcd[ok]"), &mut pausing)
        .unwrap();
    session.clear_kv_cache(Clear::All, Some(&[(0, 4)]));
    assert_eq!(session.cached[0].load(Ordering::SeqCst), 5);
}

#[test]
fn a_saved_prompt_is_not_computed_by_the_next_process() {
    let board = Board::new();
    let file = board.dir.path().join("cache.bin");
    let prompt = "abcdefgh[ok]";
    let session = board.load();
    let saving = Request {
        save_cache: Some(file.clone()),
        ..tokens(&session, prompt)
    };
    session.run(&saving, &mut recorder()).unwrap();

    let session = board.load();
    session.load_prompt_cache(&file).unwrap();
    assert_eq!(
        session.load_prompt_cache(&file),
        Err(Failed),
        "one at a time"
    );
    assert_eq!(computed(&session, &tokens(&session, prompt)), 1);
    session.release_prompt_cache();
    assert_eq!(computed(&session, &tokens(&session, prompt)), 12);
    assert_eq!(
        session.load_prompt_cache(&board.dir.path().join("none")),
        Err(Failed)
    );
}

#[test]
fn adapters_must_be_loaded_before_they_are_named() {
    let board = Board::new();
    let session = board.load();
    let request = Request {
        lora: Some("a".to_owned()),
        ..tokens(&session, "[ok]")
    };
    assert_eq!(session.run(&request, &mut recorder()), Err(Failed));
    assert_eq!(
        session.load_lora(&board.dir.path().join("none"), "a"),
        Err(Failed)
    );
    let path = board.dir.path().join("tokenizer.json");
    session.load_lora(&path, "a").unwrap();
    assert_eq!(session.load_lora(&path, "a"), Err(Failed));
    assert_eq!(session.run(&request, &mut recorder()), Ok(()));
}
