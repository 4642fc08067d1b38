//! Random arrivals against an engine in virtual time, with all promises checked at every step.

mod clients;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use proptest::prelude::*;

use super::*;
use clients::{Client, Does, Fate, Hand, client, hand, is_input, until_question};

const LIMIT: usize = 6;
const MODELS: usize = 3;
/// Time to load a model, to unload one, and of one decode step.
const LOAD: Time = Duration::from_secs(3);
const UNLOAD: Time = Duration::from_millis(700);
const STEP: Time = Duration::from_millis(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    Leaves(JobId),
    RunEnds(u64),
    /// The runtime has noticed an abort.
    RunStops(u64),
    LoadEnds(ModelIndex, u64),
    UnloadEnds(ModelIndex),
    Asks(ModelIndex, Does),
    Tick,
}

/// How a job ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Completed,
    Failed,
    Cancelled,
    Refused,
    Withdrawn(Withdrawal),
}

/// The run on the NPU.
struct Running {
    job: JobId,
    model: ModelIndex,
    number: u64,
    prefill_over: Time,
    aborted: bool,
}

struct Engine<'a> {
    clients: &'a [Client],
    schedule: Schedule,
    now: Time,
    events: BinaryHeap<Reverse<(Time, Event)>>,
    loaded: HashSet<usize>,
    loading: Option<usize>,
    loads: u64,
    /// Models whose next load fails.
    failing: HashSet<usize>,
    unloading: HashSet<usize>,
    /// Models of which so many fit.
    room_for: u64,
    running: Option<Running>,
    runs: u64,
    arrived: HashMap<JobId, Time>,
    starts: HashMap<JobId, u32>,
    outcomes: HashMap<JobId, (Time, Outcome)>,
    /// Workers that have died, and loads that have failed.
    faults: u32,
    /// Runs of inputs and of others since a chat waits with its model loaded.
    before_chats: HashMap<JobId, (u32, u32)>,
}

impl<'a> Engine<'a> {
    fn new(clients: &'a [Client], hands: &[Hand], room_for: u64) -> Self {
        // The second one is to be there in any case.
        let model = |index| ModelTable {
            memory: GB,
            pinned: index == 1,
            ..ModelTable::default()
        };
        let mut at = Time::ZERO;
        let mut events = BinaryHeap::new();
        for (index, client) in clients.iter().enumerate() {
            at += Duration::from_millis(client.gap_ms);
            events.push(Reverse((at, Event::Arrives(index))));
        }
        let mut at = Time::ZERO;
        for hand in hands {
            at += Duration::from_millis(hand.gap_ms);
            let asks = Event::Asks(ModelIndex(hand.model), hand.does);
            events.push(Reverse((at, asks)));
        }
        Self {
            clients,
            schedule: Schedule::new((0..MODELS).map(model).collect(), LIMIT, room_for * GB),
            now: Time::ZERO,
            events,
            loaded: HashSet::new(),
            loading: None,
            loads: 0,
            failing: HashSet::new(),
            unloading: HashSet::new(),
            room_for,
            running: None,
            runs: 0,
            arrived: HashMap::new(),
            starts: HashMap::new(),
            outcomes: HashMap::new(),
            faults: 0,
            before_chats: HashMap::new(),
        }
    }

    fn client(&self, job: JobId) -> &Client {
        &self.clients[usize::try_from(job).unwrap()]
    }

