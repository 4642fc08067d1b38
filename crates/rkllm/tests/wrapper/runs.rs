//! Runs from begin to end.

use std::{num::NonZeroU32, time::Duration};

use rkllm::{
    Abi, Images, Input, InputError, Mode, Model, ModelOptions, MultiModal, OptionError, Perf,
    Piece, Role, RunError, RunOptions, Sampling, Turn, Videos, abi::LLMCallState,
};

use crate::{
    ALL,
    fake::{Event, Script, journal, runtime, script},
};

/// A model of its own path and script.
pub(crate) fn model(test: &str, abi: Abi, events: Vec<Event>) -> (String, Model) {
    scripted(
        test,
        abi,
        Script {
            events,
            ..Script::default()
        },
    )
}

pub(crate) fn scripted(test: &str, abi: Abi, play: Script) -> (String, Model) {
    let path = format!("/{test}/{abi}.rkllm");
    script(&path, play);
    let model = runtime(abi)
        .load(&ModelOptions::new(&path, 4096, 512))
        .unwrap();
    (path, model)
}

fn answer() -> Vec<Event> {
    vec![
        Event::Token(Some(c"Hello"), 1),
        Event::Waiting(2),
        Event::Token(Some(c" \xe2\x82\xac"), 3),
        Event::Finish,
    ]
}

#[test]
fn tokens_and_text_come_through_in_every_generation() {
    for abi in ALL {
        let (path, mut model) = model("answer", abi, answer());
        let mut pieces = Vec::new();
        let mut hear = |piece: Piece<'_>| {
            pieces.push((piece.text().map(|text| text.into_owned()), piece.token_id))
        };
        let report = model
            .run(Input::Tokens(&[7, 8, 9]), &RunOptions::default(), &mut hear)
            .unwrap();
        assert_eq!(
            pieces,
            [
                (Some("Hello".into()), Some(1)),
                (None, Some(2)),
                (Some(" €".into()), Some(3))
            ]
        );
        assert_eq!(report.tokens, [1, 2, 3]);
        assert!(report.finished && !report.aborted);
        assert_eq!(report.perf.is_some(), abi.capabilities().perf);
        if let Some(perf) = report.perf {
            let expected = Perf {
                prefill: Duration::from_micros(498_500),
                prefill_tokens: 111,
                generate: Duration::from_micros(2_566_500),
                generate_tokens: 40,
                memory_usage_mb: 660.0,
            };
            assert_eq!(perf, expected);
        }
        let seen = &journal(&path).runs[0];
        assert_eq!((seen.input_type, seen.mode, seen.keep_history), (1, 0, 0));
        assert_eq!(
            (seen.ids.as_slice(), seen.role.as_deref(), seen.sampling),
            (&[7, 8, 9][..], None, None)
        );
        assert!(seen.zeros_behind);
    }
}

#[test]
fn no_callback_ever_pauses() {
    for abi in ALL {
        let mut events = answer();
        let odd = [LLMCallState::NORMAL, LLMCallState::FINISH, LLMCallState(77)].map(Event::Null);
        events.extend(odd);
        let (path, mut model) = model("returns", abi, events);
        model
            .run(Input::Tokens(&[1]), &RunOptions::default(), &mut |_| {
                panic!("closure")
            })
            .unwrap_err();
        model
            .run(Input::Tokens(&[1]), &RunOptions::default(), &mut |_| {})
            .unwrap();
        let journal = journal(&path);
        assert_eq!(journal.returned.len(), 14);
        assert!(
            journal.returned.iter().all(|code| *code == 0),
            "{:?}",
            journal.returned
        );
    }
}

#[test]
fn a_panic_of_the_closure_stops_the_run_and_becomes_an_error() {
    for abi in ALL {
        let (path, mut model) = model("panic", abi, vec![Event::Endless]);
        let mut calls = 0;
        let error = model
            .run(Input::Tokens(&[1]), &RunOptions::default(), &mut |_| {
                calls += 1;
                panic!("spilt {}", "milk");
            })
            .unwrap_err();
        assert!(
            matches!(&error, RunError::Panicked { message } if message == "spilt milk"),
            "{error}"
        );
        assert_eq!(calls, 1);
        assert_eq!(journal(&path).count("abort"), 1);
    }
}

#[test]
fn callbacks_may_come_on_another_thread() {
    for abi in ALL {
        let (_, mut model) = scripted(
            "thread",
            abi,
            Script {
                events: answer(),
                other_thread: true,
                ..Script::default()
            },
        );
        let here = std::thread::current().id();
        let mut elsewhere = 0;
        let mut hear = |_: Piece<'_>| elsewhere += usize::from(std::thread::current().id() != here);
        model
            .run(Input::Tokens(&[1]), &RunOptions::default(), &mut hear)
            .unwrap();
        assert_eq!(elsewhere, 3);
    }
}

