//! Traces of requests for OpenTelemetry, where they are asked for.
//!
//! A trace is made of what is known when a request has ended, so that nothing is done for it on the way. It is handed
//! to one task, which never holds anybody up: what it cannot take is dropped and counted. OTLP's JSON form needs no
//! library of its own.

mod export;
mod metric;
mod span;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

pub(super) use metric::Traced;
pub use span::{Parent, Phase, RequestTrace, Value};

/// Traces that may wait for their sending.
const MOST_WAITING: usize = 2048;
/// How long the end of rkgate waits for the last traces.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// The collector's base URL; traces go to `/v1/traces` below it.
    pub endpoint: Url,
    /// Headers of each call, such as a key.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The share of requests whose trace is sent, 0 to 1, where the caller has not decided that.
    pub sample_ratio: f64,
}

/// Sends traces.
#[derive(Debug)]
pub struct Traces {
    sender: mpsc::Sender<RequestTrace>,
    sample_ratio: f64,
    dropped: Arc<AtomicU64>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Starts the task that sends.
    #[must_use]
    pub fn start(settings: TraceSettings, runtime: &Handle) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let stop = CancellationToken::new();
        let sample_ratio = settings.sample_ratio;
        let exporter = export::Exporter::new(settings, Arc::clone(&dropped));
        let task = runtime.spawn(exporter.run(receiver, stop.clone()));
        Self {
            sender,
            sample_ratio,
            dropped,
            stop,
            task: Mutex::new(Some(task)),
        }
    }

    /// The place of a request in its trace, if the trace is to be sent. A caller who sends `traceparent` has decided.
    pub fn sample(&self, headers: &HeaderMap) -> Option<Parent> {
        let parent = Parent::of(headers);
        let is_sampled = match parent.sampled {
            Some(decided) => decided,
            None => parent.share() < self.sample_ratio,
        };
        is_sampled.then_some(parent)
    }

    /// Hands over a trace. Never waits.
    pub fn send(&self, trace: RequestTrace) {
        if self.sender.try_send(trace).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Traces that could not be sent.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends what has come, in 2 seconds at most.
    pub async fn close(&self) {
        self.stop.cancel();
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            // A collector that does not answer loses the last ones.
            let _ = timeout(FAREWELL, task).await;
        }
    }
}
