//! Runs that are aborted: before they begin, while they go on, and what comes after.

use std::sync::mpsc;

use rkllm::{Input, RunError, RunOptions};

use crate::{
    ALL,
    fake::{Event, Script, journal},
    runs::{model, scripted},
};

#[test]
fn an_abort_before_the_run_never_enters_the_library() {
    for abi in ALL {
        let (path, mut model) = model("early", abi, vec![Event::Endless]);
        let options = RunOptions::default();
        options.abort.abort();
        let report = model
            .run(Input::Tokens(&[1]), &options, &mut |_| panic!("ran"))
            .unwrap();
        assert!(report.aborted && !report.finished && report.tokens.is_empty());
        let journal = journal(&path);
        assert_eq!((journal.count("run"), journal.count("abort")), (0, 0));
    }
}

#[test]
fn an_abort_from_another_thread_ends_the_run_even_if_first_lost() {
    for abi in ALL {
        for loses_abort in [false, true] {
            let play = Script {
                events: vec![Event::Endless],
                loses_abort,
                ..Script::default()
            };
            let (path, mut model) = scripted(&format!("abort-{loses_abort}"), abi, play);
            let options = RunOptions::default();
            let abort = options.abort.clone();
            let (begun, wait) = mpsc::channel();
            let stopper = std::thread::spawn(move || {
                wait.recv().unwrap();
                abort.abort();
            });
            let report = model
                .run(Input::Tokens(&[1]), &options, &mut |_| {
                    let _ = begun.send(());
                })
                .unwrap();
            stopper.join().unwrap();
            assert!(report.aborted && report.finished && !report.tokens.is_empty());
            let aborts = journal(&path).count("abort");
            assert!(aborts > usize::from(loses_abort), "{aborts}");
            // The handle may outlive the model: nothing is called any more.
            drop(model);
            options.abort.abort();
            assert_eq!(journal(&path).count("abort"), aborts);
        }
    }
}

#[test]
fn a_model_recovers_from_an_abort_or_says_that_it_must_be_reloaded() {
    for abi in ALL {
        for lost_after_abort in [false, true] {
            let events = vec![Event::Token(Some(c"a"), 1), Event::Finish];
            let play = Script {
                events,
                lost_after_abort,
                ..Script::default()
            };
            let (path, mut model) = scripted(&format!("recover-{lost_after_abort}"), abi, play);
            model.recover_after_abort().unwrap();
            assert_eq!(
                journal(&path).count("clear 0"),
                0,
                "nothing to recover from"
            );
            let options = RunOptions::default();
            let abort = options.abort.clone();
            assert!(
                model
                    .run(Input::Tokens(&[1]), &options, &mut |_| abort.abort())
                    .unwrap()
                    .aborted
            );
            model.recover_after_abort().unwrap();
            assert_eq!(journal(&path).count("clear 0"), 1);
            let next = model.run(Input::Tokens(&[1]), &RunOptions::default(), &mut |_| {});
            if lost_after_abort {
                assert!(matches!(next, Err(RunError::ReloadNeeded)));
                let again = model.run(Input::Tokens(&[1]), &RunOptions::default(), &mut |_| {});
                assert!(matches!(again, Err(RunError::ReloadNeeded)));
                assert_eq!(journal(&path).count("run"), 2, "a lost model is left alone");
            } else {
                assert!(!next.unwrap().aborted);
            }
        }
    }
}
