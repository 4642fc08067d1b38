//! The task that owns a worker process: it passes messages, watches the clock and cleans up.

use std::{
    collections::HashMap, io, os::unix::process::ExitStatusExt as _, pin::pin, process::ExitStatus,
    sync::Arc, time::Duration,
};

use rkllm::log::Fault;
use tokio::{
    process::Child,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Command, LoadFailure, OnLoss, RunCommand, logtail::LogTail};
use crate::engine::{
    EngineError, EngineSettings, Progress,
    protocol::{Finished, FromWorker, JobId, Loaded, Prepared, ToWorker, WorkerSocket},
};

/// Time that a worker gets to end by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// Time in which log lines follow the message that a run has failed.
const LOG_DELAY: Duration = Duration::from_millis(50);

/// Writing to the slowest card that people use, in bytes per second.
const SLOWEST_WRITE: u64 = 5_000_000;

/// An alarm that is so late says that rkgate itself stood still.
const STANDSTILL: Duration = Duration::from_secs(2);

type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// A worker process and what is asked of it.
pub(super) struct Task {
    model: String,
    child: Child,
    socket: WorkerSocket,
    tail: Arc<LogTail>,
    followers: Vec<JoinHandle<()>>,
    heartbeat_timeout: Duration,
    stall_timeout: Duration,
    last_sign: Instant,
    starting: Option<Reply<(), String>>,
    preparing: HashMap<JobId, Reply<Prepared, EngineError>>,
    loading: Option<(Instant, Reply<Loaded, LoadFailure>)>,
    /// What the last load was given.
    load_timeout: Duration,
    running: Option<Running>,
    on_loss: OnLoss,
}

struct Running {
    command: RunCommand,
    /// Where the log lines of this run begin.
    mark: u64,
    /// When the next token is overdue.
    deadline: Instant,
    /// Time that the end of the run may take beyond that of a token, as a file is written.
    writing: Duration,
}

impl Running {
    fn tell(&self, progress: Progress) {
        // The channel has room for every token of the answer; it only fails when nobody listens any more, and then
        // the cancellation is on its way.
        let _ = self.command.progress.try_send(progress);
    }
}

/// Why a worker is at its end.
enum Ending {
    /// It was asked to end.
    Closed(Option<oneshot::Sender<()>>),
    /// It closed the socket, or wrote nonsense to it.
    Gone(Option<io::Error>),
    /// It said that it cannot go on.
    Failed(String),
    /// It had to be killed.
    Hung(String),
}

