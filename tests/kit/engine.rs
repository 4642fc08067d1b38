//! An engine that does what a test says, step by step.

use rkgate::{
    engine::{EngineError, Job, ModelCard, Progress, Run, catalog::Catalog},
    gateway::LocalEngine,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::soon;

/// The engine's side that the gateway sees.
pub(crate) struct ScriptedEngine {
    catalog: Catalog,
    jobs: mpsc::UnboundedSender<Submission>,
    _models: tempfile::TempDir,
}

/// A job that the engine is asked to take.
pub(crate) struct Submission {
    pub(crate) job: Job,
    answer: oneshot::Sender<Result<Run, EngineError>>,
}

/// A job that the engine took.
pub(crate) struct Running {
    pub(crate) progress: mpsc::Sender<Progress>,
    cancelled: CancellationToken,
}

/// The test's side.
pub(crate) struct Jobs(Mutex<mpsc::UnboundedReceiver<Submission>>);

/// An engine with these models, e.g. `Qwen3-0.6B-w8a8-rk3588`, and the hand that moves it.
pub(crate) fn scripted(models: &[&str]) -> (ScriptedEngine, Jobs) {
    let dir = tempfile::tempdir().unwrap();
    for model in models {
        std::fs::write(dir.path().join(format!("{model}.rkllm")), "").unwrap();
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    let engine = ScriptedEngine {
        catalog: Catalog::scan(dir.path()),
        jobs: sender,
        _models: dir,
    };
    (engine, Jobs(Mutex::new(receiver)))
}

#[async_trait::async_trait]
impl LocalEngine for ScriptedEngine {
    fn models(&self) -> &[ModelCard] {
        self.catalog.models()
    }

    fn model(&self, name: &str) -> Option<&ModelCard> {
        self.catalog.find(name)
    }

    async fn submit(&self, job: Job) -> Result<Run, EngineError> {
        let (answer, result) = oneshot::channel();
        self.jobs.send(Submission { job, answer }).ok().unwrap();
        result.await.unwrap_or(Err(EngineError::ShuttingDown))
    }
}

impl Jobs {
    /// The next job that arrives.
    pub(crate) async fn next(&self) -> Submission {
        soon("a job", async { self.0.lock().await.recv().await.unwrap() }).await
    }
}

impl Submission {
    /// Takes the job; its prompt has ten tokens.
    pub(crate) fn accept(self) -> Running {
        let (progress, receiver) = mpsc::channel(1024);
        let cancelled = CancellationToken::new();
        let run = Run {
            prompt_tokens: 10,
            thinking_opened: false,
            progress: receiver,
            cancel: cancelled.clone().drop_guard(),
        };
        self.answer.send(Ok(run)).ok().unwrap();
        Running {
            progress,
            cancelled,
        }
    }

    pub(crate) fn refuse(self, error: EngineError) {
        self.answer.send(Err(error)).ok().unwrap();
    }

    /// Waits until the gateway gives the job up before it was taken.
    pub(crate) async fn given_up(mut self) {
        soon("the job to be given up", self.answer.closed()).await;
    }
}

impl Running {
    pub(crate) async fn send(&self, progress: Progress) {
        self.progress.send(progress).await.unwrap();
    }

    /// Sends a piece of one token.
    pub(crate) async fn piece(&self, text: &str) {
        self.send(Progress::Piece {
            text: text.to_owned(),
            tokens: 1,
        })
        .await;
    }

    /// Waits until the gateway cancels the run.
    pub(crate) async fn cancelled(&self) {
        soon("the run to be cancelled", self.cancelled.cancelled()).await;
    }
}
