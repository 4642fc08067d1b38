//! What happened in a play: every request, and every turn at the NPU.

use std::time::{Duration, Instant};

use super::Kind;
use crate::engine::{Missed, TurnReport};

/// Board time of one play.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    begin: Instant,
    speed: f64,
}

impl Clock {
    /// Time counts from now on, `speed` times as fast as the wall's.
    pub(super) fn start(speed: f64) -> Self {
        Self {
            begin: Instant::now(),
            speed,
        }
    }

    /// Board time of a moment.
    pub(super) fn at(&self, moment: Instant) -> Duration {
        moment
            .saturating_duration_since(self.begin)
            .mul_f64(self.speed)
    }

    pub(super) fn now(&self) -> Duration {
        self.at(Instant::now())
    }

    /// Lets board time pass.
    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time.div_f64(self.speed)).await;
    }
}

/// All that happened at one gateway; times are of the board, from the beginning of the play.
#[derive(Debug, Clone)]
pub struct Play {
    /// What the gateway is called in the report.
    pub name: String,
    /// In the order in which they were sent.
    pub requests: Vec<Request>,
    /// In order.
    pub turns: Vec<Turn>,
    /// How long each `GET /v1/models` took meanwhile, in time of the wall; `None` where it failed.
    pub model_lists: Vec<Option<Duration>>,
}

/// A request and its answer.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id, by which its turns are known.
    pub id: String,
    /// Who caused it: index into the script.
    pub person: usize,
    /// The question that caused it, from 0.
    pub turn: usize,
    /// What it is for.
    pub kind: Kind,
    /// When it was sent.
    pub sent: Duration,
    /// When the first text of a streamed answer came, thinking included.
    pub first_text: Option<Duration>,
    /// When the answer was complete.
    pub ended: Duration,
    /// Why there is none.
    pub failure: Option<String>,
}

/// A turn at the NPU.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The request's id.
    pub request: String,
    /// The model that ran.
    pub model: String,
    /// When the NPU began.
    pub began: Duration,
    /// When it was free again.
    pub ended: Duration,
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Of these, tokens that the KV cache held.
    pub cached: u32,
    /// Of these, tokens that came from a prompt cache file.
    pub loaded: u32,
    /// What of the prompt was missed in the KV cache.
    pub missed: Option<Missed>,
    /// Tokens generated.
    pub completion: u32,
    /// Time spent on the prompt.
    pub prefill: Duration,
    /// Time spent on the answer.
    pub decode: Duration,
    /// Time of the NPU.
    pub busy: Duration,
}

impl Turn {
    pub(super) fn of(report: TurnReport, clock: &Clock) -> Self {
        let (began, ended) = (clock.at(report.began), clock.at(report.ended));
        Self {
            began,
            ended,
            // By the clock a machine that is busy with other things lengthens it.
            busy: match report.stopped {
                true => ended.saturating_sub(began),
                false => report.prefill + report.decode,
            },
            request: report.request,
            model: report.model,
            prompt: report.prompt,
            cached: report.cached,
            loaded: report.loaded,
            missed: report.missed,
            completion: report.completion,
            prefill: report.prefill,
            decode: report.decode,
        }
    }

    /// Tokens that had to be read.
    #[must_use]
    pub fn computed(&self) -> u32 {
        self.prompt.saturating_sub(self.cached)
    }

    /// Tokens that had been read for the conversation's last turn, and were read again.
    #[must_use]
    pub fn read_again(&self) -> u32 {
        self.missed.map_or(0, |missed| missed.lost)
    }

    /// How long it had the NPU within a span of time.
    #[must_use]
    pub fn within(&self, from: Duration, to: Duration) -> Duration {
        self.ended.min(to).saturating_sub(self.began.max(from))
    }
}
