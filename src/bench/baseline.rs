//! The naive gateway: one queue for all, one answer after the other, what comes is what the model reads.

use std::{fs, io, path::Path, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    engine::{Engine, EngineError, Job, ModelCard, Progress, QueueClass, Run},
    gateway::LocalEngine,
    policy::{Platform, live::Origin, shipped},
};

/// What even a naive gateway must do, or no question of a chat would fit a small model: it leaves the tools out, and
/// shows the model the latest messages that fit.
const POLICIES: &str = r#"
schema = 1

[[model]]
match   = "*"
reserve = 1024
history = { window_chars = 12000, keep_chars = 11999 }
tools   = { max_tokens = 0, on_excess = "drop" }
"#;

/// A file that says nothing.
const NOTHING: &str = "schema = 1\n";

/// Writes the naive gateway's rules below a directory. A file takes the place of the shipped one with its name.
///
/// # Errors
/// A file cannot be written.
pub(super) fn policy(dir: &Path, platform: Platform) -> io::Result<Origin> {
    let origin = Origin {
        rules: dir.join("rules"),
        policies: dir.join("policies"),
        platform,
    };
    for place in [&origin.rules, &origin.policies] {
        fs::create_dir_all(place)?;
    }
    for name in shipped::names() {
        fs::write(dir.join(name), NOTHING)?;
    }
    fs::write(origin.policies.join("naive.toml"), POLICIES)?;
    Ok(origin)
}

/// An engine that serves whoever comes first, to the end.
pub(super) struct InOrder {
    engine: Engine,
    npu: Arc<Semaphore>,
}

impl InOrder {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine,
            npu: Arc::new(Semaphore::new(1)),
        }
    }
}

#[async_trait::async_trait]
impl LocalEngine for InOrder {
    fn models(&self) -> &[ModelCard] {
        self.engine.models()
    }

    fn model(&self, name: &str) -> Option<&ModelCard> {
        self.engine.model(name)
    }

    async fn submit(&self, job: Job) -> Result<Run, EngineError> {
        let turn = Arc::clone(&self.npu).acquire_owned().await;
        // The semaphore is never closed.
        let turn = turn.map_err(|_| EngineError::ShuttingDown)?;
        let job = Job {
            queue: QueueClass::default(),
            ..job
        };
        let run = self.engine.submit(job).await?;
        let (forwarded, progress) = mpsc::channel(run.progress.max_capacity());
        tokio::spawn(forward(run.progress, forwarded, turn));
        Ok(Run { progress, ..run })
    }
}

/// Passes on what happens to a job; the next one's turn is when that ends.
async fn forward(
    mut progress: mpsc::Receiver<Progress>,
    to: mpsc::Sender<Progress>,
    _turn: OwnedSemaphorePermit,
) {
    while let Some(step) = progress.recv().await {
        // Where the client is gone the job is cancelled, and what it still says ends soon.
        let _ = to.try_send(step);
    }
}
