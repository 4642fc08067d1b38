//! Each rule by itself; [`simulation`] has them all at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod by_hand;
mod grouping;
mod simulation;

use std::sync::Arc;

use super::*;
use crate::engine::{Origin, QueueClass, Residency};

const GB: u64 = 1_000_000_000;
const BIG: ModelIndex = ModelIndex(0);
const SMALL: ModelIndex = ModelIndex(1);

fn seconds(seconds: f64) -> Time {
    Duration::from_secs_f64(seconds)
}

fn class(urgency: u8) -> QueueClass {
    QueueClass {
        name: format!("{urgency}").into(),
        urgency,
        ages_to: 0,
        deadline: None,
        fallback: urgency > 1,
        newest_wins: false,
        until_question: false,
    }
}

fn job(job: JobId, urgency: u8) -> Arrival {
    Arrival {
        job,
        model: BIG,
        class: class(urgency),
        deadline: None,
        origin: Origin {
            user: None,
            conversation: Some("chat".into()),
        },
        reusable: 0,
        expected: None,
        messages: [].into(),
    }
}

fn user(name: &str) -> Origin {
    Origin {
        user: Some(Arc::from(name)),
        conversation: None,
    }
}

/// Two models of which each has room, the first one loaded.
fn schedule() -> Schedule {
    with_budget(100 * GB)
}

fn with_budget(budget: u64) -> Schedule {
    let model = ModelTable {
        memory: GB,
        ..ModelTable::default()
    };
    let mut schedule = Schedule::new(vec![model; 3], 4, budget);
    schedule.arrive(job(0, 0), Time::ZERO).unwrap();
    assert!(matches!(
        did(&mut schedule)[..],
        [Action::Load { model: BIG, .. }]
    ));
    schedule.loaded(BIG, GB, Time::ZERO);
    assert_eq!(did(&mut schedule), [Action::Start(0)]);
    schedule.ended(0, Ended::Completed, Time::ZERO);
    assert_eq!(did(&mut schedule), []);
    schedule
}

/// What was done, without the news of places.
fn did(schedule: &mut Schedule) -> Vec<Action> {
    let mut actions = schedule.actions();
    actions.retain(|action| !matches!(action, Action::Place { .. }));
    actions
}

fn withdrawn(actions: &[Action]) -> Vec<(JobId, Withdrawal)> {
    let withdrawn = actions.iter().filter_map(|action| match action {
        Action::Withdraw { job, why, .. } => Some((*job, *why)),
        _ => None,
    });
    withdrawn.collect()
}

#[test]
fn the_most_urgent_goes_first_and_equals_in_their_order() {
    let mut schedule = schedule();
    schedule.arrive(job(1, 0), seconds(0.0)).unwrap();
    for (number, urgency) in [(2, 4), (3, 0), (4, 1), (5, 0)] {
        schedule.arrive(job(number, urgency), seconds(0.1)).unwrap();
    }
    did(&mut schedule);
    let mut started = Vec::new();
    let mut running = 1;
    while running != 0 {
        schedule.ended(running, Ended::Completed, seconds(1.0));
        running = 0;
        for action in did(&mut schedule) {
            if let Action::Start(job) = action {
                started.push(job);
                running = job;
            }
        }
    }
    assert_eq!(started, [3, 5, 4, 2]);
}

#[test]
fn a_chat_takes_the_npu_from_a_task_which_runs_again_once() {
    let mut schedule = schedule();
    schedule.arrive(job(1, 4), seconds(0.0)).unwrap();
    assert_eq!(did(&mut schedule), [Action::Start(1)]);
    schedule.arrive(job(2, 0), seconds(1.0)).unwrap();
    assert_eq!(did(&mut schedule), [Action::Abort(1)]);
    schedule.ended(1, Ended::Aborted, seconds(1.1));
    assert_eq!(did(&mut schedule), [Action::Start(2)]);
    schedule.ended(2, Ended::Completed, seconds(2.0));
    assert_eq!(did(&mut schedule), [Action::Start(1)]);
    schedule.arrive(job(3, 1), seconds(3.0)).unwrap();
    let actions = did(&mut schedule);
    assert_eq!(withdrawn(&actions), [(1, Withdrawal::Preempted)]);
    assert!(actions.contains(&Action::Abort(1)));
    schedule.ended(1, Ended::Aborted, seconds(3.1));
    assert_eq!(did(&mut schedule), [Action::Start(3)]);
    // Chats are equals.
    schedule.arrive(job(4, 1), seconds(3.2)).unwrap();
    assert_eq!(did(&mut schedule), []);
}

