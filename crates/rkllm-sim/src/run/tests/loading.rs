//! Models that load and models that do not.

use super::*;
use crate::faults::Faults;

fn loads(board: &Board, abi: Abi) -> bool {
    Session::load(abi, board.settings.clone(), &board.knobs, board.composer).is_ok()
}

#[test]
fn each_obstacle_stops_the_load() {
    let sample = model_file::tests::SAMPLE.split("[fault]").next().unwrap();
    type Change = fn(&mut Board);
    let obstacles: [(&str, Change); 7] = [
        ("wrong chip", |board| {
            board.knobs.platform = "RK3576".to_owned()
        }),
        ("unknown chip", |board| {
            board.knobs.platform = "RK3399".to_owned()
        }),
        ("fault: wrong chip", |board| {
            board.knobs.faults.wrong_platform = true
        }),
        ("no driver", |board| board.knobs.faults.no_driver = true),
        ("context", |board| board.settings.max_context_len = 8192),
        ("no tokenizer", |board| {
            std::fs::remove_file(board.dir.path().join("tokenizer.json")).unwrap()
        }),
        ("no model", |board| {
            board.settings.model_path = "/nowhere/m.rkllm".into()
        }),
    ];
    for (what, change) in obstacles {
        let mut board = Board::with_model(sample);
        assert!(loads(&board, Abi::V1_2_1));
        change(&mut board);
        assert!(!loads(&board, Abi::V1_2_1), "{what}");
    }
}

#[test]
fn the_toolkit_must_not_be_newer_than_the_runtime_nor_too_old() {
    let sample = model_file::tests::SAMPLE.split("[fault]").next().unwrap();
    for (toolkit, v1_2_1, v1_3_0) in [
        ("1.3.0", false, true),
        ("1.1.4", false, false),
        ("1.2.3", true, true),
        ("unknown", true, true),
    ] {
        let board = Board::with_model(&sample.replace("\"1.2.0\"", &format!("{toolkit:?}")));
        assert_eq!(
            (loads(&board, Abi::V1_2_1), loads(&board, Abi::V1_3_0)),
            (v1_2_1, v1_3_0),
            "{toolkit}"
        );
    }
}

#[test]
fn memory_is_accounted_while_models_are_loaded() {
    let mut board = Board::new();
    board.knobs.faults = Faults {
        oom: Some(1000.0),
        ..Faults::default()
    };
    let first = board.load();
    assert!(
        !loads(&board, Abi::V1_2_1),
        "791 MB twice are more than 1000"
    );
    board.settings.base_domain_id = 1;
    assert!(loads(&board, Abi::V1_2_1));
    board.settings.base_domain_id = 0;
    drop(first);
    assert!(loads(&board, Abi::V1_2_1));
}
