//! An engine of its own for each test: models, NPU and settings.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rkgate::{
    chat::{Content, Message, Request, Role, Sampling},
    engine::{
        Completion, Engine, EngineError, EngineSettings, Job, Miss, Origin, Progress, Prompt,
        QueueClass, Run, Started,
        settings::{AbiOverride, Library, MemoryBudget},
    },
};
use tempfile::TempDir;
use tokio::runtime::Handle;

/// Long enough for a busy machine, short enough to notice a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What an engine is started with.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) settings: EngineSettings,
}

impl Bench {
    /// The shipped models on a simulator that takes no time.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        rkllm_sim::shipped::install(&dir.path().join("models")).unwrap();
        let settings = EngineSettings {
            library: Library::Sim,
            models_dir: dir.path().join("models"),
            memory_budget: MemoryBudget::Bytes(64 << 30),
            worker_command: vec![env!("CARGO_BIN_EXE_rkgate").into(), "worker".into()],
            worker_env: vec![
                (
                    "RKLLM_SIM_NPU".to_owned(),
                    dir.path().join("npu").display().to_string(),
                ),
                ("RKLLM_SIM_SPEED".to_owned(), "0".to_owned()),
            ],
            ..EngineSettings::default()
        };
        Self { dir, settings }
    }

    /// The simulator `factor` times as fast as a board.
    pub(crate) fn speed(self, factor: &str) -> Self {
        self.env("RKLLM_SIM_SPEED", factor)
    }

    pub(crate) fn fault(self, fault: &str) -> Self {
        self.env("RKLLM_SIM_FAULT", fault)
    }

    pub(crate) fn abi(mut self, abi: AbiOverride) -> Self {
        self.settings.abi = Some(abi);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut EngineSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(crate) fn start(&self) -> Engine {
        Engine::start(self.settings.clone(), Handle::current()).unwrap()
    }

    /// The directory of a shipped model.
    pub(crate) fn model_dir(&self, id: &str) -> PathBuf {
        let engine = self.start();
        let path = &engine.model(id).unwrap().path;
        path.parent().map(Path::to_path_buf).unwrap()
    }

    fn env(mut self, key: &str, value: &str) -> Self {
        self.settings.worker_env.retain(|(other, _)| other != key);
        self.settings
            .worker_env
            .push((key.to_owned(), value.to_owned()));
        self
    }
}

pub(crate) fn message(role: Role, text: &str) -> Message {
    Message {
        role,
        content: Content::Text(text.to_owned()),
        reasoning: None,
        tool_calls: vec![],
        tool_call_id: None,
        extra: serde_json::Map::new(),
    }
}

/// A chat of alternating turns that begins with the user.
pub(crate) fn chat(model: &str, turns: &[&str]) -> Job {
    let roles = [Role::User, Role::Assistant].into_iter().cycle();
    let messages = turns
        .iter()
        .zip(roles)
        .map(|(text, role)| message(role, text))
        .collect();
    Job {
        id: "test".to_owned(),
        model: model.to_owned(),
        prompt: Prompt::Chat(Arc::new(Request {
            messages,
            thinking: Some(false),
            ..Request::default()
        })),
        sampling: Sampling::default(),
        max_tokens: None,
        queue: QueueClass::default(),
        origin: Origin::default(),
    }
}

/// Everything that happened to a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) places: Vec<usize>,
    pub(crate) loading: usize,
    pub(crate) started: Option<Started>,
    /// Tokens that the KV cache was said to hold when the run began.
    pub(crate) held: Option<u32>,
    /// Why it held no more.
    pub(crate) miss: Option<Miss>,
    pub(crate) text: String,
    pub(crate) piece_tokens: u32,
    pub(crate) vector: Option<Vec<f32>>,
    pub(crate) done: Option<Completion>,
    pub(crate) failed: Option<EngineError>,
}

impl Outcome {
    pub(crate) fn completion(&self) -> Completion {
        self.done.unwrap_or_else(|| panic!("not done: {self:?}"))
    }

    pub(crate) fn vector(&self) -> &[f32] {
        self.vector
            .as_ref()
            .unwrap_or_else(|| panic!("no embedding: {self:?}"))
    }

    pub(crate) fn error(&self) -> &EngineError {
        self.failed
            .as_ref()
            .unwrap_or_else(|| panic!("not failed: {self:?}"))
    }
}

/// Follows a run to its end.
pub(crate) async fn follow(mut run: Run) -> Outcome {
    let mut outcome = Outcome::default();
    while let Some(progress) = tokio::time::timeout(PATIENCE, run.progress.recv())
        .await
        .expect("the run hangs")
    {
        match progress {
            Progress::Queued { ahead, .. } => outcome.places.push(ahead),
            Progress::Loading => outcome.loading += 1,
            Progress::Started(started) => outcome.started = Some(started),
            Progress::Reading { cached, miss } => {
                outcome.held = Some(cached);
                outcome.miss = miss;
            }
            Progress::Piece { text, tokens } => {
                outcome.text.push_str(&text);
                outcome.piece_tokens += tokens;
            }
            Progress::Embedding(vector) => outcome.vector = Some(vector),
            Progress::Done(completion) => outcome.done = Some(completion),
            Progress::Failed(error) => outcome.failed = Some(error),
        }
    }
    outcome
}

/// Submits a job and follows it to its end.
pub(crate) async fn run(engine: &Engine, job: Job) -> Outcome {
    follow(engine.submit(job).await.unwrap()).await
}

/// Waits for the first piece of an answer, and gives its text.
pub(crate) async fn first_piece(run: &mut Run) -> String {
    loop {
        match tokio::time::timeout(PATIENCE, run.progress.recv())
            .await
            .expect("the run hangs")
        {
            Some(Progress::Piece { text, .. }) => return text,
            Some(
                Progress::Queued { .. }
                | Progress::Loading
                | Progress::Started(_)
                | Progress::Reading { .. },
            ) => {}
            other => panic!("no piece but {other:?}"),
        }
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"));
}
