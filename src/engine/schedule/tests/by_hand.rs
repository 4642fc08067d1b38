//! Models that are loaded and unloaded for people, and not for a job.

use super::*;

/// Models of 1 GB of which two fit, the first one loaded.
fn two_fit() -> Schedule {
    with_budget(2 * GB)
}

fn loads(schedule: &mut Schedule) -> Vec<(ModelIndex, Vec<ModelIndex>)> {
    let actions = did(schedule).into_iter();
    let loads = actions.filter_map(|action| match action {
        Action::Load {
            model,
            unload,
            job: None,
            ..
        } => Some((model, unload)),
        _ => None,
    });
    loads.collect()
}

const THIRD: ModelIndex = ModelIndex(2);

#[test]
fn a_wish_takes_the_room_of_what_nobody_needs() {
    let mut schedule = two_fit();
    assert_eq!(schedule.wish(BIG, Time::ZERO), Ok(Asked::Done));
    assert_eq!(schedule.wish(SMALL, Time::ZERO), Ok(Asked::Coming));
    assert_eq!(loads(&mut schedule), [(SMALL, vec![])]);
    // The same load serves a second wish and a job.
    assert_eq!(schedule.wish(SMALL, Time::ZERO), Ok(Asked::Coming));
    let ours = Arrival {
        model: SMALL,
        ..job(1, 0)
    };
    schedule.arrive(ours, Time::ZERO).unwrap();
    assert_eq!(did(&mut schedule), []);
    schedule.loaded(SMALL, GB, seconds(1.0));
    assert_eq!(did(&mut schedule), [Action::Start(1)]);
    schedule.ended(1, Ended::Completed, seconds(2.0));
    schedule.wish(THIRD, seconds(3.0)).unwrap();
    assert_eq!(loads(&mut schedule), [(THIRD, vec![BIG])]);
}

#[test]
fn a_wish_waits_for_a_job_whose_model_is_in_its_way() {
    let mut schedule = with_budget(GB);
    schedule.arrive(job(1, 4), Time::ZERO).unwrap();
    schedule.arrive(job(2, 4), Time::ZERO).unwrap();
    schedule.wish(SMALL, Time::ZERO).unwrap();
    assert_eq!(did(&mut schedule), [Action::Start(1)], "and no abort");
    assert_eq!(schedule.residency()[1], (Residency::Waiting, false));
    schedule.ended(1, Ended::Completed, seconds(1.0));
    assert_eq!(did(&mut schedule), [Action::Start(2)]);
    schedule.ended(2, Ended::Completed, seconds(2.0));
    assert_eq!(loads(&mut schedule), [(SMALL, vec![BIG])]);
}

#[test]
fn a_wish_that_waits_can_be_called_off() {
    let mut schedule = with_budget(GB);
    schedule.arrive(job(1, 0), Time::ZERO).unwrap();
    schedule.wish(SMALL, Time::ZERO).unwrap();
    assert_eq!(schedule.unload(SMALL, Time::ZERO), Ok(Asked::Done));
    schedule.ended(1, Ended::Completed, seconds(1.0));
    assert_eq!(loads(&mut schedule), []);
}

#[test]
fn jobs_go_before_wishes() {
    let mut schedule = schedule();
    schedule.wish(SMALL, Time::ZERO).unwrap();
    schedule.wish(BIG, Time::ZERO).unwrap();
    did(&mut schedule);
    let other = Arrival {
        model: THIRD,
        ..job(1, 0)
    };
    schedule.arrive(other, Time::ZERO).unwrap();
    schedule.loaded(SMALL, GB, Time::ZERO);
    assert!(matches!(
        did(&mut schedule)[..],
        [Action::Load {
            model: THIRD,
            job: Some(1),
            ..
        }]
    ));
}

