//! One worker process, seen from the gateway: started, spoken to, watched, ended and always waited for.

mod logtail;
mod task;

use std::{
    ffi::OsString,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Stdio,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    process::{Child, Command as Process},
    sync::{mpsc, oneshot},
};

use super::{
    EngineError, EngineSettings, Progress,
    protocol::{
        Finished, JobId, Load, Loaded, Prepared, Start, ToWorker, WirePrompt, WorkerSocket,
    },
    sampling::Values,
};
use logtail::LogTail;
use task::Task;

/// A worker process. Dropping every handle, or [`Worker::close`], ends it.
#[derive(Debug)]
pub(super) struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    pid: Option<u32>,
    placement: OnceLock<Placement>,
}

/// A model loaded in a worker.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    pub(super) loaded: Loaded,
    /// First IOMMU domain of the weights.
    pub(super) domain: i32,
    /// Memory that was reckoned with, in bytes.
    pub(super) memory: u64,
    /// Context in tokens.
    pub(super) context: u32,
    /// Sampling in force where the runtime fixes it at load.
    pub(super) sampling: Values,
}

/// Who is told that a worker has ended although nobody wanted it to.
pub(super) type OnLoss = Box<dyn FnOnce() + Send>;

/// Why a model was not loaded.
#[derive(Debug)]
pub(super) struct LoadFailure {
    /// The runtime's own words where there are any.
    pub(super) reason: String,
    /// The model's context limit, if asking for more was the cause.
    pub(super) limit: Option<u32>,
}

/// What the worker's task is asked to do.
enum Command {
    Send(ToWorker),
    Prepare {
        job: JobId,
        prompt: WirePrompt,
        answer: Vec<u32>,
        reply: oneshot::Sender<Result<Prepared, EngineError>>,
    },
    Load {
        load: Load,
        timeout: Duration,
        reply: oneshot::Sender<Result<Loaded, LoadFailure>>,
    },
    Run(RunCommand),
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// Told how many tokens of the prompt the KV cache holds; gives what the client is told.
pub(super) type OnReading = Box<dyn FnOnce(u32) -> Progress + Send>;

/// A run to be started.
pub(super) struct RunCommand {
    pub(super) job: JobId,
    pub(super) max_tokens: u32,
    pub(super) sampling: Values,
    /// Longest time to the first token.
    pub(super) first_token: Duration,
    /// Taken when the run begins to read.
    pub(super) reading: Option<OnReading>,
    pub(super) progress: mpsc::Sender<Progress>,
    pub(super) done: oneshot::Sender<Result<Finished, EngineError>>,
}

impl Worker {
    /// Starts a worker for the model `id` and waits until its tokenizer is ready. `on_loss` is called when the process
    /// is gone without having been closed, before anybody hears of it who waits for an answer; not where it has said
    /// itself that it cannot start or load.
    ///
    /// # Errors
    /// [`EngineError::Load`] if the process cannot be started or cannot read the model's tokenizer.
    pub(super) async fn start(
        settings: &EngineSettings,
        id: &str,
        start: Start,
        on_loss: OnLoss,
    ) -> Result<Self, EngineError> {
        let failed = |reason: String| EngineError::Load {
            model: id.to_owned(),
            reason,
        };
        let (child, socket) = spawn(settings)
            .map_err(|error| failed(format!("its worker process cannot be started: {error}")))?;
        let pid = child.id();
        let (commands, inbox) = mpsc::unbounded_channel();
        let (ready, hello) = oneshot::channel();
        let task = Task::new(
            id.to_owned(),
            settings,
            child,
            WorkerSocket::new(socket),
            Arc::new(LogTail::new(id)),
            ready,
            on_loss,
        );
        tokio::spawn(task.run(inbox));
        let worker = Self {
            commands,
            pid,
            placement: OnceLock::new(),
        };
        worker.send(ToWorker::Start(start));
        match hello.await {
            Ok(Ok(())) => Ok(worker),
            Ok(Err(reason)) => Err(failed(reason)),
            Err(_) => Err(failed("its worker process ended at once".to_owned())),
        }
    }

    /// The process id, while the process runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid.filter(|_| self.is_alive())
    }

    /// Whether the worker still answers.
    pub(super) fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// The loaded model, if it is loaded.
    pub(super) fn placement(&self) -> Option<&Placement> {
        self.placement.get()
    }

    /// Renders and tokenises a prompt, followed by the ids of its answer so far; `None` if the worker has ended.
    pub(super) async fn prepare(
        &self,
        job: JobId,
        prompt: WirePrompt,
        answer: Vec<u32>,
    ) -> Option<Result<Prepared, EngineError>> {
        let (reply, prepared) = oneshot::channel();
        self.commands
            .send(Command::Prepare {
                job,
                prompt,
                answer,
                reply,
            })
            .ok()?;
        prepared.await.ok()
    }

    /// The prepared job will not be run.
    pub(super) fn forget(&self, job: JobId) {
        self.send(ToWorker::Forget { job });
    }

    /// Loads the model.
    ///
    /// # Errors
    /// [`LoadFailure`]; the worker has ended then.
    pub(super) async fn load(
        &self,
        load: Load,
        memory: u64,
        timeout: Duration,
    ) -> Result<&Placement, LoadFailure> {
        let (reply, answer) = oneshot::channel();
        let ended = || LoadFailure {
            reason: "its worker process has ended".to_owned(),
            limit: None,
        };
        self.commands
            .send(Command::Load {
                load,
                timeout,
                reply,
            })
            .map_err(|_| ended())?;
        let loaded = answer.await.map_err(|_| ended())??;
        let Load {
            domain,
            context,
            sampling,
            ..
        } = load;
        Ok(self.placement.get_or_init(|| Placement {
            loaded,
            domain,
            memory,
            context,
            sampling,
        }))
    }

    /// Starts a run; its outcome arrives at `run.done`, an error there if the worker has ended.
    pub(super) fn run(&self, run: RunCommand) {
        // If the worker has ended, dropping the command drops `done`, which tells.
        let _ = self.commands.send(Command::Run(run));
    }

    /// Stops a run, which still ends with its outcome.
    pub(super) fn abort(&self, job: JobId) {
        self.send(ToWorker::Abort { job });
    }

    /// Ends the process and waits until it is gone and its memory with it.
    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.commands.send(Command::Close { reply }).is_ok() {
            let _ = closed.await;
        }
    }

    fn send(&self, message: ToWorker) {
        // A worker that has ended needs no message; whoever waits for an answer learns it there.
        let _ = self.commands.send(Command::Send(message));
    }
}

/// Starts the process with one end of a socket pair as its standard input.
fn spawn(settings: &EngineSettings) -> std::io::Result<(Child, tokio::net::UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = match settings.worker_command.split_first() {
        Some((program, arguments)) => {
            let mut command = Process::new(program);
            command.args(arguments);
            command
        }
        None => {
            let mut command = Process::new(std::env::current_exe()?);
            command.arg(OsString::from("worker"));
            command
        }
    };
    let child = command
        .envs(settings.worker_env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, tokio::net::UnixStream::from_std(ours)?))
}
