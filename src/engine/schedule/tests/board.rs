//! A board on which every run takes the time that it is said to take, and reading cannot be interrupted.

use super::*;

pub(super) struct Board<F> {
    pub(super) schedule: Schedule,
    pub(super) now: Time,
    /// The run, and when it ends.
    running: Option<(JobId, Time)>,
    /// The runs so far, and when they began.
    pub(super) starts: Vec<(JobId, Time)>,
    takes: F,
}

impl<F: Fn(JobId) -> Time> Board<F> {
    /// With the two models loaded and as many places as anybody wants.
    pub(super) fn new(takes: F) -> Self {
        let mut schedule = schedule();
        schedule.limit = usize::MAX;
        schedule.wish(SMALL, Time::ZERO).unwrap();
        did(&mut schedule);
        schedule.loaded(SMALL, GB, Time::ZERO);
        Self {
            schedule,
            now: Time::ZERO,
            running: None,
            starts: Vec::new(),
            takes,
        }
    }

    pub(super) fn arrive(&mut self, arrival: Arrival) {
        self.schedule.arrive(arrival, self.now).unwrap();
        self.obey();
    }

    fn obey(&mut self) {
        for action in did(&mut self.schedule) {
            match action {
                Action::Start(job) => {
                    assert_eq!(self.running, None);
                    self.starts.push((job, self.now));
                    self.running = Some((job, self.now + (self.takes)(job)));
                }
                Action::Abort(job) => assert_eq!(self.running.map(|run| run.0), Some(job)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// When the run ends.
    pub(super) fn run_ends(&self) -> Option<Time> {
        self.running.map(|(_, at)| at)
    }

    /// The runs so far.
    pub(super) fn started(&self) -> Vec<JobId> {
        self.starts.iter().map(|(job, _)| *job).collect()
    }

    /// Goes on until then.
    pub(super) fn until(&mut self, then: Time) {
        while let Some((job, at)) = self.running.take_if(|(_, at)| *at <= then) {
            self.now = at;
            self.schedule.ended(job, Ended::Completed, at);
            self.obey();
        }
        self.now = then;
        self.schedule.tick(then);
        self.obey();
    }
}
