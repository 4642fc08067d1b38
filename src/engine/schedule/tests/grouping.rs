//! Which jobs go together so that models are swapped less often, and what that may cost the others.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A board on which one model has room, [`BIG`] to begin with. All runs take the same time, and so do all loads; both
/// are known.
struct Board {
    schedule: Schedule,
    now: Time,
    run: Time,
    load: Time,
    running: Option<(Time, JobId, Ended)>,
    loading: Option<(Time, ModelIndex)>,
    started: Vec<(JobId, Time)>,
    completed: BTreeMap<JobId, Time>,
    withdrawn: Vec<(JobId, Withdrawal)>,
    loads: usize,
}

impl Board {
    fn new(run: Time, load: Time) -> Self {
        Self::with_room(GB, run, load)
    }

    fn with_room(budget: u64, run: Time, load: Time) -> Self {
        let mut schedule = with_budget(budget);
        schedule.limit = 1000;
        schedule.pace = Pace::new(&[ModelTable::default(); 3]);
        for model in (0..3).map(ModelIndex) {
            schedule.pace.learn(model, run);
            schedule.pace.learn_load(model, load);
        }
        Self {
            schedule,
            now: Time::ZERO,
            run,
            load,
            running: None,
            loading: None,
            started: Vec::new(),
            completed: BTreeMap::new(),
            withdrawn: Vec::new(),
            loads: 0,
        }
    }

    /// Plays until everything has ended.
    fn play(mut self, arrivals: impl IntoIterator<Item = (Time, Arrival)>) -> Self {
        let mut arrivals = arrivals.into_iter().peekable();
        loop {
            let load_ends = self.loading.map(|(at, _)| at);
            let run_ends = self.running.map(|(at, ..)| at);
            let arrives = arrivals.peek().map(|(at, _)| *at);
            let tick = self.schedule.next_tick();
            let events = [load_ends, run_ends, arrives, tick];
            let Some(now) = events.into_iter().flatten().min() else {
                assert!(self.schedule.is_idle());
                return self;
            };
            self.now = now;
            if let Some((_, model)) = self.loading.take_if(|(at, _)| *at == now) {
                self.schedule.loaded(model, GB, now);
            } else if let Some((_, job, how)) = self.running.take_if(|(at, ..)| *at == now) {
                if how == Ended::Completed {
                    self.completed.insert(job, now);
                }
                self.schedule.ended(job, how, now);
            } else if let Some((_, arrival)) = arrivals.next_if(|(at, _)| *at == now) {
                self.schedule.arrive(arrival, now).unwrap();
            } else {
                self.schedule.tick(now);
            }
            self.obey();
        }
    }

    fn obey(&mut self) {
        for action in did(&mut self.schedule) {
            match action {
                Action::Start(job) => {
                    self.started.push((job, self.now));
                    self.running = Some((self.now + self.run, job, Ended::Completed));
                }
                Action::Abort(job) => self.running = Some((self.now, job, Ended::Aborted)),
                Action::Load { model, .. } => {
                    self.loads += 1;
                    self.loading = Some((self.now + self.load, model));
                }
                Action::Withdraw { job, why, .. } => self.withdrawn.push((job, why)),
                Action::Unload(_) | Action::Place { .. } => panic!("{action:?}"),
            }
        }
    }

    fn order(&self) -> Vec<JobId> {
        self.started.iter().map(|(job, _)| *job).collect()
    }
}

/// A task of a model with this time to be done in.
fn task(number: JobId, model: ModelIndex, at: Time, within: Option<Time>) -> (Time, Arrival) {
    let task = Arrival {
        model,
        deadline: within.map(|within| at + within),
        ..job(number, 4)
    };
    (at, task)
}

/// A run of [`BIG`]; while it goes on the task 1 for [`SMALL`] arrives, and behind it more for [`BIG`].
fn one_among(others: u64, at: Time, within: Option<Time>) -> impl Iterator<Item = (Time, Arrival)> {
    let first = [task(0, BIG, Time::ZERO, None), task(1, SMALL, at, within)];
    let rest = (2..2 + others).map(move |number| task(number, BIG, at, None));
    first.into_iter().chain(rest)
}

#[test]
fn swaps_are_grouped() {
    let models = [BIG, SMALL].into_iter().cycle();
    let tasks = (1..=6).zip(models);
    let tasks = tasks.map(|(number, model)| task(number, model, Time::ZERO, None));
    let board = Board::new(seconds(1.0), seconds(3.0)).play(tasks);
    assert_eq!((board.order(), board.loads), (vec![1, 3, 5, 2, 4, 6], 1));
}

#[test]
fn what_cannot_wait_goes_before_what_can_and_of_two_the_one_with_less_time() {
    for (first, second) in [(30.0, 8.0), (8.9, 8.0)] {
        let within = |time| Some(seconds(time));
        let tasks = [
            task(0, BIG, Time::ZERO, None),
            task(1, ModelIndex(2), Time::ZERO, within(first)),
            task(2, SMALL, Time::ZERO, within(second)),
            task(3, BIG, Time::ZERO, None),
        ];
        let board = Board::new(seconds(2.0), seconds(3.0)).play(tasks);
        assert_eq!(board.order()[..2], [0, 2]);
        assert_eq!(board.completed[&2], seconds(7.0));
    }
}