impl Task {
    pub(super) fn new(
        model: String,
        settings: &EngineSettings,
        mut child: Child,
        socket: WorkerSocket,
        tail: Arc<LogTail>,
        starting: Reply<(), String>,
        on_loss: OnLoss,
    ) -> Self {
        let mut followers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let tail = Arc::clone(&tail);
            followers.push(tokio::spawn(async move { tail.follow(stdout).await }));
        }
        if let Some(stderr) = child.stderr.take() {
            let tail = Arc::clone(&tail);
            followers.push(tokio::spawn(async move { tail.follow(stderr).await }));
        }
        Self {
            model,
            child,
            socket,
            tail,
            followers,
            heartbeat_timeout: settings.heartbeat_timeout,
            stall_timeout: settings.stall_timeout,
            last_sign: Instant::now(),
            starting: Some(starting),
            preparing: HashMap::new(),
            loading: None,
            load_timeout: Duration::ZERO,
            running: None,
            on_loss,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        // Every sign of life puts the deadlines off, so that the alarm looks whether it is still meant when it rings:
        // setting it anew for each token would cost more than the token's own way through here.
        let mut alarm = pin!(sleep_until(self.next_deadline().0));
        let ending = loop {
            let (due, _) = self.next_deadline();
            if due < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(due);
            }
            let step = tokio::select! {
                biased;
                command = inbox.recv() => self.obey(command).await,
                message = self.socket.next() => self.receive(message),
                () = &mut alarm => self.overdue(),
            };
            if let Err(ending) = step {
                break ending;
            }
        };
        // From here on the handle counts as dead, and the next job starts another worker.
        inbox.close();
        self.end(ending).await;
    }

    /// The earliest moment at which something is overdue, and what that would be.
    fn next_deadline(&self) -> (Instant, &'static str) {
        let heartbeat = Some((
            self.last_sign + self.heartbeat_timeout,
            "gave no sign of life",
        ));
        let load = self
            .loading
            .as_ref()
            .map(|(deadline, _)| (*deadline, "did not finish loading in time"));
        let token = self
            .running
            .as_ref()
            .map(|running| (running.deadline, "produced no token in time"));
        [heartbeat, load, token]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
            .unwrap_or((
                self.last_sign + self.heartbeat_timeout,
                "gave no sign of life",
            ))
    }

    fn overdue(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        let (due, what) = self.next_deadline();
        match now.checked_duration_since(due) {
            None => Ok(()),
            Some(late) if late < STANDSTILL => Err(Ending::Hung(format!("{what} and was killed"))),
            // The machine was suspended, or had no time for rkgate: nor had it for the worker.
            Some(_) => {
                self.last_sign = now;
                if let Some((deadline, _)) = &mut self.loading {
                    *deadline = (*deadline).max(now + self.heartbeat_timeout);
                }
                if let Some(running) = &mut self.running {
                    running.deadline = running.deadline.max(now + self.heartbeat_timeout);
                }
                Ok(())
            }
        }
    }

    fn receive(&mut self, message: io::Result<Option<FromWorker>>) -> Result<(), Ending> {
        let message = message
            .map_err(|error| Ending::Gone(Some(error)))?
            .ok_or(Ending::Gone(None))?;
        self.last_sign = Instant::now();
        match message {
            FromWorker::Heartbeat => {}
            FromWorker::Hello => {
                if let Some(ready) = self.starting.take() {
                    let _ = ready.send(Ok(()));
                }
            }
            FromWorker::Prepared { job, result } => {
                if let Some(reply) = self.preparing.remove(&job) {
                    let _ = reply.send(result.map_err(EngineError::Unsupported));
                }
            }
            FromWorker::Loaded(loaded) => {
                if let Some((_, reply)) = self.loading.take() {
                    let _ = reply.send(Ok(loaded));
                }
            }
            FromWorker::Running {
                job,
                cached,
                writes,
            } => {
                if let Some(running) = self.running_job(job) {
                    running.writing = Duration::from_secs(writes / SLOWEST_WRITE);
                    if let Some(reading) = running.command.reading.take() {
                        running.tell(reading(cached));
                    }
                }
            }
            FromWorker::Reloading => {
                tracing::warn!(model = self.model, "the model has to be loaded again");
                let deadline = self.last_sign + self.load_timeout;
                if let Some(running) = &mut self.running {
                    running.deadline = deadline + running.command.first_token;
                }
            }
            FromWorker::Token { job, text, tokens } => {
                let deadline = self.last_sign + self.stall_timeout;
                if let Some(running) = self.running_job(job) {
                    running.deadline = deadline + running.writing;
                    running.tell(Progress::Piece { text, tokens });
                }
            }
            FromWorker::Embedding { job, vector } => {
                if let Some(running) = self.running_job(job) {
                    running.tell(Progress::Embedding(vector));
                }
            }
            FromWorker::Finished { job, result } => {
                if let Some(running) = self.running.take_if(|running| running.command.job == job) {
                    self.finish(running, result);
                }
            }
            FromWorker::StartFailed { reason } | FromWorker::LoadFailed { reason } => {
                return Err(Ending::Failed(reason));
            }
        }
        Ok(())
    }

    fn finish(&self, running: Running, result: Result<Finished, String>) {
        let Running {
            command: RunCommand { done, .. },
            mark,
            ..
        } = running;
        match result {
            Ok(finished) => drop(done.send(Ok(finished))),
            Err(what) => {
                let (model, tail) = (self.model.clone(), Arc::clone(&self.tail));
                tokio::spawn(async move {
                    // The runtime's own words travel another way and may still be under way.
                    sleep(LOG_DELAY).await;
                    let reason = match tail.last_error_since(mark) {
                        Some(line) => format!("{what}; its last error: `{line}`"),
                        None => what,
                    };
                    let _ = done.send(Err(EngineError::Run { model, reason }));
                });
            }
        }
    }

    fn running_job(&mut self, job: JobId) -> Option<&mut Running> {
        self.running
            .as_mut()
            .filter(|running| running.command.job == job)
    }

    async fn obey(&mut self, command: Option<Command>) -> Result<(), Ending> {
        match command {
            None => Err(Ending::Closed(None)),
            Some(Command::Close { reply }) => Err(Ending::Closed(Some(reply))),
            Some(Command::Send(message)) => self.send(&message).await,
            Some(Command::Prepare {
                job,
                prompt,
                answer,
                reply,
            }) => {
                self.preparing.insert(job, reply);
                let message = ToWorker::Prepare {
                    job,
                    prompt,
                    answer,
                };
                self.send(&message).await
            }
            Some(Command::Load {
                load,
                timeout,
                reply,
            }) => {
                self.load_timeout = timeout;
                self.loading = Some((Instant::now() + timeout, reply));
                self.send(&ToWorker::Load(load)).await
            }
            Some(Command::Run(command)) => {
                let RunCommand {
                    job,
                    max_tokens,
                    sampling,
                    first_token,
                    ..
                } = command;
                let deadline = Instant::now() + first_token;
                self.running = Some(Running {
                    command,
                    mark: self.tail.mark(),
                    deadline,
                    writing: Duration::ZERO,
                });
                self.send(&ToWorker::Run {
                    job,
                    max_tokens,
                    sampling,
                })
                .await
            }
        }
    }

    async fn send(&mut self, message: &ToWorker) -> Result<(), Ending> {
        // A worker reads at once whatever else it does; waiting longer would suspend the watch over it.
        match timeout(self.heartbeat_timeout, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(|error| Ending::Gone(Some(error))),
            Err(_) => Err(Ending::Hung("took no message and was killed".to_owned())),
        }
    }

    /// Waits for the process, with force where needed, and tells everyone who still waits for an answer.
    async fn end(self, ending: Ending) {
        let Self {
            model,
            mut child,
            socket,
            tail,
            followers,
            starting,
            preparing,
            loading,
            running,
            on_loss,
            ..
        } = self;
        // A worker whose socket has closed ends by itself; one that hangs does not.
        drop(socket);
        let grace = if matches!(ending, Ending::Hung(_)) {
            Duration::ZERO
        } else {
            FAREWELL
        };
        let status = end_process(&mut child, grace).await;
        for follower in followers {
            // A process that the runtime started could hold the streams open; it is not waited for.
            let _ = timeout(Duration::from_secs(1), follower).await;
        }
        let mark = running.as_ref().map_or(0, |running| running.mark);
        let what = match &ending {
            Ending::Closed(_) => "was stopped".to_owned(),
            Ending::Failed(what) | Ending::Hung(what) => what.clone(),
            Ending::Gone(Some(error)) => format!("broke the connection ({error})"),
            Ending::Gone(None) => describe(status),
        };
        let reason = match tail.last_error_since(mark) {
            Some(line) if !matches!(ending, Ending::Closed(_)) => {
                format!("{what}; its last error: `{line}`")
            }
            _ => what,
        };
        let is_lost = match ending {
            Ending::Closed(_) => false,
            // It has answered what it was asked.
            Ending::Failed(_) => starting.is_none() && loading.is_none(),
            Ending::Gone(_) | Ending::Hung(_) => true,
        };
        if !matches!(ending, Ending::Closed(_)) {
            tracing::error!(model, reason, "an engine worker was lost");
        }
        if is_lost {
            on_loss();
        }
        let lost = EngineError::Worker {
            model,
            what: reason.clone(),
        };
        if let Some(starting) = starting {
            let _ = starting.send(Err(reason.clone()));
        }
        for reply in preparing.into_values() {
            let _ = reply.send(Err(lost.clone()));
        }
        if let Some((_, reply)) = loading {
            let _ = reply.send(Err(load_failure(&tail, reason)));
        }
        if let Some(running) = running {
            let _ = running.command.done.send(Err(lost));
        }
        if let Ending::Closed(Some(reply)) = ending {
            let _ = reply.send(());
        }
    }
}