#[test]
fn what_a_job_needs_or_a_person_has_pinned_is_not_unloaded() {
    let mut schedule = two_fit();
    schedule.arrive(job(1, 0), Time::ZERO).unwrap();
    schedule.arrive(job(2, 0), Time::ZERO).unwrap();
    let in_use = |jobs| Err(Refused::InUse { jobs });
    assert_eq!(schedule.unload(BIG, Time::ZERO), in_use(2));
    schedule.cancel(2, Time::ZERO);
    schedule.cancel(1, Time::ZERO);
    assert_eq!(
        schedule.unload(BIG, Time::ZERO),
        in_use(1),
        "still stopping"
    );
    schedule.ended(1, Ended::Aborted, seconds(1.0));
    schedule.pin(BIG, true, seconds(1.0));
    assert_eq!(schedule.unload(BIG, seconds(1.0)), Err(Refused::Pinned));
    schedule.pin(SMALL, true, seconds(1.0));
    assert_eq!(loads(&mut schedule), [(SMALL, vec![])]);
    assert_eq!(schedule.unload(SMALL, seconds(1.0)), Err(Refused::Loading));
    schedule.loaded(SMALL, GB, seconds(2.0));
    let no_room = Refused::NoRoom { pinned: vec![BIG] };
    assert_eq!(schedule.wish(THIRD, seconds(2.0)), Err(no_room));
    schedule.pin(BIG, false, seconds(2.0));
    assert_eq!(schedule.unload(BIG, seconds(2.0)), Ok(Asked::Coming));
    assert_eq!(did(&mut schedule), [Action::Unload(BIG)]);
}

#[test]
fn a_model_on_its_way_out_is_loaded_again_when_it_is_gone() {
    let mut schedule = schedule();
    schedule.unload(BIG, Time::ZERO).unwrap();
    assert_eq!(schedule.unload(BIG, Time::ZERO), Ok(Asked::Coming));
    assert_eq!(did(&mut schedule), [Action::Unload(BIG)]);
    schedule.arrive(job(1, 0), Time::ZERO).unwrap();
    assert_eq!(did(&mut schedule), []);
    schedule.unloaded(BIG, seconds(1.0));
    assert!(matches!(
        did(&mut schedule)[..],
        [Action::Load {
            model: BIG,
            job: Some(1),
            ..
        }]
    ));
}

#[test]
fn a_wish_that_fails_is_not_tried_again() {
    let mut schedule = schedule();
    schedule.wish(SMALL, Time::ZERO).unwrap();
    did(&mut schedule);
    schedule.load_failed(SMALL, Time::ZERO);
    assert_eq!(did(&mut schedule), []);
    assert_eq!(schedule.residency()[1], (Residency::Absent, false));
}

#[test]
fn preloaded_models_come_in_their_order_once_and_where_there_is_room() {
    let [first, second, third] = [1, 2, 0].map(|turn| ModelTable {
        memory: GB,
        preload: Some(turn),
        ..ModelTable::default()
    });
    let mut schedule = Schedule::new(vec![first, second, third], 4, 2 * GB);
    schedule.tick(Time::ZERO);
    assert_eq!(loads(&mut schedule), [(THIRD, vec![])]);
    schedule.loaded(THIRD, GB, Time::ZERO);
    assert_eq!(loads(&mut schedule), [(BIG, vec![])]);
    schedule.loaded(BIG, GB, Time::ZERO);
    assert_eq!(loads(&mut schedule), []);
    schedule.unload(BIG, Time::ZERO).unwrap();
    schedule.unloaded(BIG, Time::ZERO);
    assert_eq!(loads(&mut schedule), [], "the start is over");
}

#[test]
fn a_pinned_model_is_loaded_when_nobody_asks_and_where_there_is_room() {
    let pinned = ModelTable {
        memory: GB,
        pinned: true,
        ..ModelTable::default()
    };
    let mut schedule = Schedule::new(vec![pinned; 3], 4, 2 * GB);
    for model in [BIG, SMALL] {
        schedule.tick(Time::ZERO);
        assert!(
            matches!(did(&mut schedule)[..], [Action::Load { model: loading, job: None, .. }] if loading == model)
        );
        schedule.loaded(model, GB, Time::ZERO);
    }
    assert_eq!(did(&mut schedule), [], "there is no room for the third");
    schedule.lost(SMALL, Time::ZERO);
    assert!(matches!(
        did(&mut schedule)[..],
        [Action::Load {
            model: ModelIndex(2),
            ..
        }]
    ));
    assert_eq!(schedule.load_failed(ModelIndex(2), Time::ZERO), [0; 0]);
    schedule.tick(seconds(1.0));
    assert!(matches!(
        did(&mut schedule)[..],
        [Action::Load { model: SMALL, .. }]
    ));
}