#[test]
fn a_task_without_a_fallback_runs_as_often_as_needed() {
    let mut schedule = schedule();
    let mut task = job(1, 4);
    task.class.fallback = false;
    schedule.arrive(task, seconds(0.0)).unwrap();
    for round in 0..5 {
        assert_eq!(did(&mut schedule), [Action::Start(1)]);
        let now = seconds(f64::from(round));
        let chat = 10 + u64::try_from(round).unwrap();
        schedule.arrive(job(chat, 0), now).unwrap();
        schedule.ended(1, Ended::Aborted, now);
        assert_eq!(did(&mut schedule), [Action::Abort(1), Action::Start(chat)]);
        schedule.ended(chat, Ended::Completed, now);
    }
}

#[test]
fn a_run_that_ends_before_it_can_be_stopped_is_complete() {
    let mut schedule = schedule();
    schedule.arrive(job(1, 4), seconds(0.0)).unwrap();
    schedule.arrive(job(2, 0), seconds(1.0)).unwrap();
    schedule.ended(1, Ended::Completed, seconds(1.0));
    did(&mut schedule);
    schedule.ended(2, Ended::Completed, seconds(1.0));
    assert_eq!(did(&mut schedule), []);
    assert!(schedule.is_idle());
}

#[test]
fn at_the_deadline_the_fallback_answers_whether_the_job_waits_or_runs() {
    let mut schedule = schedule();
    for number in 1..=3 {
        let mut job = job(number, 4);
        job.deadline = Some(seconds(number as f64));
        job.class.fallback = number != 1;
        schedule.arrive(job, Time::ZERO).unwrap();
    }
    assert_eq!(did(&mut schedule), [Action::Start(1)]);
    // The first one has begun and has no fallback: it may finish.
    assert_eq!(schedule.next_tick(), Some(seconds(2.0)));
    schedule.tick(seconds(2.0));
    assert_eq!(withdrawn(&did(&mut schedule)), [(2, Withdrawal::Deadline)]);
    schedule.ended(1, Ended::Completed, seconds(2.5));
    assert_eq!(did(&mut schedule), [Action::Start(3)]);
    schedule.tick(seconds(3.0));
    let actions = did(&mut schedule);
    assert_eq!(withdrawn(&actions), [(3, Withdrawal::Deadline)]);
    assert!(actions.contains(&Action::Abort(3)));
    schedule.ended(3, Ended::Aborted, seconds(3.1));
    assert!(schedule.is_idle());
}

#[test]
fn the_newest_of_one_user_wins() {
    let mut schedule = schedule();
    let typed = |number, name| Arrival {
        origin: user(name),
        class: QueueClass {
            newest_wins: true,
            ..class(2)
        },
        ..job(number, 2)
    };
    schedule.arrive(job(9, 0), Time::ZERO).unwrap();
    for (number, name) in [(1, "a"), (2, "b"), (3, "a")] {
        schedule.arrive(typed(number, name), Time::ZERO).unwrap();
    }
    assert_eq!(
        withdrawn(&did(&mut schedule)),
        [(1, Withdrawal::Superseded)]
    );
    schedule.ended(9, Ended::Completed, seconds(1.0));
    assert_eq!(did(&mut schedule), [Action::Start(2)]);
    schedule.arrive(typed(4, "b"), seconds(1.1)).unwrap();
    assert!(did(&mut schedule).contains(&Action::Abort(2)));
}