    fn run(mut self) -> Self {
        while let Some(Reverse((at, event))) = self.events.pop() {
            assert!(at >= self.now);
            self.now = at;
            self.happen(event);
            self.obey();
            self.check();
            if let Some(due) = self.schedule.next_tick() {
                let to_come = self
                    .events
                    .peek()
                    .is_some_and(|Reverse((at, _))| *at == self.now);
                assert!(due > self.now || to_come, "nothing is left undone");
                self.events.push(Reverse((due, Event::Tick)));
            }
        }
        self
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Tick => self.schedule.tick(now),
            Event::Arrives(index) => {
                let job = JobId::try_from(index).unwrap();
                let client = self.client(job).clone();
                let place = |place: u8| Arc::from(format!("{place}"));
                let arrival = Arrival {
                    job,
                    model: ModelIndex(client.model),
                    class: QueueClass {
                        fallback: client.fallback,
                        newest_wins: client.newest_wins,
                        until_question: until_question(&client, job),
                        ages_to: u8::from(is_input(&client)),
                        ..class(client.urgency)
                    },
                    deadline: client.deadline_ms.map(|ms| now + Duration::from_millis(ms)),
                    origin: Origin {
                        user: client.user.map(place),
                        conversation: client.conversation.map(place),
                    },
                    reusable: client.reusable,
                    expected: (index % 2 == 0).then_some(GRACE),
                    messages: [].into(),
                };
                self.arrived.insert(job, now);
                match self.schedule.arrive(arrival, now) {
                    Ok(()) => {
                        if let Some(ms) = client.leaves_ms {
                            let leaves = now + Duration::from_millis(ms);
                            self.events.push(Reverse((leaves, Event::Leaves(job))));
                        }
                    }
                    Err(full) => {
                        assert!(full.waiting >= LIMIT && !full.retry_after.is_zero());
                        self.end(job, Outcome::Refused);
                    }
                }
            }
            Event::Leaves(job) => {
                let known = self.schedule.cancel(job, now);
                assert_eq!(known, !self.outcomes.contains_key(&job));
                if known {
                    self.end(job, Outcome::Cancelled);
                }
            }
            Event::RunEnds(number) | Event::RunStops(number) => {
                let Some(run) = self.running.take_if(|run| run.number == number) else {
                    return;
                };
                let fate = self.client(run.job).fate;
                let (how, outcome) = match fate {
                    Fate::WorkerDies => {
                        self.faults += 1;
                        self.loaded.remove(&run.model.0);
                        self.schedule.lost(run.model, now);
                        self.obey();
                        (Ended::Failed, Some(Outcome::Failed))
                    }
                    _ if matches!(event, Event::RunStops(_)) => (Ended::Aborted, None),
                    Fate::Fails => (Ended::Failed, Some(Outcome::Failed)),
                    Fate::Completes => (Ended::Completed, Some(Outcome::Completed)),
                };
                self.schedule.ended(run.job, how, now);
                if let Some(outcome) = outcome.filter(|_| !self.outcomes.contains_key(&run.job)) {
                    self.end(run.job, outcome);
                }
            }
            Event::LoadEnds(_, load) if load != self.loads || self.loading.is_none() => {}
            Event::LoadEnds(model, _) if self.failing.remove(&model.0) => self.fail_load(model),
            Event::LoadEnds(model, _) => {
                self.loading = None;
                self.loaded.insert(model.0);
                self.schedule.loaded(model, GB, now);
            }
            Event::UnloadEnds(model) => {
                self.unloading.remove(&model.0);
                self.schedule.unloaded(model, now);
            }
            Event::Asks(model, Does::Load) => {
                let asked = self.schedule.wish(model, now);
                assert_eq!(asked == Ok(Asked::Done), self.loaded.contains(&model.0));
            }
            Event::Asks(model, Does::Unload) => {
                if self.schedule.unload(model, now) == Ok(Asked::Done) {
                    assert!(!self.loaded.contains(&model.0) && self.loading != Some(model.0));
                }
            }
            Event::Asks(model, Does::Pin(pinned)) => self.schedule.pin(model, pinned, now),
            Event::Asks(model, Does::LosesWorker) if self.loading == Some(model.0) => {
                self.fail_load(model);
            }
            Event::Asks(model, Does::LosesWorker) => self.lose(model),
            Event::Asks(model, Does::FailsToLoad) => {
                self.failing.insert(model.0);
            }
        }
    }

    fn fail_load(&mut self, model: ModelIndex) {
        self.faults += 1;
        self.loading = None;
        for job in self.schedule.load_failed(model, self.now) {
            assert_eq!(self.client(job).model, model.0);
            self.end(job, Outcome::Failed);
        }
    }

    /// The worker dies, between two runs or in one.
    fn lose(&mut self, model: ModelIndex) {
        let now = self.now;
        if !self.loaded.remove(&model.0) {
            return;
        }
        self.faults += 1;
        let Some(run) = self.running.take_if(|run| run.model == model) else {
            return self.schedule.lost(model, now);
        };
        let how = if run.aborted {
            Ended::Aborted
        } else if now < run.prefill_over {
            *self.starts.get_mut(&run.job).unwrap() -= 1;
            Ended::ModelLost
        } else {
            Ended::Failed
        };
        if how != Ended::ModelLost {
            self.schedule.lost(model, now);
            self.obey();
        }
        self.schedule.ended(run.job, how, now);
        if how == Ended::Failed && !self.outcomes.contains_key(&run.job) {
            self.end(run.job, Outcome::Failed);
        }
    }

    fn obey(&mut self) {
        for action in self.schedule.actions() {
            match action {
                Action::Start(job) => self.start(job),
                Action::Abort(job) => {
                    let run = self.running.as_mut().expect("something to abort");
                    assert!(run.job == job && !run.aborted);
                    run.aborted = true;
                    // The prefill cannot be interrupted.
                    let at = self.now.max(run.prefill_over) + STEP;
                    let event = Event::RunStops(run.number);
                    self.events.push(Reverse((at, event)));
                }
                Action::Load {
                    model,
                    unload,
                    domain: _,
                    job: _,
                } => {
                    assert!(self.loading.is_none() && self.unloading.is_empty());
                    assert!(!self.loaded.contains(&model.0));
                    for gone in unload {
                        assert!(self.loaded.remove(&gone.0));
                        assert!(self.running.as_ref().is_none_or(|run| run.model != gone));
                    }
                    assert!((self.loaded.len() as u64) < self.room_for);
                    self.loading = Some(model.0);
                    self.loads += 1;
                    let ends = Event::LoadEnds(model, self.loads);
                    self.events.push(Reverse((self.now + LOAD, ends)));
                }
                Action::Unload(model) => {
                    assert!(self.loaded.remove(&model.0) && self.unloading.insert(model.0));
                    let needed = |job: &JobId| {
                        !self.outcomes.contains_key(job) && self.client(*job).model == model.0
                    };
                    assert!(!self.arrived.keys().any(needed), "a job needs {model:?}");
                    assert!(self.running.as_ref().is_none_or(|run| run.model != model));
                    let gone = Event::UnloadEnds(model);
                    self.events.push(Reverse((self.now + UNLOAD, gone)));
                }
                Action::Withdraw {
                    job,
                    why,
                    retry_after,
                } => {
                    assert!(!retry_after.is_zero());
                    self.end(job, Outcome::Withdrawn(why));
                }
                Action::Place { job, place } => {
                    assert!(!self.outcomes.contains_key(&job));
                    assert!(place.ahead <= self.clients.len());
                }
            }
        }
    }

    fn start(&mut self, job: JobId) {
        assert!(self.running.is_none(), "one run at a time");
        assert!(!self.outcomes.contains_key(&job), "{job} is over");
        let client = self.client(job).clone();
        assert!(self.loaded.contains(&client.model), "the model is loaded");
        *self.starts.entry(job).or_default() += 1;
        self.count_before_chats(job);
        self.runs += 1;
        let prefill_over = self.now + Duration::from_millis(client.prefill_ms);
        self.running = Some(Running {
            job,
            model: ModelIndex(client.model),
            number: self.runs,
            prefill_over,
            aborted: false,
        });
        let at = prefill_over + STEP * client.tokens;
        self.events.push(Reverse((at, Event::RunEnds(self.runs))));
    }

    /// A chat whose model is loaded waits for one input at most, and for one more in some runs.
    fn count_before_chats(&mut self, starting: JobId) {
        let is_input = is_input(self.client(starting));
        self.before_chats.remove(&starting);
        let waits = |job: &JobId| {
            let client = self.client(*job);
            *job != starting
                && client.urgency == 0
                && self.loaded.contains(&client.model)
                && !self.outcomes.contains_key(job)
        };
        let chats: Vec<JobId> = self.arrived.keys().copied().filter(waits).collect();
        for chat in chats {
            let (inputs, others) = self.before_chats.entry(chat).or_default();
            *inputs += u32::from(is_input);
            *others += u32::from(!is_input);
            // What has lost its worker begins again.
            assert!(*inputs <= 1 + *others / order::RUNS_BEFORE + self.faults);
        }
    }

    fn end(&mut self, job: JobId, outcome: Outcome) {
        let before = self.outcomes.insert(job, (self.now, outcome));
        assert_eq!(before, None, "{job} has ended before");
    }

    fn check(&self) {
        let (now, schedule) = (self.now, &self.schedule);
        assert!(
            schedule.waiting() <= LIMIT + 1,
            "one place more for what was preempted"
        );
        let at_work = self.running.as_ref().map(|run| run.job);
        let waiting: Vec<JobId> = self
            .arrived
            .keys()
            .copied()
            .filter(|job| !self.outcomes.contains_key(job) && Some(*job) != at_work)
            .collect();
        let person = |job: &JobId| self.client(*job).urgency <= QueueClass::PERSON_WAITS;
        for job in &waiting {
            let client = self.client(*job);
            let arrived = self.arrived[job];
            let loaded = self.loaded.contains(&client.model);
            let held = !person(job) && now < arrived + GRACE;
            let yields = !person(job)
                && waiting
                    .iter()
                    .any(|other| person(other) && Some(self.client(*other).model) == self.loading);
            assert!(
                self.running.is_some() || !loaded || held || yields,
                "the NPU is idle while {job} could run"
            );
            assert!(
                self.running.is_some()
                    || self.loading.is_some()
                    || !self.unloading.is_empty()
                    || loaded
                    || held,
                "nobody loads the model of {job}"
            );
            // No person waits for a task, but for a moment.
            if let Some(run) = self
                .running
                .as_ref()
                .filter(|run| person(job) && loaded && !run.aborted)
            {
                let other = self.client(run.job);
                let protected = other.deadline_ms.is_none()
                    && now > self.arrived[&run.job] + Duration::from_secs(30);
                assert!(
                    other.urgency <= QueueClass::PERSON_WAITS || protected,
                    "{job} waits for {}",
                    run.job
                );
            }
        }
        for (job, arrived) in &self.arrived {
            let client = self.client(*job);
            let Some(deadline) = client.deadline_ms else {
                continue;
            };
            let over = now > *arrived + Duration::from_millis(deadline);
            if over && (client.fallback || at_work != Some(*job)) {
                assert!(self.outcomes.contains_key(job), "{job} is late");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_promise_holds_whatever_arrives(
        clients in prop::collection::vec(client(), 1..40),
        hands in prop::collection::vec(hand(), 0..20),
        room_for in 1_u64..4,
    ) {
        let engine = Engine::new(&clients, &hands, room_for).run();
        let moving = |(residency, _): &(Residency, bool)| matches!(residency, Residency::Loading | Residency::Unloading);
        prop_assert!(!engine.schedule.residency().iter().any(moving));
        prop_assert!(engine.schedule.is_idle(), "nothing is left behind");
        prop_assert_eq!(engine.outcomes.len(), clients.len(), "every job has ended");
        for (job, (at, outcome)) in &engine.outcomes {
            let client = engine.client(*job);
            let starts = engine.starts.get(job).copied().unwrap_or(0);
            match outcome {
                Outcome::Completed => prop_assert!(starts >= 1 && client.fate == Fate::Completes),
                Outcome::Failed => prop_assert!(client.fate != Fate::Completes || engine.faults > 0),
                Outcome::Cancelled => prop_assert!(client.leaves_ms.is_some()),
                Outcome::Refused => prop_assert_eq!(starts, 0),
                Outcome::Withdrawn(Withdrawal::Preempted) => prop_assert!(client.fallback && starts == 2),
                Outcome::Withdrawn(Withdrawal::Displaced) => prop_assert!(client.fallback || starts == 0),
                Outcome::Withdrawn(Withdrawal::Superseded) => {
                    prop_assert!(client.newest_wins || until_question(client, *job));
                }
                Outcome::Withdrawn(Withdrawal::Deadline) => {
                    let deadline = engine.arrived[job] + Duration::from_millis(client.deadline_ms.unwrap());
                    // Without a fallback a run may finish late, unless it loses the NPU or its worker.
                    let begun = starts > 0 || engine.faults > 0;
                    prop_assert!(*at == deadline || *at > deadline && !client.fallback && begun);
                }
            }
            prop_assert!(starts <= 2 || !client.fallback, "a task runs again once");
        }
    }

    #[test]
    fn what_is_left_alone_waits_no_longer_than_the_work_before_it(clients in prop::collection::vec(client(), 1..12)) {
        // Everyone a person, nobody leaves, everything loaded: nothing but the runs takes time.
        let clients: Vec<Client> = clients.into_iter().map(|client| Client {
            urgency: 0, deadline_ms: None, fallback: false, newest_wins: false, leaves_ms: None, fate: Fate::Completes, model: 0, ..client
        }).collect();
        let engine = Engine::new(&clients, &[], 3).run();
        let work: Time = clients.iter().map(|client| Duration::from_millis(client.prefill_ms) + STEP * client.tokens).sum();
        for (job, (at, _)) in &engine.outcomes {
            prop_assert!(*at <= engine.arrived[job] + LOAD + work);
        }
    }
}
