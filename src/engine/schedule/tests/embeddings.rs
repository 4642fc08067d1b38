//! A flood of embeddings, and those who ask meanwhile.

use proptest::prelude::*;

use super::{
    super::{entry::AGEING, order::RUNS_BEFORE},
    board::Board,
    *,
};

/// Time that an input takes.
const INPUT: Time = Duration::from_secs(3);
/// Number of the first chat.
const CHAT: JobId = 10_000;

fn input(number: JobId) -> Arrival {
    Arrival {
        model: SMALL,
        class: QueueClass {
            ages_to: QueueClass::PERSON_WAITS,
            ..class(QueueClass::PERSON_WAITS)
        },
        origin: user("library"),
        ..job(number, QueueClass::PERSON_WAITS)
    }
}

#[test]
fn a_chat_waits_for_one_input_however_long_the_others_have_waited() {
    let mut board = Board::new(|_| INPUT);
    for number in 1..=30 {
        board.arrive(input(number));
    }
    board.until(AGEING + seconds(10.0));
    let before = board.starts.len();
    board.arrive(job(CHAT, 0));
    board.until(board.now + INPUT);
    assert_eq!(board.started().get(before), Some(&CHAT));
}

#[test]
fn what_comes_before_a_chat_waits_for_one_input_as_well() {
    let mut board = Board::new(|_| INPUT);
    for number in 1..=30 {
        board.arrive(input(number));
    }
    board.arrive(Arrival {
        deadline: Some(seconds(60.0)),
        origin: user("library"),
        ..job(CHAT, QueueClass::PERSON_WAITS)
    });
    board.until(INPUT);
    assert_eq!(board.started(), [1, CHAT]);
}

#[test]
fn an_input_that_is_let_through_is_not_stopped() {
    let second = seconds(1.0);
    let mut board = Board::new(|job| if job == CHAT { AGEING } else { second });
    board.arrive(job(CHAT, 0));
    board.arrive(input(1));
    for number in 1..=10 {
        board.arrive(job(CHAT + number, 0));
    }
    // The first chat, and the one before it that loaded the model, are among those that went before.
    board.until(AGEING + 2 * second);
    let chats = [CHAT, CHAT + 1, CHAT + 2];
    assert_eq!(board.started(), [&chats[..], &[1]].concat());
    board.arrive(job(CHAT + 11, 0));
    assert_eq!(did(&mut board.schedule), []);
    board.until(AGEING + 3 * second);
    assert_eq!(board.started().last(), Some(&(CHAT + 3)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A flood of inputs, two of each of some requests at a time, and people who ask all the while.
    #[test]
    fn no_chat_waits_for_two_inputs_and_no_input_for_ever(
        requests in 1_u64..8,
        input_ms in 500_u64..6000,
        chats in prop::collection::vec((0_u64..8000, 500_u64..12_000), 20..60),
    ) {
        let takes = |job: JobId| {
            let chat = job.checked_sub(CHAT).map(|index| chats[usize::try_from(index).unwrap()]);
            Duration::from_millis(chat.map_or(input_ms, |(_, ms)| ms))
        };
        let mut board = Board::new(takes);
        let mut inputs = 0;
        let mut chats_before = HashMap::new();
        let mut at = Time::ZERO;
        for (number, (gap, _)) in (CHAT..).zip(&chats) {
            at += Duration::from_millis(*gap);
            while let Some(ends) = board.run_ends().filter(|ends| *ends <= at) {
                board.until(ends);
                // As an input is read its request sends the next one.
                let begun = board.starts.iter().filter(|(job, _)| *job < CHAT);
                let begun = begun.map(|(job, _)| job).collect::<std::collections::HashSet<_>>().len();
                while inputs < begun as u64 + 2 * requests {
                    inputs += 1;
                    board.arrive(input(inputs));
                }
            }
            while inputs < 2 * requests {
                inputs += 1;
                board.arrive(input(inputs));
            }
            board.until(at);
            chats_before.insert(number, board.starts.len());
            board.arrive(job(number, 0));
        }
        board.until(at + seconds(1e5));
        let started = board.started();
        for (chat, since) in chats_before {
            let begun = started.iter().position(|job| *job == chat).unwrap();
            let before = &started[since..begun];
            let inputs = before.iter().filter(|job| **job < CHAT).count();
            let others = before.len() - inputs;
            prop_assert!(inputs <= 1 + others / RUNS_BEFORE as usize, "{inputs} inputs and {others} chats before {chat}");
        }
        // While people ask, one of so many runs is an input's, once it has waited.
        let mut last = (0, Time::ZERO);
        for (job, at) in &board.starts {
            last = if *job < CHAT { (0, *at) } else { (last.0 + 1, last.1) };
            let in_time = last.0 <= RUNS_BEFORE || *at <= last.1 + AGEING + seconds(12.0);
            prop_assert!(in_time, "{} runs without an input at {at:?}", last.0);
        }
    }
}