#[test]
fn a_title_waits_a_moment_for_its_chat_and_no_longer() {
    let mut schedule = schedule();
    let from = |number, urgency, conversation: &str| Arrival {
        origin: Origin {
            user: Some("a".into()),
            conversation: Some(conversation.into()),
        },
        ..job(number, urgency)
    };
    let start = seconds(100.0);
    schedule.arrive(from(1, 4, "new"), start).unwrap();
    assert_eq!(did(&mut schedule), []);
    assert_eq!(schedule.next_tick(), Some(start + GRACE));
    schedule
        .arrive(from(2, 0, "new"), start + seconds(0.3))
        .unwrap();
    assert_eq!(did(&mut schedule), [Action::Start(2)]);
    schedule.ended(2, Ended::Completed, start + seconds(20.0));
    assert_eq!(did(&mut schedule), [Action::Start(1)]);
    schedule.ended(1, Ended::Completed, start + seconds(21.0));
    // What follows the chat does not wait.
    schedule
        .arrive(from(3, 4, "new"), start + seconds(21.0))
        .unwrap();
    assert_eq!(did(&mut schedule), [Action::Start(3)]);
    schedule.ended(3, Ended::Completed, start + seconds(22.0));
    // A title whose chat never comes.
    schedule
        .arrive(from(4, 4, "other"), start + seconds(22.0))
        .unwrap();
    assert_eq!(did(&mut schedule), []);
    schedule.tick(start + seconds(22.0) + GRACE);
    assert_eq!(did(&mut schedule), [Action::Start(4)]);
}

#[test]
fn a_task_of_a_client_that_names_no_conversation_may_always_be_a_title() {
    let mut schedule = schedule();
    let unnamed = |number, urgency| Arrival {
        origin: Origin::default(),
        ..job(number, urgency)
    };
    schedule.arrive(unnamed(1, 0), Time::ZERO).unwrap();
    schedule.ended(1, Ended::Completed, seconds(1.0));
    did(&mut schedule);
    schedule.arrive(unnamed(2, 4), seconds(1.1)).unwrap();
    assert_eq!(did(&mut schedule), []);
    schedule.arrive(unnamed(3, 0), seconds(1.4)).unwrap();
    assert_eq!(did(&mut schedule), [Action::Start(3)]);
}

#[test]
fn a_title_that_costs_its_chat_nothing_begins_at_once() {
    let mut schedule = schedule();
    let title = |number, model| Arrival {
        model,
        expected: Some(GRACE),
        origin: Origin::default(),
        ..job(number, 4)
    };
    schedule.arrive(title(1, BIG), Time::ZERO).unwrap();
    assert_eq!(did(&mut schedule), [], "that is the chats' own model");
    let ours = Arrival {
        model: SMALL,
        ..job(2, 4)
    };
    schedule.arrive(ours, Time::ZERO).unwrap();
    did(&mut schedule);
    schedule.loaded(SMALL, GB, Time::ZERO);
    assert_eq!(did(&mut schedule), [Action::Start(2)]);
    schedule.ended(2, Ended::Completed, seconds(0.1));
    schedule.arrive(title(3, SMALL), seconds(0.2)).unwrap();
    assert_eq!(did(&mut schedule), [Action::Start(3)]);
}

#[test]
fn the_next_question_makes_the_outlook_on_it_pointless() {
    let mut schedule = schedule();
    let chat = |number, messages: &[u64]| Arrival {
        origin: Origin::default(),
        messages: messages.into(),
        ..job(number, 0)
    };
    let outlook = |number, origin| Arrival {
        origin,
        class: QueueClass {
            until_question: true,
            ..class(4)
        },
        ..job(number, 4)
    };
    schedule.arrive(chat(1, &[1]), Time::ZERO).unwrap();
    schedule.ended(1, Ended::Completed, seconds(1.0));
    schedule
        .arrive(outlook(2, Origin::default()), seconds(1.0))
        .unwrap();
    let named = job(3, 4).origin;
    schedule.arrive(outlook(3, named), seconds(1.0)).unwrap();
    did(&mut schedule);
    schedule.arrive(chat(4, &[7, 8, 9]), seconds(2.0)).unwrap();
    assert_eq!(withdrawn(&did(&mut schedule)), [], "another conversation");
    schedule.arrive(chat(5, &[1, 2, 3]), seconds(2.0)).unwrap();
    let superseded = |job| [(job, Withdrawal::Superseded)];
    assert_eq!(withdrawn(&did(&mut schedule)), superseded(2));
    schedule.arrive(job(6, 0), seconds(2.0)).unwrap();
    assert_eq!(withdrawn(&did(&mut schedule)), superseded(3));
}

