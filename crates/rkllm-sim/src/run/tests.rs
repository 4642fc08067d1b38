#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::{
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    Composer, author,
    console::{Console, Streams},
    knobs::Knobs,
    model_file,
    session::Clear,
    settings, template, vocabulary,
};

mod aborting;
mod batch;
mod caching;
mod loading;

/// One call of the callback.
#[derive(Debug, Clone, PartialEq)]
struct Call {
    state: LLMCallState,
    ids: Vec<i32>,
    texts: Vec<Option<String>>,
    perf: Perf,
}

/// A sink that writes down every call and answers as told.
struct Recorder<F: FnMut(&Call) -> Verdict> {
    calls: Vec<Call>,
    answer: F,
}

impl<F: FnMut(&Call) -> Verdict> Sink for Recorder<F> {
    fn deliver(&mut self, state: LLMCallState, rows: &[Row<'_>], perf: Perf) -> Verdict {
        let text = |row: &Row<'_>| {
            row.text
                .map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        let ids = rows.iter().map(|row| row.token_id).collect();
        let call = Call {
            state,
            ids,
            texts: rows.iter().map(text).collect(),
            perf,
        };
        let verdict = (self.answer)(&call);
        self.calls.push(call);
        verdict
    }
}

fn recorder() -> Recorder<impl FnMut(&Call) -> Verdict> {
    Recorder {
        calls: Vec::new(),
        answer: |_: &Call| Verdict::Continue,
    }
}

impl<F: FnMut(&Call) -> Verdict> Recorder<F> {
    /// All text of the first row.
    fn text(&self) -> String {
        let normal = self
            .calls
            .iter()
            .filter(|call| call.state == LLMCallState::NORMAL);
        normal.filter_map(|call| call.texts[0].as_deref()).collect()
    }

    fn finish(&self) -> Perf {
        let last = self.calls.last().expect("the callback was called");
        assert_eq!(last.state, LLMCallState::FINISH);
        last.perf
    }

    fn states(&self) -> Vec<LLMCallState> {
        self.calls.iter().map(|call| call.state).collect()
    }
}

/// A model file with its tokenizer, and an environment to load it in.
struct Board {
    dir: TempDir,
    knobs: Knobs,
    settings: Settings,
    composer: Composer,
}

impl Board {
    /// The sample model, on a board where no time passes.
    fn new() -> Self {
        Self::with_model(model_file::tests::SAMPLE.split("[fault]").next().unwrap())
    }

    fn with_model(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.rkllm");
        std::fs::write(&path, format!("{}\n# end\n", text.trim_end())).unwrap();
        std::fs::write(
            dir.path().join("tokenizer.json"),
            vocabulary::tests::sample_json(),
        )
        .unwrap();
        let knobs = Knobs {
            console: Console {
                streams: Streams::None,
                level: 2,
            },
            speed: 0.0,
            npu: dir.path().join("npu"),
            platform: "RK3588".to_owned(),
            faults: crate::faults::Faults::default(),
        };
        let settings = Settings {
            model_path: path,
            ..settings::tests::valid()
        };
        Self {
            dir,
            knobs,
            settings,
            composer: echo,
        }
    }

    fn load(&self) -> Session {
        self.load_as(Abi::V1_2_1)
    }

