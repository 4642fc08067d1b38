//! What the engine has said about one job, for everyone who asked it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::engine::{EngineError, Progress};

/// What was known of a job when it was taken.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway::local) struct Admitted {
    /// Tokens of the prompt.
    pub(in crate::gateway::local) prompt_tokens: u32,
    /// Whether the answer begins as thinking.
    pub(in crate::gateway::local) thinking_opened: bool,
}

/// The steps of a job, as they come.
#[derive(Debug)]
pub(super) struct Recording {
    log: Mutex<Log>,
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Log {
    admitted: Option<Result<Admitted, EngineError>>,
    steps: Vec<Progress>,
    /// Nothing will be added.
    is_over: bool,
}

/// What there is to read.
pub(super) enum Next {
    Step(Progress),
    /// Nothing yet.
    Later,
    /// Nothing any more.
    Over,
}

impl Recording {
    pub(super) fn new() -> Self {
        Self {
            log: Mutex::default(),
            news: watch::Sender::new(()),
        }
    }

    /// Hears of everything that is added from now on.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Whether the job was taken; `None` as long as that is not known.
    pub(super) fn admitted(&self) -> Option<Result<Admitted, EngineError>> {
        let log = self.lock();
        let lost = || Err(EngineError::ShuttingDown);
        log.admitted.clone().or_else(|| log.is_over.then(lost))
    }

    /// The step of this number, from 0.
    pub(super) fn step(&self, number: usize) -> Next {
        let log = self.lock();
        match log.steps.get(number) {
            Some(step) => Next::Step(step.clone()),
            None if log.is_over => Next::Over,
            None => Next::Later,
        }
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        let log = self.lock();
        let text = |step: &Progress| match step {
            Progress::Piece { text, .. } => text.len(),
            _ => 0,
        };
        let texts: usize = log.steps.iter().map(text).sum();
        size_of::<Self>() + log.steps.capacity() * size_of::<Progress>() + texts
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, change: impl FnOnce(&mut Log)) {
        change(&mut self.lock());
        self.news.send_replace(());
    }
}

/// Who writes a recording; it is over when the recorder is gone.
#[derive(Debug)]
pub(super) struct Recorder(pub(super) std::sync::Arc<Recording>);

impl Recorder {
    /// The job was taken, or refused.
    pub(super) fn admitted(&self, admitted: Result<Admitted, EngineError>) {
        self.0.add(|log| log.admitted = Some(admitted));
    }

    pub(super) fn step(&self, step: Progress) {
        self.0.add(|log| log.steps.push(step));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.add(|log| log.is_over = true);
    }
}
