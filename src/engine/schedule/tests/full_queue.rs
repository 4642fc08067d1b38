//! Who gets a place in a full queue, and whose.

use super::*;

/// An autocompletion of this user.
fn typed(number: JobId, name: &str) -> Arrival {
    Arrival {
        origin: user(name),
        class: QueueClass {
            newest_wins: true,
            ..class(2)
        },
        ..job(number, 2)
    }
}

fn chat_of(number: JobId, name: &str) -> Arrival {
    Arrival {
        origin: user(name),
        ..job(number, 0)
    }
}

/// A run, and a queue full of chats with one autocompletion of `a` in the last place.
fn full_of_chats() -> Schedule {
    let mut schedule = schedule();
    for number in 1..=4 {
        schedule.arrive(job(number, 0), Time::ZERO).unwrap();
    }
    schedule.arrive(typed(5, "a"), Time::ZERO).unwrap();
    assert_eq!(did(&mut schedule), [Action::Start(1)]);
    assert_eq!(schedule.waiting(), schedule.limit);
    schedule
}

#[test]
fn a_full_queue_refuses_with_a_time_and_gives_up_tasks_for_a_person() {
    let mut schedule = schedule();
    for number in 1..=5 {
        schedule.arrive(job(number, 4), Time::ZERO).unwrap();
    }
    let full = schedule.arrive(job(6, 4), Time::ZERO).unwrap_err();
    assert_eq!(full.waiting, 4);
    assert!(full.retry_after >= Duration::from_secs(1));
    did(&mut schedule);
    schedule.arrive(job(7, 0), Time::ZERO).unwrap();
    assert_eq!(withdrawn(&did(&mut schedule)), [(5, Withdrawal::Displaced)]);
    assert!(schedule.waiting() <= 5);
}

#[test]
fn the_newest_takes_the_place_of_the_one_that_it_makes_pointless() {
    let mut schedule = full_of_chats();
    let newer = typed(6, "a");
    let room = schedule.check_room(&newer.newcomer(), Time::ZERO);
    assert_eq!(room, Ok(()));
    schedule.arrive(newer, Time::ZERO).unwrap();
    let superseded = [(5, Withdrawal::Superseded)];
    assert_eq!(withdrawn(&did(&mut schedule)), superseded);
    assert_eq!(schedule.waiting(), schedule.limit);
}

#[test]
fn who_is_refused_costs_nobody_anything() {
    let mut schedule = schedule();
    let start = seconds(100.0);
    schedule.arrive(typed(1, "a"), start).unwrap();
    assert_eq!(did(&mut schedule), [Action::Start(1)]);
    for number in 2..=5 {
        let mut waiting = job(number, 3);
        waiting.class.fallback = false;
        schedule.arrive(waiting, start).unwrap();
    }
    // The older one runs, and frees no place by being stopped.
    let newer = typed(6, "a");
    schedule.check_room(&newer.newcomer(), start).unwrap_err();
    schedule.arrive(newer, start).unwrap_err();
    assert_eq!(did(&mut schedule), []);
    schedule.ended(1, Ended::Completed, seconds(101.0));
    assert_eq!(did(&mut schedule).len(), 1, "the next one runs");
}

#[test]
fn a_question_takes_the_place_of_the_outlook_on_it() {
    let mut schedule = schedule();
    for number in 1..=4 {
        let other = chat_of(number, "other");
        schedule.arrive(other, Time::ZERO).unwrap();
    }
    let mut outlook = job(5, 0);
    outlook.class.until_question = true;
    schedule.arrive(outlook, Time::ZERO).unwrap();
    did(&mut schedule);
    schedule.arrive(job(6, 0), Time::ZERO).unwrap();
    let superseded = [(5, Withdrawal::Superseded)];
    assert_eq!(withdrawn(&did(&mut schedule)), superseded);
}

#[test]
fn whoever_fills_the_queue_gives_places_to_others_until_they_have_as_many() {
    let mut schedule = schedule();
    for number in 1..=5 {
        let greedy = chat_of(number, "greedy");
        schedule.arrive(greedy, Time::ZERO).unwrap();
    }
    did(&mut schedule);
    let refused = schedule.arrive(chat_of(6, "greedy"), Time::ZERO);
    assert!(refused.is_err(), "nobody takes a place from himself");
    let mut task = job(7, 4);
    task.origin = user("modest");
    let refused = schedule.arrive(task, Time::ZERO);
    assert!(refused.is_err(), "no task takes the place of a chat");
    for (number, displaced) in [(8, 5), (9, 4)] {
        let modest = chat_of(number, "modest");
        schedule.arrive(modest, Time::ZERO).unwrap();
        let displaced = [(displaced, Withdrawal::Displaced)];
        assert_eq!(withdrawn(&did(&mut schedule)), displaced);
    }
    let refused = schedule.arrive(chat_of(10, "modest"), Time::ZERO);
    assert!(refused.is_err(), "two places each");
    let third = schedule.arrive(chat_of(11, "third"), Time::ZERO);
    assert!(third.is_err(), "of two places one is not given for none");
}