#[test]
fn missing_text_and_missing_results_are_no_pieces_of_text() {
    for abi in ALL {
        let events = vec![
            Event::Token(None, 5),
            Event::Token(None, -1),
            Event::Null(LLMCallState::NORMAL),
            Event::Finish,
        ];
        let (_, mut model) = model("null", abi, events);
        let mut pieces = Vec::new();
        let mut hear = |piece: Piece<'_>| pieces.push((piece.bytes.is_some(), piece.token_id));
        let report = model
            .run(Input::Tokens(&[1]), &RunOptions::default(), &mut hear)
            .unwrap();
        assert_eq!(pieces, [(false, Some(5)), (false, None)]);
        assert_eq!(report.tokens, [5]);
    }
}

#[test]
fn hidden_states_end_without_a_finish() {
    for abi in ALL {
        let rows = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let (path, mut model) = model(
            "hidden",
            abi,
            vec![Event::Null(LLMCallState::NORMAL), Event::Rows(rows, 3)],
        );
        let mut last = Vec::new();
        let options = RunOptions {
            mode: Mode::LastHiddenLayer,
            ..RunOptions::default()
        };
        let mut hear = |piece: Piece<'_>| {
            let hidden = piece.hidden.unwrap();
            assert_eq!((hidden.values.len(), hidden.width), (6, 3));
            assert!(piece.bytes.is_none() && piece.token_id.is_none() && piece.logits.is_none());
            last = hidden.last().to_vec();
        };
        let report = model
            .run(Input::Tokens(&[1, 2]), &options, &mut hear)
            .unwrap();
        assert_eq!(last, [4.0, 5.0, 6.0]);
        assert!(!report.finished && report.tokens.is_empty());
        assert_eq!(journal(&path).runs[0].mode, 1);
    }
}

#[test]
fn logits_come_with_the_token() {
    let (_, mut model) = model(
        "logits",
        Abi::V1_3_0,
        vec![Event::Rows(vec![0.5, 0.25], 2), Event::Finish],
    );
    let options = RunOptions {
        mode: Mode::Logits,
        ..RunOptions::default()
    };
    let mut seen = Vec::new();
    model
        .run(Input::Tokens(&[1]), &options, &mut |piece| {
            seen = piece.logits.unwrap().values.to_vec()
        })
        .unwrap();
    assert_eq!(seen, [0.5, 0.25]);
}

#[test]
fn failures_are_errors_however_they_are_told() {
    for abi in ALL {
        let (_, mut by_callback) = model(
            "error",
            abi,
            vec![Event::Token(Some(c"a"), 1), Event::Error],
        );
        let error = by_callback
            .run(Input::Tokens(&[1]), &RunOptions::default(), &mut |_| {})
            .unwrap_err();
        assert!(matches!(error, RunError::Failed { code: 0, tokens } if tokens == [1]));
        let (_, mut by_code) = scripted(
            "code",
            abi,
            Script {
                run_code: -1,
                ..Script::default()
            },
        );
        for _ in 0..2 {
            let error = by_code
                .run(Input::Tokens(&[1]), &RunOptions::default(), &mut |_| {})
                .unwrap_err();
            assert!(
                matches!(error, RunError::Failed { code: -1, .. }),
                "without an abort a model stays usable"
            );
        }
    }
}

#[test]
fn every_kind_of_input_arrives() {
    for abi in ALL {
        let (path, mut model) = model("inputs", abi, vec![Event::Finish]);
        let capable = abi.capabilities();
        let turn = Turn {
            role: Role::User,
            enable_thinking: capable.enable_thinking.then_some(true),
        };
        let embed = [1.0, 2.0, 3.0, 4.0];
        let images = Some(Images {
            embed: &embed,
            n_image: 1,
            n_image_tokens: 2,
            width: 392,
            height: 391,
        });
        let options = RunOptions {
            keep_history: true,
            ..RunOptions::default()
        };
        let run = &mut |input| model.run(input, &options, &mut |_| {}).map(drop);
        run(Input::Prompt {
            text: "Grüße",
            turn,
        })
        .unwrap();
        run(Input::Embed {
            values: &embed,
            n_tokens: 2,
        })
        .unwrap();
        run(Input::MultiModal(MultiModal {
            prompt: "<image> what?",
            turn,
            images,
            videos: None,
        }))
        .unwrap();
        let runs = journal(&path).runs;
        assert_eq!(
            (
                runs[0].input_type,
                runs[0].text.as_str(),
                runs[0].keep_history
            ),
            (0, "Grüße", 1)
        );
        assert_eq!(runs[0].role.as_deref(), capable.role.then_some("user"));
        assert_eq!(runs[0].enable_thinking, capable.enable_thinking);
        assert_eq!(
            (runs[1].input_type, runs[1].embed.as_slice()),
            (2, &embed[..])
        );
        assert_eq!(
            (
                runs[2].input_type,
                runs[2].text.as_str(),
                runs[2].embed.as_slice()
            ),
            (3, "<image> what?", &embed[..])
        );
        let size = if capable.several_images {
            (1, 2, 392, 391)
        } else {
            (1, 2, 0, 0)
        };
        assert_eq!(runs[2].images, size);
        assert!(runs.iter().all(|run| run.zeros_behind));
    }
}

