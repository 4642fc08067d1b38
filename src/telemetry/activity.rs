//! What the gateway is doing right now: the requests in progress and the last ones that ended, without their text.
//!
//! Tokens are counted in atomics, so that no answer waits for whoever looks.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::chat::Usage;

/// Ended requests that are remembered: an evening's chats, and small enough to send as a whole.
const REMEMBERED: usize = 200;

/// Stretches that are remembered of one request; one with many has given way again and again.
const STRETCHES: usize = 64;

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has come, and nobody works on it yet.
    Arrived,
    /// It stands in the engine's queue.
    Queued,
    /// Its model is being loaded.
    Loading,
    /// The NPU has it: reading the prompt until the first token, answering from then on.
    Running,
    /// An upstream has it.
    Relayed,
    /// It has ended.
    Ended,
}

/// A time in which a request's model was loaded or the NPU worked for it. It waits between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// [`Phase::Loading`] or [`Phase::Running`].
    pub phase: Phase,
    /// When it began, in milliseconds since the request came.
    pub from: u64,
    /// When it ended.
    pub to: Option<u64>,
}

/// A request at one moment. Times are milliseconds since it came.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Numbers the requests since the start.
    pub number: u64,
    /// The request's id.
    pub id: Arc<str>,
    /// When it came, in milliseconds since 1970.
    pub arrived: u64,
    /// Open WebUI's own headers that came with it, in lower case.
    pub webui_headers: Vec<&'static str>,
    /// What it is for, e.g. `chat`.
    pub class: Arc<str>,
    /// The model that answers, once that is known.
    pub model: Option<Arc<str>>,
    /// `rkllm` for the engine, else the upstream's name; empty until that is known.
    pub provider: Arc<str>,
    /// Where it is.
    pub phase: Phase,
    /// Requests before it in the engine's queue.
    pub ahead: Option<usize>,
    /// What the engine did for it, in order; the newest where there is much.
    pub stretches: Vec<Stretch>,
    /// When the first token or byte left.
    pub first_token: Option<u64>,
    /// How long the engine took to read the prompt; known at the end.
    pub prefill: Option<u64>,
    /// When it ended.
    pub ended: Option<u64>,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Of these, found in the KV cache; known at the end.
    pub cached_tokens: Option<u32>,
    /// Tokens generated so far.
    pub completion_tokens: u32,
    /// The HTTP status, at the end.
    pub status: Option<u16>,
    /// Why it failed, where it did.
    pub failure: Option<String>,
}

/// How a request ended.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// The HTTP status sent; 499 when the client went away.
    pub status: u16,
    /// Why it failed, where it did.
    pub failure: Option<String>,
    /// Time to the first token or byte.
    pub first_token: Option<Duration>,
    /// Time that the engine took to read the prompt, where it told.
    pub prefill: Option<Duration>,
    /// Exact counts, where they are known.
    pub usage: Option<Usage>,
}

/// The requests in progress and the last ones that ended.
#[derive(Debug, Default)]
pub struct Activity {
    requests: Mutex<Requests>,
    /// Goes up with every change.
    version: AtomicU64,
}

#[derive(Debug, Default)]
struct Requests {
    arrived: u64,
    running: BTreeMap<u64, Arc<Request>>,
    ended: VecDeque<Snapshot>,
}

#[derive(Debug)]
struct Request {
    began: Instant,
    tokens: AtomicU32,
    /// When the first token came, in milliseconds since `began`; 0 until then.
    first_token: AtomicU64,
    snapshot: Mutex<Snapshot>,
}

/// A request's entry; dropping it without [`Ticket::end`] ends it as abandoned.
#[derive(Debug)]
pub struct Ticket {
    activity: Arc<Activity>,
    number: u64,
    request: Arc<Request>,
}

impl Activity {
    /// Shows a request that has come.
    #[must_use]
    pub fn begin(
        self: &Arc<Self>,
        id: &str,
        class: &str,
        webui_headers: Vec<&'static str>,
    ) -> Ticket {
        let mut requests = lock(&self.requests);
        requests.arrived += 1;
        let number = requests.arrived;
        let snapshot = Snapshot {
            number,
            id: id.into(),
            arrived: unix_millis(),
            webui_headers,
            class: class.into(),
            model: None,
            provider: "".into(),
            phase: Phase::Arrived,
            ahead: None,
            stretches: Vec::new(),
            first_token: None,
            prefill: None,
            ended: None,
            prompt_tokens: None,
            cached_tokens: None,
            completion_tokens: 0,
            status: None,
            failure: None,
        };
        let request = Arc::new(Request {
            began: Instant::now(),
            tokens: AtomicU32::new(0),
            first_token: AtomicU64::new(0),
            snapshot: Mutex::new(snapshot),
        });
        requests.running.insert(number, Arc::clone(&request));
        drop(requests);
        self.changed();
        Ticket {
            activity: Arc::clone(self),
            number,
            request,
        }
    }

