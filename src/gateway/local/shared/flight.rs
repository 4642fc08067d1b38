//! A run that requests share, and each request's view of it.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Answers, Key, Sharing,
    recording::{Admitted, Next, Recorder, Recording},
};
use crate::{
    engine::{EngineError, Job, Progress, Started},
    gateway::LocalEngine,
};

/// A run that requests wait for. It is cancelled when the last of them lets go of it.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) key: Key,
    /// How long its answer is kept.
    pub(super) ttl: Duration,
    pub(super) recording: Arc<Recording>,
    answers: Arc<Answers>,
    cancel: CancellationToken,
}

impl Flight {
    pub(super) fn begin(
        key: Key,
        ttl: Duration,
        answers: Arc<Answers>,
        engine: Arc<dyn LocalEngine>,
        job: Job,
    ) -> Arc<Self> {
        let flight = Arc::new(Self {
            key,
            ttl,
            recording: Arc::new(Recording::new()),
            answers,
            cancel: CancellationToken::new(),
        });
        let recorder = Recorder(Arc::clone(&flight.recording));
        let (cancel, weak) = (flight.cancel.clone(), Arc::downgrade(&flight));
        tokio::spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = fly(engine, job, recorder, weak) => {}
            }
        });
        flight
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.answers.settle(self, false);
    }
}

/// Runs the job and records what comes of it.
async fn fly(engine: Arc<dyn LocalEngine>, job: Job, recorder: Recorder, flight: Weak<Flight>) {
    // Who asks after a failure is to have another try.
    let failed = || {
        if let Some(flight) = flight.upgrade() {
            flight.answers.settle(&flight, false);
        }
    };
    let mut run = match engine.submit(job).await {
        Ok(run) => run,
        Err(error) => {
            failed();
            recorder.admitted(Err(error));
            return;
        }
    };
    recorder.admitted(Ok(Admitted {
        prompt_tokens: run.prompt_tokens,
        thinking_opened: run.thinking_opened,
    }));
    while let Some(step) = run.progress.recv().await {
        if matches!(step, Progress::Failed(_)) {
            failed();
        }
        recorder.step(step);
    }
}

/// A request's view of an answer.
#[derive(Debug)]
pub(in crate::gateway::local) struct Follower {
    recording: Arc<Recording>,
    /// `None` where the answer was there already.
    flight: Option<Arc<Flight>>,
    news: watch::Receiver<()>,
    /// Steps that it has read.
    read: usize,
    since: Instant,
    sharing: Option<Sharing>,
}

impl Follower {
    pub(super) fn aboard(flight: Arc<Flight>, sharing: Option<Sharing>) -> Self {
        let recording = Arc::clone(&flight.recording);
        Self::new(recording, Some(flight), sharing)
    }

    pub(super) fn of_kept(recording: Arc<Recording>) -> Self {
        Self::new(recording, None, Some(Sharing::Cached))
    }

    fn new(
        recording: Arc<Recording>,
        flight: Option<Arc<Flight>>,
        sharing: Option<Sharing>,
    ) -> Self {
        Self {
            news: recording.listen(),
            recording,
            flight,
            read: 0,
            since: Instant::now(),
            sharing,
        }
    }

    /// How it came by an answer that was made for another request.
    pub(in crate::gateway::local) fn sharing(&self) -> Option<Sharing> {
        self.sharing
    }

    /// Waits until the job is taken or refused.
    pub(in crate::gateway::local) async fn admitted(&mut self) -> Result<Admitted, EngineError> {
        loop {
            if let Some(admitted) = self.recording.admitted() {
                return admitted;
            }
            self.more().await;
        }
    }

    /// Waits for the next step; `None` after the last one. Cancelling it loses nothing.
    pub(in crate::gateway::local) async fn next(&mut self) -> Option<Progress> {
        loop {
            match self.look() {
                Next::Step(step) => return Some(step),
                Next::Over => return None,
                Next::Later => self.more().await,
            }
        }
    }

    /// The next step, if it is there.
    pub(in crate::gateway::local) fn try_next(&mut self) -> Option<Progress> {
        match self.look() {
            Next::Step(step) => Some(step),
            Next::Later | Next::Over => None,
        }
    }

    /// The request has all that it wanted of the run, and so have all that share it. `is_useful` says whether the answer is
    /// worth being given again.
    pub(in crate::gateway::local) fn settle(self, is_useful: bool) {
        if let Some(flight) = &self.flight {
            flight.answers.settle(flight, is_useful);
            flight.cancel.cancel();
        }
    }

    fn look(&mut self) -> Next {
        loop {
            let next = self.recording.step(self.read);
            let Next::Step(step) = next else {
                return next;
            };
            self.read += 1;
            match step {
                Progress::Started(started) => {
                    return Next::Step(Progress::Started(Started {
                        queued: started.queued.min(self.since.elapsed()),
                        ..started
                    }));
                }
                // An answer that is there waits for nothing.
                Progress::Queued { .. } | Progress::Loading if self.flight.is_none() => {}
                step => return Next::Step(step),
            }
        }
    }

    async fn more(&mut self) {
        // The recording cannot be gone: it is held here.
        let _ = self.news.changed().await;
    }
}