#[test]
fn inputs_that_cannot_be_read_never_reach_the_library() {
    let (path, mut model) = model("refused", Abi::V1_2_0, answer());
    let embed = [1.0, 2.0, 3.0];
    let images = Images {
        embed: &embed,
        n_image: 1,
        n_image_tokens: 3,
        width: 0,
        height: 0,
    };
    let videos = Videos {
        embed: &embed,
        n_video: 1,
        n_frame_per_video: 1,
        n_frame_tokens: 1,
        width: 0,
        height: 0,
    };
    let turn = Turn::default();
    let multimodal = |prompt, images, videos| {
        Input::MultiModal(MultiModal {
            prompt,
            turn,
            images,
            videos,
        })
    };
    let tool = Turn {
        role: Role::Tool,
        enable_thinking: None,
    };
    let two = Images {
        n_image: 2,
        ..images
    };
    let refused = [
        Input::Tokens(&[]),
        Input::Prompt { text: "", turn },
        Input::Prompt { text: "a\0b", turn },
        Input::Prompt {
            text: "[]",
            turn: tool,
        },
        Input::Prompt {
            text: "a",
            turn: Turn {
                enable_thinking: Some(false),
                ..turn
            },
        },
        Input::Embed {
            values: &embed,
            n_tokens: 2,
        },
        Input::Embed {
            values: &embed,
            n_tokens: 0,
        },
        Input::Embed {
            values: &[],
            n_tokens: 1,
        },
        multimodal("none", None, None),
        multimodal("no tag", Some(images), None),
        multimodal("<image><image>", Some(images), None),
        multimodal("<image><image>", Some(two), None),
        multimodal("<video>", None, Some(videos)),
        multimodal(
            "<image>",
            Some(Images {
                n_image_tokens: 0,
                ..images
            }),
            None,
        ),
        multimodal(
            "<image>",
            Some(Images {
                n_image_tokens: usize::MAX,
                n_image: 1,
                ..images
            }),
            None,
        ),
    ];
    for input in refused {
        let error = model
            .run(input, &RunOptions::default(), &mut |_| {})
            .expect_err("refused");
        assert!(
            matches!(error, RunError::Input(_) | RunError::Unsupported(_)),
            "{input:?}: {error}"
        );
    }
    let error = model
        .run(
            multimodal("no tag", Some(images), None),
            &RunOptions::default(),
            &mut |_| {},
        )
        .unwrap_err();
    assert!(matches!(
        error,
        RunError::Input(InputError::Tags {
            tag: "<image>",
            found: 0,
            wanted: 1
        })
    ));
    assert!(journal(&path).runs.is_empty());
}

#[test]
fn sampling_of_a_run_is_whole_or_refused() {
    let sampling = Sampling {
        top_k: 20,
        top_p: 0.5,
        temperature: 0.25,
        repeat_penalty: 1.5,
        frequency_penalty: 2.0,
        presence_penalty: 3.0,
        mirostat: 2,
        mirostat_tau: 4.0,
        mirostat_eta: 0.125,
    };
    for abi in ALL {
        let (path, mut model) = model("sampling", abi, answer());
        assert_eq!(model.sampling().top_k, 40, "the runtime's own default");
        let limited = RunOptions {
            max_new_tokens: NonZeroU32::new(9),
            ..RunOptions::default()
        };
        let sampled = RunOptions {
            sampling: Some(sampling),
            ..limited.clone()
        };
        for options in [&limited, &sampled] {
            let result = model.run(Input::Tokens(&[1]), options, &mut |_| {});
            assert_eq!(result.is_ok(), abi.capabilities().per_run_sampling);
            assert!(matches!(result, Ok(_) | Err(RunError::Unsupported(_))));
        }
        let runs = journal(&path).runs;
        if let [limited, sampled] = runs.as_slice() {
            assert_eq!((limited.sampling, limited.max_new_tokens), (None, 9));
            assert_eq!(
                sampled.sampling,
                Some([20.0, 0.5, 0.25, 1.5, 2.0, 3.0, 2.0, 4.0, 0.125])
            );
        } else {
            assert!(runs.is_empty() && abi != Abi::V1_3_0);
        }
    }
    let (_, mut model) = model("nan", Abi::V1_3_0, answer());
    let options = RunOptions {
        sampling: Some(Sampling {
            top_p: f32::NAN,
            ..sampling
        }),
        ..RunOptions::default()
    };
    let error = model
        .run(Input::Tokens(&[1]), &options, &mut |_| {})
        .unwrap_err();
    assert!(matches!(
        error,
        RunError::Option(OptionError::NotFinite { name: "top_p", .. })
    ));
}
