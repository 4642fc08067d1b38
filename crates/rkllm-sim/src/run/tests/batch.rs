//! Several inputs in lock-step.

use super::*;

#[test]
fn rows_end_one_by_one_and_the_run_with_the_last() {
    let mut board = Board::new();
    board.settings.n_batch = 2;
    let session = board.load();
    let mut request = tokens(&session, "[a]");
    request
        .inputs
        .push(Input::Tokens(session.vocabulary.encode("[bcd]")));
    let mut sink = recorder();
    session.run(&request, &mut sink).unwrap();
    let texts: Vec<_> = sink.calls.iter().map(|call| call.texts.clone()).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        texts,
        [
            vec![some("a"), some("b")],
            vec![some("<|im_end|>"), some("c")],
            vec![None, some("d")],
            vec![None, some("<|im_end|>")],
            vec![],
        ]
    );
    assert_eq!(sink.calls[2].ids[0], -1);
    let sizes: Vec<_> = session
        .cached
        .iter()
        .map(|size| size.load(Ordering::SeqCst))
        .collect();
    assert_eq!(sizes, [5, 9]);
}

#[test]
fn embeddings_are_cached_like_tokens_from_1_2_3_on() {
    let board = Board::new();
    for (abi, again) in [(Abi::V1_2_0, 3), (Abi::V1_2_1, 1)] {
        let session = board.load_as(abi);
        let rows: Vec<f32> = (0..3 * session.model.header.embd_size)
            .map(|value| value as f32)
            .collect();
        let request = Request {
            inputs: vec![Input::Embedding(rows)],
            ..tokens(&session, "")
        };
        for expected in [3, again] {
            let mut sink = recorder();
            session.run(&request, &mut sink).unwrap();
            assert_eq!(sink.finish().prefill_tokens, expected);
        }
    }
}