    fn load_as(&self, abi: Abi) -> Session {
        Session::load(abi, self.settings.clone(), &self.knobs, self.composer).unwrap()
    }
}

/// Says what stands between the last `[` and the last `]` of the prompt.
fn echo(prompt: &author::Prompt<'_>) -> String {
    let text = prompt
        .text
        .rsplit_once(']')
        .map_or(prompt.text, |(text, _)| text);
    text.rsplit_once('[')
        .map_or(text, |(_, text)| text)
        .to_owned()
}

fn tokens(session: &Session, text: &str) -> Request {
    Request {
        inputs: vec![Input::Tokens(session.vocabulary.encode(text))],
        mode: Mode::Generate,
        keep_history: false,
        sampling: None,
        max_new_tokens: 0,
        lora: None,
        save_cache: None,
    }
}

#[test]
fn an_answer_is_its_tokens_the_end_token_and_the_cost() {
    let session = Board::new().load();
    let mut sink = recorder();
    session
        .run(&tokens(&session, "[the cat]"), &mut sink)
        .unwrap();
    assert_eq!(sink.text(), "the cat<|im_end|>");
    let perf = sink.finish();
    assert_eq!((perf.prefill_tokens, perf.generate_tokens), (4, 3));
    let rates = session.model.rates;
    let prefill = rates.prefill_start_ms() + rates.prefill_ms(4, 0);
    let decode = rates.decode_ms(5) + rates.decode_ms(6);
    assert!((perf.prefill_ms - prefill).abs() < 1e-6 && (perf.generate_ms - decode).abs() < 1e-6);
}

#[test]
fn special_tokens_can_be_left_out() {
    let mut board = Board::new();
    board.settings.skip_special_token = true;
    let session = board.load();
    let mut sink = recorder();
    session
        .run(&tokens(&session, "[<think>a</think>b]"), &mut sink)
        .unwrap();
    assert_eq!(sink.text(), "<think>a</think>b");
    assert_eq!(sink.finish().generate_tokens, 5);
}

#[test]
fn the_limit_of_a_run_goes_before_the_limit_of_the_model() {
    let mut board = Board::new();
    board.settings.max_new_tokens = 5;
    let session = board.load();
    for (limit, expected) in [(0, "abcde"), (2, "ab")] {
        let mut sink = recorder();
        let request = Request {
            max_new_tokens: limit,
            ..tokens(&session, "[abcdefg]")
        };
        session.run(&request, &mut sink).unwrap();
        assert_eq!(sink.text(), expected);
    }
}

#[test]
fn an_endless_answer_goes_on_until_the_limit() {
    let mut board = Board::new();
    board.knobs.faults.endless = true;
    let session = board.load();
    let mut sink = recorder();
    let request = Request {
        max_new_tokens: 5,
        ..tokens(&session, "[ab]")
    };
    session.run(&request, &mut sink).unwrap();
    assert_eq!(sink.text(), "ababa");
}

#[test]
fn incomplete_characters_are_announced_and_joined() {
    let session = Board::new().load();
    let mut sink = recorder();
    session
        .run(&tokens(&session, "[\u{e9}!]"), &mut sink)
        .unwrap();
    let states: Vec<_> = sink.states();
    let (waiting, normal, finish) = (
        LLMCallState::WAITING,
        LLMCallState::NORMAL,
        LLMCallState::FINISH,
    );
    assert_eq!(states, [waiting, normal, normal, normal, finish]);
    assert_eq!(sink.calls[1].texts, [Some("\u{e9}".to_owned())]);
    assert!(sink.calls[0].ids[0] >= 0);
}

#[test]
fn an_overlong_prompt_fails_and_leaves_the_handle_usable() {
    let mut board = Board::new();
    board.settings.max_context_len = 32;
    let session = board.load();
    let mut sink = recorder();
    assert_eq!(
        session.run(&tokens(&session, &"x".repeat(33)), &mut sink),
        Err(Failed)
    );
    assert_eq!(sink.states(), [LLMCallState::ERROR]);
    board.knobs.faults.silent_overlong = true;
    let mut silent = recorder();
    let request = tokens(&session, &"x".repeat(33));
    assert_eq!(board.load().run(&request, &mut silent), Ok(()));
    assert_eq!(silent.states(), []);
    let mut sink = recorder();
    session.run(&tokens(&session, "[ok]"), &mut sink).unwrap();
    assert_eq!(sink.text(), "ok<|im_end|>");
}

#[test]
fn generation_goes_on_when_the_context_is_full() {
    let mut board = Board::new();
    board.settings.max_context_len = 32;
    board.settings.n_keep = 4;
    let session = board.load();
    let mut sink = recorder();
    let said = "abcdefghijklmnopqrs";
    session
        .run(&tokens(&session, &format!("[{said}]")), &mut sink)
        .unwrap();
    assert_eq!(sink.text(), format!("{said}<|im_end|>"));
    assert!(session.cached[0].load(Ordering::SeqCst) < 32);
}

#[test]
fn pausing_keeps_the_answer_for_the_next_run_whatever_that_asks() {
    let session = Board::new().load();
    let mut sink = Recorder {
        calls: Vec::new(),
        answer: |call: &Call| {
            if call.texts[0].as_deref() == Some("b") {
                Verdict::Pause
            } else {
                Verdict::Continue
            }
        },
    };
    session.run(&tokens(&session, "[abcd]"), &mut sink).unwrap();
    assert_eq!(sink.text(), "ab");
    assert!(!sink.states().contains(&LLMCallState::FINISH));
    let mut sink = recorder();
    session
        .run(&tokens(&session, "[another question]"), &mut sink)
        .unwrap();
    assert_eq!(sink.text(), "cd<|im_end|>");
    assert_eq!(sink.finish().generate_tokens, 5);
}

#[test]
fn the_lost_end_token_of_1_3_0_ends_at_id_11_or_never() {
    let mut board = Board::new();
    board.knobs.faults.eos_lost = true;
    board.settings.max_new_tokens = 12;
    for (abi, text, expected) in [
        (Abi::V1_2_1, "[ab]", "ab<|im_end|>"),
        (
            Abi::V1_3_0,
            "[ab]",
            "ab<|im_end|>ab<|im_end|>ab<|im_end|>ab<|im_end|>",
        ),
        // 11 is the comma, as in Qwen's vocabulary.
        (Abi::V1_3_0, "[ab,cd]", "ab,"),
    ] {
        let session = board.load_as(abi);
        let mut sink = recorder();
        let request = tokens(&session, text);
        session.run(&request, &mut sink).unwrap();
        assert_eq!(sink.text(), expected);
    }
}

#[test]
fn ignoring_the_end_token_still_shows_it() {
    let mut board = Board::new();
    board.settings.ignore_eos_token = true;
    board.settings.max_new_tokens = 5;
    let session = board.load_as(Abi::V1_3_0);
    let mut sink = recorder();
    session.run(&tokens(&session, "[ab]"), &mut sink).unwrap();
    assert_eq!(sink.text(), "ab<|im_end|>ab");
}

#[test]
fn faults_strike_at_their_token() {
    let mut board = Board::new();
    board.knobs.faults.error = Some(2);
    let session = board.load();
    let mut sink = recorder();
    assert_eq!(
        session.run(&tokens(&session, "[abc]"), &mut sink),
        Err(Failed)
    );
    let normal = LLMCallState::NORMAL;
    assert_eq!(sink.states(), [normal, normal, LLMCallState::ERROR]);

    board.knobs.faults.error = None;
    board.knobs.faults.null_text = Some(2);
    let session = board.load();
    let mut sink = recorder();
    session.run(&tokens(&session, "[abc]"), &mut sink).unwrap();
    assert_eq!(sink.text(), "ac");
    assert!(sink.calls[1].ids[0] >= 0 && sink.calls[1].texts == [None]);
}

#[test]
fn slow_memory_and_heat_lengthen_the_time() {
    let mut board = Board::new();
    let run = |board: &Board| {
        let session = board.load();
        let mut sink = recorder();
        let request = Request {
            max_new_tokens: 1000,
            ..tokens(&session, &format!("[{}]", "abcd".repeat(400)))
        };
        session.run(&request, &mut sink).unwrap();
        sink.finish()
    };
    let cool = run(&board);
    board.knobs.faults.slow_ddr = Some(2.0);
    let slow = run(&board);
    board.knobs.faults.slow_ddr = None;
    board.knobs.faults.thermal = Some(1.6);
    let hot = run(&board);
    assert!((slow.generate_ms / cool.generate_ms - 2.0).abs() < 1e-6);
    assert!((slow.prefill_ms - cool.prefill_ms).abs() < 1e-6);
    assert!(hot.generate_ms > 1.05 * cool.generate_ms && hot.generate_ms < 1.6 * cool.generate_ms);
}

#[test]
fn hidden_states_have_a_row_per_token_and_logits_name_the_token() {
    /// State, rows of hidden states, and the width of the logits with whether the token is on top.
    type Shape = (LLMCallState, Option<usize>, Option<(usize, bool)>);
    struct Shapes(Vec<Shape>);
    impl Sink for Shapes {
        fn deliver(&mut self, state: LLMCallState, rows: &[Row<'_>], _: Perf) -> Verdict {
            let row = rows.first().copied().unwrap_or_default();
            let hidden = row.hidden.map(|hidden| hidden.values.len() / hidden.width);
            let logits = row.logits.map(|logits| {
                let top = logits
                    .values
                    .iter()
                    .enumerate()
                    .max_by(|a, b| a.1.total_cmp(b.1))
                    .unwrap()
                    .0;
                (logits.width, top as i32 == row.token_id)
            });
            self.0.push((state, hidden, logits));
            Verdict::Continue
        }
    }
    let mut board = Board::new();
    let session = board.load();
    let mut sink = Shapes(Vec::new());
    let request = Request {
        mode: Mode::HiddenLayer,
        ..tokens(&session, "the cat!")
    };
    session.run(&request, &mut sink).unwrap();
    assert_eq!(
        sink.0,
        [
            (LLMCallState::NORMAL, Some(3), None),
            (LLMCallState::FINISH, None, None)
        ]
    );

    board.knobs.faults.no_finish_hidden = true;
    let session = board.load();
    let mut sink = Shapes(Vec::new());
    session.run(&request, &mut sink).unwrap();
    assert_eq!(sink.0.len(), 1);

    let mut sink = Shapes(Vec::new());
    let request = Request {
        mode: Mode::Logits,
        max_new_tokens: 1,
        ..tokens(&session, "[yes]")
    };
    session.run(&request, &mut sink).unwrap();
    assert_eq!(
        sink.0[0],
        (
            LLMCallState::NORMAL,
            None,
            Some((session.vocabulary.size(), true))
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_answer_arrives_as_it_was_meant(text in "[\\PC\n\u{1F600}\u{e9}]{0,40}") {
        let text = text.replace(['[', ']'], "");
        let mut board = Board::new();
        board.settings.skip_special_token = true;
        let session = board.load();
        let mut sink = recorder();
        session.run(&tokens(&session, &format!("[{text}]")), &mut sink).unwrap();
        prop_assert_eq!(sink.text(), text);
    }
}