#[test]
fn no_swap_is_made_for_what_is_too_late_before_its_model_is_loaded() {
    let board = Board::new(seconds(2.0), seconds(6.0));
    let board = board.play(one_among(3, seconds(1.0), Some(seconds(5.0))));
    assert_eq!((board.order(), board.loads), (vec![0, 2, 3, 4], 0));
    assert_eq!(board.withdrawn, [(1, Withdrawal::Deadline)]);
}

#[test]
fn where_there_is_room_a_model_is_loaded_beside_those_that_go_first() {
    for (budget, expected) in [(GB, [0, 1, 2, 3]), (2 * GB, [0, 1, 3, 2])] {
        let by = |name: &str, (at, arrival): (Time, Arrival)| {
            let user = Some(Arc::from(name));
            let origin = Origin {
                user,
                ..arrival.origin
            };
            (at, Arrival { origin, ..arrival })
        };
        let tasks = [
            by("a", task(0, BIG, Time::ZERO, None)),
            by("a", task(1, BIG, Time::ZERO, None)),
            by("a", task(2, BIG, Time::ZERO, None)),
            // It is this one's turn.
            by("b", task(3, SMALL, seconds(1.0), None)),
        ];
        let board = Board::with_room(budget, seconds(2.0), seconds(3.0)).play(tasks);
        assert_eq!((board.order(), board.loads), (expected.to_vec(), 1));
    }
}

#[test]
fn what_the_kv_cache_holds_is_no_reason_to_miss_a_deadline() {
    for (within, expected) in [(5.0, [0, 1, 2]), (9.0, [0, 2, 1])] {
        let mut tasks = [
            task(0, BIG, Time::ZERO, None),
            task(1, BIG, seconds(1.0), Some(seconds(within))),
            task(2, BIG, seconds(1.0), None),
        ];
        tasks[2].1.reusable = 1000;
        let board = Board::new(seconds(3.0), seconds(3.0)).play(tasks);
        assert_eq!(board.order(), expected);
        assert_eq!(board.withdrawn, []);
    }
}

fn ms(range: std::ops::Range<u64>) -> impl Strategy<Value = Time> {
    range.prop_map(Duration::from_millis)
}

proptest! {
    #[test]
    fn a_deadline_that_can_be_kept_is_kept_and_one_that_is_far_changes_nothing(
        run in ms(1000..9000), load in ms(500..6000), others in 1_u64..15, share in 0.0..0.99, spare in ms(1..40_000),
    ) {
        let at = run.mul_f64(share);
        prop_assume!(spare != run);
        // The run under way cannot be helped.
        let within = run - at + load + run + spare;
        let board = Board::new(run, load).play(one_among(others, at, Some(within)));
        prop_assert!(board.completed[&1] <= at + within);
        prop_assert_eq!(board.completed.len() as u64, 2 + others);
        let order = board.order();
        prop_assert_eq!(order[1] == 1, spare < run, "it is held back only if there is time");
        if spare >= PATIENCE + run * 2 {
            let unhurried = Board::new(run, load).play(one_among(others, at, None));
            prop_assert_eq!(order, unhurried.order());
        }
    }

    #[test]
    fn models_are_swapped_once_each_where_patience_allows(
        wanted in prop::collection::vec(0_usize..3, 1..30), load in ms(0..1000),
    ) {
        let run = PATIENCE / 60;
        let models = [BIG.0].into_iter().chain(wanted.iter().copied());
        let tasks = (0..).zip(models).map(|(number, model)| task(number, ModelIndex(model), Time::ZERO, None));
        let board = Board::new(run, load).play(tasks);
        let mut models: BTreeSet<usize> = wanted.iter().copied().collect();
        models.insert(BIG.0);
        prop_assert_eq!(board.loads, models.len() - 1);
    }

    #[test]
    fn nobody_waits_for_ever_while_others_keep_their_model_busy(
        run in ms(500..9000), load in ms(500..6000), share in 0.0..0.99, gap in 0.1..1.0,
    ) {
        let at = run.mul_f64(share);
        let gap = run.mul_f64(gap);
        let stream = (2..60).map(|number: u64| task(number, BIG, at + gap * (number as u32), None));
        let mut arrivals = vec![task(0, BIG, Time::ZERO, None), task(1, SMALL, at, None)];
        arrivals.extend(stream);
        let board = Board::new(run, load).play(arrivals);
        let begun = board.started.iter().find(|(job, _)| *job == 1).unwrap().1;
        prop_assert!(begun <= at + PATIENCE + run * 2 + load, "{begun:?}");
        prop_assert_eq!(board.completed.len(), 60);
    }
}