#[test]
fn waiting_makes_urgent_and_no_person_waits_for_a_task_with_a_deadline() {
    let mut schedule = schedule();
    let mut background = job(1, 6);
    background.class.fallback = false;
    let mut with_deadline = job(2, 6);
    with_deadline.deadline = Some(seconds(1e6));
    schedule.arrive(job(3, 0), Time::ZERO).unwrap();
    schedule.arrive(background, Time::ZERO).unwrap();
    schedule.arrive(with_deadline, Time::ZERO).unwrap();
    did(&mut schedule);
    let mut running = 3;
    let mut turns = 0;
    // There is always a chat.
    for number in 10_u64..40 {
        let now = seconds((number - 9) as f64 * 10.0);
        schedule.arrive(job(number, 0), now).unwrap();
        schedule.ended(running, Ended::Completed, now);
        let [Action::Start(next)] = did(&mut schedule)[..] else {
            panic!("nothing started");
        };
        turns += 1;
        running = next;
        if next == 1 {
            break;
        }
        assert_ne!(next, 2);
    }
    assert_eq!((running, turns), (1, 18), "after six times 30 s");
}

#[test]
fn users_take_turns() {
    let mut schedule = schedule();
    schedule.limit = 100;
    schedule.arrive(job(1, 0), Time::ZERO).unwrap();
    let names = ["a", "a", "a", "a", "b", "b", "c"];
    for (number, name) in (2_u64..).zip(names) {
        let chat = Arrival {
            origin: user(name),
            ..job(number, 0)
        };
        schedule.arrive(chat, seconds(0.1)).unwrap();
    }
    let mut started = Vec::new();
    let mut running = Some(1);
    did(&mut schedule);
    while let Some(job) = running.take() {
        schedule.ended(job, Ended::Completed, seconds(1.0));
        if let [Action::Start(next)] = did(&mut schedule)[..] {
            started.push(next);
            running = Some(next);
        }
    }
    assert_eq!(started, [2, 6, 8, 3, 7, 4, 5]);
}

#[test]
fn the_longest_prefix_goes_first_until_patience_ends() {
    let mut schedule = schedule();
    schedule.limit = 100;
    schedule.arrive(job(1, 0), Time::ZERO).unwrap();
    schedule.arrive(job(2, 0), Time::ZERO).unwrap();
    did(&mut schedule);
    let mut running = 1;
    let mut passed_over = 0;
    for number in 3_u64..20 {
        let now = seconds((number - 2) as f64 * 3.0);
        schedule.arrive(job(number, 0), now).unwrap();
        schedule.reusable(number, 1000);
        schedule.ended(running, Ended::Completed, now);
        let [Action::Start(next)] = did(&mut schedule)[..] else {
            panic!("nothing started");
        };
        running = next;
        if next == 2 {
            break;
        }
        passed_over += 1;
    }
    assert_eq!((running, passed_over), (2, 4), "for 10 s");
    // A gain that is not worth it changes nothing.
    let now = seconds(100.0);
    schedule.ended(2, Ended::Completed, now);
    while let [Action::Start(job)] = did(&mut schedule)[..] {
        schedule.ended(job, Ended::Completed, now);
    }
    for number in 50..53 {
        schedule.arrive(job(number, 0), now).unwrap();
    }
    schedule.reusable(52, WORTHWHILE - 1);
    schedule.ended(50, Ended::Completed, now);
    assert!(did(&mut schedule).contains(&Action::Start(51)));
}