/// Waits for the process, and kills it after `grace`.
async fn end_process(child: &mut Child, grace: Duration) -> Option<ExitStatus> {
    if let Ok(status) = timeout(grace, child.wait()).await {
        return status.ok();
    }
    // Fails only if the process has ended in the meantime.
    let _ = child.start_kill();
    child.wait().await.ok()
}

fn describe(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.code(), status.signal())) {
        Some((_, Some(signal))) => match signal_name(signal) {
            Some(name) => format!("was killed by signal {signal} ({name})"),
            None => format!("was killed by signal {signal}"),
        },
        Some((Some(code), None)) => format!("exited with code {code}"),
        _ => "ended for an unknown reason".to_owned(),
    }
}

/// The signals that a runtime dies of.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL; perhaps the system ran out of memory",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// The failure in the runtime's own words, with the cure where it is known.
fn load_failure(tail: &LogTail, otherwise: String) -> LoadFailure {
    let lines = tail.lines();
    match rkllm::log::diagnose(lines.iter().map(String::as_str)) {
        None => LoadFailure {
            reason: otherwise,
            limit: None,
        },
        Some(fault) => {
            let limit = match fault {
                Fault::ContextAboveLimit { limit, .. } => Some(limit),
                _ => None,
            };
            let said = lines
                .iter()
                .find(|line| rkllm::log::classify(line).as_ref() == Some(&fault));
            let said = said
                .map(|line| format!(" The runtime said: `{line}`."))
                .unwrap_or_default();
            LoadFailure {
                reason: format!("{}{said}", fault.cure()),
                limit,
            }
        }
    }
}
