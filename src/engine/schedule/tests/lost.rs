//! Workers that end by themselves.

use super::*;

fn loads(schedule: &mut Schedule) -> Vec<ModelIndex> {
    let actions = did(schedule).into_iter().map(|action| match action {
        Action::Load { model, .. } => model,
        other => panic!("{other:?}"),
    });
    actions.collect()
}

#[test]
fn a_lost_worker_means_another_load_and_a_failed_load_fails_all_that_wait_for_it() {
    let mut schedule = schedule();
    schedule.arrive(job(1, 0), Time::ZERO).unwrap();
    schedule.arrive(job(2, 0), Time::ZERO).unwrap();
    did(&mut schedule);
    schedule.ended(1, Ended::ModelLost, Time::ZERO);
    assert!(matches!(
        did(&mut schedule)[..],
        [Action::Load {
            model: BIG,
            job: Some(1),
            ..
        }]
    ));
    let mut failed = schedule.load_failed(BIG, Time::ZERO);
    failed.sort_unstable();
    assert_eq!(failed, [1, 2]);
    assert!(schedule.is_idle());
}

#[test]
fn a_pinned_model_that_was_lost_comes_back_after_a_rest_that_grows() {
    let mut schedule = schedule();
    schedule.pin(BIG, true, Time::ZERO);
    let mut now = Time::ZERO;
    for rest in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0] {
        schedule.lost(BIG, now);
        assert_eq!(loads(&mut schedule), []);
        assert_eq!(schedule.residency()[0], (Residency::Absent, true));
        now += seconds(rest);
        assert_eq!(schedule.next_tick(), Some(now));
        schedule.tick(now);
        assert_eq!(loads(&mut schedule), [BIG]);
        assert_eq!(schedule.next_tick(), None);
        schedule.loaded(BIG, GB, now);
    }
    // A run shows that it works.
    schedule.arrive(job(1, 0), now).unwrap();
    schedule.ended(1, Ended::Completed, now);
    did(&mut schedule);
    schedule.lost(BIG, now);
    assert_eq!(schedule.next_tick(), Some(now + seconds(1.0)));
}

#[test]
fn whoever_needs_a_lost_model_does_not_wait_for_its_rest() {
    let mut schedule = schedule();
    schedule.pin(BIG, true, Time::ZERO);
    schedule.lost(BIG, Time::ZERO);
    assert_eq!(loads(&mut schedule), []);
    schedule.arrive(job(1, 0), Time::ZERO).unwrap();
    assert_eq!(loads(&mut schedule), [BIG]);
}

#[test]
fn what_nobody_wants_stays_away_and_leaves_its_room() {
    let mut schedule = with_budget(GB);
    assert!(!schedule.fits(SMALL, &[]));
    schedule.lost(BIG, Time::ZERO);
    assert_eq!((loads(&mut schedule), schedule.next_tick()), (vec![], None));
    assert!(schedule.fits(SMALL, &[]));
}

#[test]
fn a_pinned_model_that_made_room_for_a_job_needs_no_rest() {
    let mut schedule = with_budget(GB);
    schedule.pin(BIG, true, Time::ZERO);
    let other = Arrival {
        model: SMALL,
        ..job(1, 0)
    };
    schedule.arrive(other, Time::ZERO).unwrap();
    assert_eq!(loads(&mut schedule), [SMALL]);
    schedule.loaded(SMALL, GB, Time::ZERO);
    schedule.ended(1, Ended::Completed, Time::ZERO);
    schedule.unload(SMALL, Time::ZERO).unwrap();
    did(&mut schedule);
    schedule.unloaded(SMALL, Time::ZERO);
    assert_eq!(loads(&mut schedule), [BIG]);
}
