//! Nothing starves, and nobody has more than his share.

use proptest::prelude::*;

use super::{super::entry::AGEING, board::Board, *};

/// Number of the first chat.
const CHAT: JobId = 10_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_task_has_its_turn_although_there_is_always_a_chat(
        tasks in prop::collection::vec((2_u8..7, 0_u64..60_000), 1..6),
        people in 1_u64..4,
        longest_ms in 500_u64..5000,
        reusable in prop_oneof![Just(0), Just(1000)],
    ) {
        let longest = Duration::from_millis(longest_ms);
        let mut board = Board::new(|job| longest.mul_f64(if job % 3 == 0 { 0.5 } else { 1.0 }));
        let names = ["a", "b", "c"];
        let mut chats = 0;
        let mut waiting = Vec::new();
        let count = tasks.len();
        let mut tasks: Vec<_> = (1_u64..).zip(tasks).map(|(number, (urgency, ms))| (Duration::from_millis(ms), number, urgency)).collect();
        tasks.sort_unstable();
        let last = seconds(60.0) + AGEING * 7 + PATIENCE + longest * 12;
        let mut seen = board.starts.len();
        loop {
            // Whoever has got an answer asks again, and one question more than that waits.
            let answered = board.starts.iter().filter(|(job, _)| *job >= CHAT).count() as u64;
            while chats < answered + people {
                let name = names[usize::try_from(chats % people).unwrap()];
                let chat = Arrival { origin: user(name), reusable, ..job(CHAT + chats, 0) };
                board.arrive(chat);
                chats += 1;
            }
            while let Some((_, number, urgency)) = tasks.first().copied().filter(|(at, ..)| *at <= board.now) {
                let mut task = job(number, urgency);
                task.class.fallback = false;
                waiting.push((number, urgency, board.now));
                board.arrive(task);
                tasks.remove(0);
            }
            for (started, at) in &board.starts[seen..] {
                waiting.retain(|(number, urgency, arrived)| {
                    let bound = *arrived + AGEING * u32::from(*urgency) + PATIENCE + longest * (2 + u32::try_from(people).unwrap() + u32::try_from(count).unwrap());
                    assert!(*at <= bound, "{number} has waited since {arrived:?} at {at:?}");
                    number != started
                });
            }
            seen = board.starts.len();
            if waiting.is_empty() && tasks.is_empty() {
                break;
            }
            prop_assert!(board.now < last);
            let next = board.run_ends();
            board.until(next.unwrap());
        }
    }

    #[test]
    fn users_who_ask_for_much_get_no_more_than_those_who_ask_for_little(
        questions in prop::collection::vec((0_usize..4, 100_u64..9000), 2..40),
    ) {
        let names = ["a", "b", "c", "d"];
        let mut board = Board::new(|job| Duration::from_millis(questions[usize::try_from(job).unwrap() - 1].1));
        let mut left = [0_usize; 4];
        let mut asked = HashMap::new();
        for (number, (who, _)) in (1..).zip(&questions) {
            asked.insert(number, *who);
            left[*who] += 1;
            board.arrive(Arrival { origin: user(names[*who]), ..job(number, 0) });
        }
        board.until(seconds(1e4));
        prop_assert_eq!(board.starts.len(), questions.len());
        // The first one had no competition when it came.
        let mut got = [0_usize; 4];
        for (number, _) in &board.starts {
            let who = asked[number];
            got[who] += 1;
            left[who] -= 1;
            for other in (0..4).filter(|other| left[*other] > 0) {
                prop_assert!(got[who] <= got[other] + 1, "{:?}", board.started());
            }
        }
    }
}
