//! Stopping a run from another thread, and two runs on one handle.

use super::*;

/// Runs on a thread of its own until `tokens` have come, then lets `meanwhile` work, then takes the rest.
fn interrupted(session: &Session, request: &Request, meanwhile: impl FnOnce()) -> Vec<Call> {
    let (reached, at_token) = channel();
    let (go_on, gate) = channel::<()>();
    std::thread::scope(|scope| {
        let run = scope.spawn(move || {
            let mut seen = 0;
            let mut sink = Recorder {
                calls: Vec::new(),
                answer: move |_: &Call| {
                    seen += 1;
                    if seen == 2 {
                        reached.send(()).unwrap();
                        gate.recv().unwrap();
                    }
                    Verdict::Continue
                },
            };
            session.run(request, &mut sink).unwrap();
            sink.calls
        });
        at_token.recv().unwrap();
        meanwhile();
        go_on.send(()).unwrap();
        run.join().unwrap()
    })
}

#[test]
fn an_abort_ends_the_run_after_the_token_with_finish() {
    let session = Board::new().load();
    let request = tokens(&session, "[abcdef]");
    let calls = interrupted(&session, &request, || session.abort());
    let states: Vec<_> = calls.iter().map(|call| call.state).collect();
    assert_eq!(
        states,
        [
            LLMCallState::NORMAL,
            LLMCallState::NORMAL,
            LLMCallState::FINISH
        ]
    );
    assert_eq!(calls[2].perf.generate_tokens, 2);
    let mut sink = recorder();
    session.run(&request, &mut sink).unwrap();
    assert_eq!(
        sink.text(),
        "abcdef<|im_end|>",
        "the next run is not touched"
    );
}

#[test]
fn an_idle_abort_is_lost_or_kills_the_next_run() {
    let mut board = Board::new();
    for (sticky, expected) in [(false, "ab<|im_end|>"), (true, "")] {
        board.knobs.faults.sticky_abort = sticky;
        let session = board.load();
        session.abort();
        let mut sink = recorder();
        session.run(&tokens(&session, "[ab]"), &mut sink).unwrap();
        assert_eq!(sink.text(), expected);
        let mut sink = recorder();
        session.run(&tokens(&session, "[ab]"), &mut sink).unwrap();
        assert_eq!(sink.text(), "ab<|im_end|>", "once only");
    }
}

#[test]
fn an_abort_can_spoil_later_runs() {
    let mut board = Board::new();
    for (poisoned, alone) in [(Poisoned::History, Ok(())), (Poisoned::All, Err(Failed))] {
        board.knobs.faults.abort_poisons = Some(poisoned);
        let session = board.load();
        let request = tokens(&session, "[abcdef]");
        interrupted(&session, &request, || session.abort());
        let with_history = Request {
            keep_history: true,
            ..request.clone()
        };
        assert_eq!(session.run(&with_history, &mut recorder()), Err(Failed));
        assert_eq!(session.run(&request, &mut recorder()), alone);
        for request in [with_history, request] {
            assert_eq!(
                board.load().run(&request, &mut recorder()),
                Ok(()),
                "loading again helps"
            );
        }
    }
}

#[test]
fn clearing_during_a_run_waits_for_its_end() {
    let session = Board::new().load();
    interrupted(&session, &tokens(&session, "[abc]"), || {
        session.clear_kv_cache(Clear::All, None)
    });
    assert_eq!(session.cached[0].load(Ordering::SeqCst), 0);
}

#[test]
fn a_second_run_on_a_handle_waits_for_the_first() {
    let session = Board::new().load();
    let request = tokens(&session, "[abc]");
    let (ended, second_ended): (Sender<&str>, _) = channel();
    std::thread::scope(|scope| {
        let calls = interrupted(&session, &request, || {
            let (session, request, ended) = (&session, &request, ended.clone());
            scope.spawn(move || {
                session.run(request, &mut recorder()).unwrap();
                ended.send("second").unwrap();
            });
            assert!(
                second_ended
                    .recv_timeout(Duration::from_millis(50))
                    .is_err()
            );
        });
        assert_eq!(calls.len(), 5);
        assert_eq!(second_ended.recv(), Ok("second"));
    });
}

#[test]
fn real_time_is_the_time_of_the_board_divided_by_the_speed() {
    let mut board = Board::new();
    board.knobs.speed = 20.0;
    let session = board.load();
    let begun = Instant::now();
    let mut sink = recorder();
    session
        .run(
            &tokens(&session, &format!("[{}]", "ab".repeat(20))),
            &mut sink,
        )
        .unwrap();
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    let board_ms = sink.finish().prefill_ms + sink.finish().generate_ms;
    assert!(
        took >= board_ms / 20.0,
        "{took} ms for {board_ms} ms of the board"
    );
    assert!(
        took < board_ms / 20.0 + 500.0,
        "{took} ms for {board_ms} ms of the board"
    );
}

#[test]
fn a_hung_run_neither_goes_on_nor_returns() {
    let mut board = Board::new();
    board.knobs.faults.hang = Some(2);
    let (called, calls) = channel();
    let ended = called.clone();
    // The thread stays blocked until the test process ends, as the fault promises.
    std::thread::spawn(move || {
        let session = board.load();
        let answer = move |call: &Call| {
            called.send(Some(call.state)).unwrap();
            Verdict::Continue
        };
        let mut sink = Recorder {
            calls: Vec::new(),
            answer,
        };
        let _ = session.run(&tokens(&session, "[abcdef]"), &mut sink);
        ended.send(None).unwrap();
    });
    assert_eq!(calls.recv(), Ok(Some(LLMCallState::NORMAL)));
    assert_eq!(calls.recv(), Ok(Some(LLMCallState::NORMAL)));
    assert!(calls.recv_timeout(Duration::from_millis(100)).is_err());
}