    /// Changes whenever a request does.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// The requests in progress, in the order in which they came.
    #[must_use]
    pub fn running(&self) -> Vec<Snapshot> {
        let running: Vec<_> = lock(&self.requests).running.values().cloned().collect();
        running.iter().map(|request| request.now()).collect()
    }

    /// The requests that ended after the first `seen` ended ones, oldest first as far as they are remembered, and how
    /// many have ended since the start.
    #[must_use]
    pub fn ended(&self, seen: u64) -> (Vec<Snapshot>, u64) {
        let requests = lock(&self.requests);
        let total = requests.arrived - requests.running.len() as u64;
        let new = usize::try_from(total.saturating_sub(seen)).unwrap_or(usize::MAX);
        let skip = requests.ended.len().saturating_sub(new);
        (requests.ended.iter().skip(skip).cloned().collect(), total)
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }
}

impl Snapshot {
    /// Moves on to another phase.
    fn enter(&mut self, phase: Phase, at: u64) {
        if self.phase == phase {
            return;
        }
        self.phase = phase;
        self.ahead = None;
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.to.get_or_insert(at);
        }
        if matches!(phase, Phase::Loading | Phase::Running) {
            if self.stretches.len() == STRETCHES {
                self.stretches.remove(0);
            }
            self.stretches.push(Stretch {
                phase,
                from: at,
                to: None,
            });
        }
    }
}

impl Request {
    fn now(&self) -> Snapshot {
        let mut snapshot = lock(&self.snapshot).clone();
        snapshot.completion_tokens = self.tokens.load(Ordering::Relaxed);
        if let (None, at @ 1..) = (
            snapshot.first_token,
            self.first_token.load(Ordering::Relaxed),
        ) {
            snapshot.first_token = Some(at);
        }
        snapshot
    }

    /// Milliseconds since the request came; never 0, which stands for not yet.
    fn elapsed(&self) -> u64 {
        millis(self.began.elapsed()).max(1)
    }
}

impl Ticket {
    /// Says what the request is for and who answers it.
    pub fn decided(&self, class: &str, provider: &str, model: Option<&str>) {
        self.change(|snapshot| {
            snapshot.class = class.into();
            snapshot.provider = provider.into();
            snapshot.model = model.map(Into::into);
        });
    }

    /// The request is in the engine's hands.
    pub fn admitted(&self, prompt_tokens: u32) {
        self.phase(Phase::Queued);
        self.change(|snapshot| snapshot.prompt_tokens = Some(prompt_tokens));
    }

    /// The request waits behind so many others, for the first time or as it has given way.
    pub fn queued(&self, ahead: usize) {
        let at = self.request.elapsed();
        self.change(|snapshot| {
            snapshot.enter(Phase::Queued, at);
            snapshot.ahead = Some(ahead);
        });
    }

    /// Says where it is.
    pub fn phase(&self, phase: Phase) {
        let at = self.request.elapsed();
        self.change(|snapshot| snapshot.enter(phase, at));
    }

    /// Counts tokens of the answer.
    pub fn tokens(&self, count: u32) {
        let request = &self.request;
        if request.first_token.load(Ordering::Relaxed) == 0 {
            request
                .first_token
                .store(request.elapsed(), Ordering::Relaxed);
        }
        request.tokens.fetch_add(count, Ordering::Relaxed);
        self.activity.changed();
    }

    /// The request has ended.
    pub fn end(self, ending: Ending) {
        let at = self.request.elapsed();
        self.change(|snapshot| {
            snapshot.ended = Some(at);
            snapshot.status = Some(ending.status);
            snapshot.failure = ending.failure;
            snapshot.first_token = ending.first_token.map(millis);
            snapshot.prefill = ending.prefill.map(millis);
            if let Some(usage) = ending.usage {
                snapshot.prompt_tokens = Some(usage.prompt);
                snapshot.cached_tokens = Some(usage.cached);
                self.request
                    .tokens
                    .store(usage.completion, Ordering::Relaxed);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut lock(&self.request.snapshot));
        self.activity.changed();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let ended = self.request.elapsed();
        let mut last = self.request.now();
        let ended = *last.ended.get_or_insert(ended);
        last.enter(Phase::Ended, ended);
        let mut requests = lock(&self.activity.requests);
        requests.running.remove(&self.number);
        if requests.ended.len() == REMEMBERED {
            requests.ended.pop_front();
        }
        requests.ended.push_back(last);
        drop(requests);
        self.activity.changed();
    }
}

/// What is behind these locks is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, millis)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn usage(prompt: u32, cached: u32, completion: u32) -> Usage {
        Usage {
            prompt,
            cached,
            completion,
            reasoning: 0,
        }
    }