#[test]
fn a_model_is_loaded_beside_a_run_where_there_is_room_and_after_it_where_there_is_none() {
    let small = |number, urgency| Arrival {
        model: SMALL,
        ..job(number, urgency)
    };
    let mut roomy = schedule();
    roomy.arrive(job(1, 0), Time::ZERO).unwrap();
    did(&mut roomy);
    roomy.arrive(small(2, 0), Time::ZERO).unwrap();
    assert!(
        matches!(did(&mut roomy)[..], [Action::Load { model: SMALL, ref unload, .. }] if unload.is_empty())
    );
    let mut narrow = with_budget(GB);
    narrow.arrive(job(1, 4), Time::ZERO).unwrap();
    narrow.arrive(small(2, 4), Time::ZERO).unwrap();
    assert_eq!(did(&mut narrow), [Action::Start(1)]);
    // A person does not wait for a task, but for a swap.
    narrow.arrive(small(3, 0), Time::ZERO).unwrap();
    assert_eq!(did(&mut narrow), [Action::Abort(1)]);
    narrow.ended(1, Ended::Aborted, Time::ZERO);
    assert!(
        matches!(did(&mut narrow)[..], [Action::Load { model: SMALL, job: Some(3), ref unload, .. }] if *unload == [BIG])
    );
    narrow.loaded(SMALL, GB, Time::ZERO);
    assert_eq!(did(&mut narrow), [Action::Start(3)]);
}

#[test]
fn a_model_fits_beside_what_is_loaded_and_what_is_to_be() {
    const THIRD: ModelIndex = ModelIndex(2);
    assert!(!with_budget(GB).fits(SMALL, &[]));
    let mut schedule = with_budget(2 * GB);
    assert!(schedule.fits(SMALL, &[]));
    assert!(schedule.fits(SMALL, &[BIG, SMALL]));
    assert!(!schedule.fits(SMALL, &[THIRD]));
    schedule.pin(THIRD, true, Time::ZERO);
    assert!(!schedule.fits(SMALL, &[]), "the pinned one is being loaded");
    schedule.loaded(THIRD, GB, Time::ZERO);
    assert!(!schedule.fits(SMALL, &[]));
    assert_eq!(schedule.unload(BIG, Time::ZERO), Ok(Asked::Coming));
    schedule.unloaded(BIG, Time::ZERO);
    assert!(schedule.fits(SMALL, &[]));
}

#[test]
fn what_is_cancelled_never_runs_and_the_others_move_up() {
    let mut schedule = schedule();
    for number in 1..=4 {
        schedule.arrive(job(number, 0), Time::ZERO).unwrap();
    }
    schedule.actions();
    assert!(schedule.cancel(2, Time::ZERO) && !schedule.cancel(2, Time::ZERO));
    let places: Vec<(JobId, usize)> = schedule
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Place { job, place } => Some((job, place.ahead)),
            _ => None,
        })
        .collect();
    assert_eq!(places, [(3, 1), (4, 2)]);
    assert!(schedule.cancel(1, Time::ZERO));
    assert_eq!(did(&mut schedule), [Action::Abort(1)]);
    schedule.ended(1, Ended::Aborted, Time::ZERO);
    assert_eq!(did(&mut schedule), [Action::Start(3)]);
}

#[test]
fn places_come_with_the_time_that_runs_have_taken() {
    let mut schedule = schedule();
    schedule.pace = Pace::new(&[ModelTable::default(); 3]);
    schedule.arrive(job(1, 0), Time::ZERO).unwrap();
    schedule.ended(1, Ended::Completed, seconds(4.0));
    for number in 2..=4 {
        schedule.arrive(job(number, 0), seconds(4.0)).unwrap();
    }
    let last = schedule.actions().pop().unwrap();
    let place = Place {
        ahead: 2,
        wait: seconds(8.0),
    };
    assert_eq!(last, Action::Place { job: 4, place });
}