    #[test]
    fn a_request_is_shown_from_its_arrival_to_its_end() {
        let activity = Arc::new(Activity::default());
        let ticket = activity.begin("r1", "chat", Vec::new());
        ticket.decided("chat", "rkllm", Some("qwen3-1.7b"));
        ticket.admitted(40);
        ticket.queued(2);
        let waiting = activity.running();
        assert_eq!(waiting.len(), 1);
        let waiting = waiting.first().unwrap();
        assert_eq!((waiting.phase, waiting.ahead), (Phase::Queued, Some(2)));
        assert_eq!(waiting.prompt_tokens, Some(40));
        ticket.phase(Phase::Running);
        ticket.tokens(3);
        ticket.tokens(1);
        let running = activity.running();
        let running = running.first().unwrap();
        assert_eq!((running.phase, running.ahead), (Phase::Running, None));
        assert_eq!(running.completion_tokens, 4);
        assert!(running.first_token.is_some());
        ticket.end(Ending {
            status: 200,
            usage: Some(usage(40, 30, 5)),
            ..Ending::default()
        });
        assert!(activity.running().is_empty());
        let (ended, seen) = activity.ended(0);
        assert_eq!(seen, 1);
        let ended = ended.first().unwrap();
        assert_eq!((ended.phase, ended.status), (Phase::Ended, Some(200)));
        assert_eq!(
            (ended.cached_tokens, ended.completion_tokens),
            (Some(30), 5)
        );
        assert!(activity.ended(seen).0.is_empty());
    }

    #[test]
    fn a_request_that_gives_way_has_the_npu_in_stretches() {
        let activity = Arc::new(Activity::default());
        let ticket = activity.begin("r1", "task", Vec::new());
        ticket.admitted(40);
        ticket.phase(Phase::Loading);
        ticket.phase(Phase::Running);
        ticket.tokens(1);
        ticket.queued(1);
        let waiting = activity.running();
        let waiting = waiting.first().unwrap();
        assert_eq!((waiting.phase, waiting.ahead), (Phase::Queued, Some(1)));
        assert!(waiting.stretches.iter().all(|it| it.to.is_some()));
        ticket.phase(Phase::Running);
        let running = activity.running();
        let running = running.first().unwrap();
        assert_eq!((running.phase, running.ahead), (Phase::Running, None));
        assert_eq!(running.stretches.last().unwrap().to, None);
        drop(ticket);
        let (ended, _) = activity.ended(0);
        let ended = ended.first().unwrap();
        let phases: Vec<Phase> = ended.stretches.iter().map(|it| it.phase).collect();
        assert_eq!(phases, [Phase::Loading, Phase::Running, Phase::Running]);
        assert_eq!(ended.stretches.last().unwrap().to, ended.ended);
    }

    #[test]
    fn a_dropped_ticket_is_an_abandoned_request() {
        let activity = Arc::new(Activity::default());
        drop(activity.begin("r1", "chat", Vec::new()));
        assert!(activity.running().is_empty());
        let (ended, _) = activity.ended(0);
        let ended = ended.first().unwrap();
        assert_eq!((ended.phase, ended.status), (Phase::Ended, None));
    }

    #[test]
    fn old_requests_are_forgotten_and_new_ones_are_told_once() {
        let activity = Arc::new(Activity::default());
        for _ in 0..REMEMBERED + 10 {
            drop(activity.begin("r", "chat", Vec::new()));
        }
        let (ended, seen) = activity.ended(0);
        assert_eq!(
            (ended.len(), seen),
            (REMEMBERED, u64::try_from(REMEMBERED).unwrap() + 10)
        );
        let before = activity.version();
        drop(activity.begin("new", "chat", Vec::new()));
        assert!(activity.version() > before);
        let (new, _) = activity.ended(seen);
        assert_eq!(new.len(), 1);
        assert_eq!(&*new.first().unwrap().id, "new");
    }
}
