//! The other side of the process border: one worker per resident model.
//!
//! The worker is this executable, started with the hidden command `worker`. Its standard input is a socket to the
//! gateway; its standard output and error belong to the runtime's log lines, which the gateway reads. Four threads
//! share the work: the main thread obeys and sends the heartbeat, one reads the socket, one renders and tokenises
//! prompts, one loads the model and runs it, blocked in the runtime most of the time. The process ends when the
//! gateway closes the socket or is gone.

mod escape;
mod generation;
mod memory;
mod prefixes;
mod prepare;
mod reader;
mod runner;
mod template;
mod tokenizer;

use std::{
    collections::HashMap,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use rkllm::AbortHandle;

use super::protocol::{
    FrameReader, FrameWriter, FromWorker, JobId, Prepared, Start, ToWorker, WirePrompt,
};
use crate::chat;
use memory::Memory;
use prefixes::Heads;
use prepare::Awaited;
pub use reader::{PieceKind, PromptPiece, PromptReader, ReadPrompt};
use runner::{Order, Runner};
use tokenizer::ModelTokenizer;

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Time that a run gets to stop when the gateway is gone.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves the gateway at the other end of the standard input until it closes.
#[must_use]
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("E rkgate: worker: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line beside those of the runtime. Nothing can be done if nobody reads it.
fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    writer: Mutex<FrameWriter>,
    /// Prompts that stand ready.
    ready: Mutex<HashMap<JobId, Ready>>,
    /// The ids that the KV cache is believed to hold.
    kv: Mutex<Vec<u32>>,
    memory: Mutex<Memory>,
}

/// What stands ready to be read.
#[derive(Debug)]
enum Ready {
    /// To be answered.
    Prompt(ReadyPrompt),
    /// To be embedded.
    Passage(Vec<u32>),
}

/// A prompt that stands ready.
#[derive(Debug)]
enum ReadyPrompt {
    /// As ids.
    Tokens {
        ids: Vec<u32>,
        /// Tokens at the beginning that other conversations share.
        head: usize,
        /// With what its answer is to be kept.
        awaited: Option<Box<Awaited>>,
    },
    /// As text for the runtime's own template.
    Text {
        text: String,
        thinking: Option<bool>,
    },
}

impl Ready {
    /// How much of it the KV cache saves.
    fn reusable(&self, kv: &[u32]) -> u32 {
        match self {
            Self::Prompt(ReadyPrompt::Tokens { ids, .. }) => reusable(kv, ids),
            // The text's ids are not known, and of a passage every row is computed.
            Self::Prompt(ReadyPrompt::Text { .. }) | Self::Passage(_) => 0,
        }
    }
}

impl Shared {
    /// How much of each prompt that stands ready the KV cache holds.
    fn reusable(&self) -> Vec<(JobId, u32)> {
        let (kv, ready) = (lock(&self.kv), lock(&self.ready));
        ready
            .iter()
            .map(|(job, ready)| (*job, ready.reusable(&kv)))
            .collect()
    }

    /// Sends a message. If the gateway is gone the reading thread notices too and ends the worker.
    fn send(&self, message: &FromWorker) {
        let _ = lock(&self.writer).send(message);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A prompt to prepare, and the ids of its answer so far.
type Asked = (JobId, WirePrompt, Vec<u32>);

/// What the main thread waits for.
enum Event {
    Message(ToWorker),
    /// The gateway has closed the socket.
    Closed(io::Result<()>),
    /// A thread has told the gateway that the worker cannot go on.
    Failed,
    /// The running thread has put the model away.
    Ended,
}

fn serve() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut reader = FrameReader::new(socket.try_clone()?);
    let Some(ToWorker::Start(start)) = reader.next()? else {
        return Err(io::Error::other("this command is started by rkgate itself"));
    };
    let shared = Arc::new(Shared {
        writer: Mutex::new(FrameWriter::new(socket)),
        ready: Mutex::default(),
        kv: Mutex::default(),
        memory: Mutex::default(),
    });
    let (events, inbox) = mpsc::channel();
    let (prompts, prompts_inbox) = mpsc::channel();
    let (orders, orders_inbox) = mpsc::channel();
    spawn("reader", {
        let events = events.clone();
        move || read(reader, &events)
    })?;
    let running = spawn("runner", {
        let (shared, events) = (Arc::clone(&shared), events.clone());
        let runner = Runner::new(&start, Arc::clone(&shared));
        move || run(runner, &orders_inbox, &shared, &events)
    })?;
    let preparing = spawn("tokenizer", {
        let (shared, orders) = (Arc::clone(&shared), orders.clone());
        move || tokenise(&start, &prompts_inbox, &orders, &shared, &events)
    })?;
    let outcome = obey(&shared, &inbox, &prompts, &orders, || {
        running.is_finished() || preparing.is_finished()
    });
    drop(prompts);
    drop(orders);
    if matches!(outcome, Outcome::Closed(_)) {
        // The runtime would be torn down under a run otherwise.
        let deadline = Instant::now() + FAREWELL;
        while let Ok(event) = inbox.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if matches!(event, Event::Ended) {
                break;
            }
        }
    }
    match outcome {
        Outcome::Closed(result) => result,
        Outcome::Failed => Ok(()),
        Outcome::Broken => Err(io::Error::other("a thread of the worker has panicked")),
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}

enum Outcome {
    Closed(io::Result<()>),
    Failed,
    Broken,
}

/// Passes messages on until the end, and gives a sign of life each second.
fn obey(
    shared: &Shared,
    inbox: &Receiver<Event>,
    prompts: &Sender<Asked>,
    orders: &Sender<Order>,
    broken: impl Fn() -> bool,
) -> Outcome {
    let mut current: Option<(JobId, AbortHandle)> = None;
    let mut next_heartbeat = Instant::now();
    loop {
        let now = Instant::now();
        if now >= next_heartbeat {
            if broken() {
                return Outcome::Broken;
            }
            shared.send(&FromWorker::Heartbeat);
            next_heartbeat = now + HEARTBEAT;
        }
        let event = match inbox.recv_timeout(next_heartbeat.saturating_duration_since(now)) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Outcome::Broken,
        };
        // A receiver is gone only after its thread has panicked, which the heartbeat notices.
        match event {
            Event::Message(ToWorker::Start(_)) | Event::Ended => {}
            Event::Message(ToWorker::Prepare {
                job,
                prompt,
                answer,
            }) => drop(prompts.send((job, prompt, answer))),
            Event::Message(ToWorker::Forget { job }) => drop(lock(&shared.ready).remove(&job)),
            Event::Message(ToWorker::Load(load)) => drop(orders.send(Order::Load(load))),
            Event::Message(ToWorker::Run {
                job,
                max_tokens,
                sampling,
            }) => {
                let abort = AbortHandle::new();
                current = Some((job, abort.clone()));
                drop(orders.send(Order::Run {
                    job,
                    max_tokens,
                    sampling,
                    abort,
                }));
            }
            Event::Message(ToWorker::Abort { job }) => {
                if let Some((_, abort)) = current.as_ref().filter(|(running, _)| *running == job) {
                    abort.abort();
                }
            }
            Event::Closed(result) => {
                if let Some((_, abort)) = &current {
                    abort.abort();
                }
                return Outcome::Closed(result);
            }
            Event::Failed => return Outcome::Failed,
        }
    }
}

fn read(mut reader: FrameReader, events: &Sender<Event>) {
    loop {
        let event = match reader.next() {
            Ok(Some(message)) => Event::Message(message),
            Ok(None) => Event::Closed(Ok(())),
            Err(error) => Event::Closed(Err(error)),
        };
        let last = matches!(event, Event::Closed(_));
        if events.send(event).is_err() || last {
            return;
        }
    }
}

fn run(mut runner: Runner, orders: &Receiver<Order>, shared: &Shared, events: &Sender<Event>) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Tokenizer { ends, special } => runner.know(ends, special),
            Order::Load(load) => match runner.load(load) {
                Ok(loaded) => shared.send(&FromWorker::Loaded(loaded)),
                Err(reason) => {
                    shared.send(&FromWorker::LoadFailed { reason });
                    let _ = events.send(Event::Failed);
                    return;
                }
            },
            Order::Run {
                job,
                max_tokens,
                sampling,
                abort,
            } => {
                let result = runner.run(job, max_tokens, sampling, &abort);
                shared.send(&FromWorker::Finished { job, result });
            }
        }
    }
    drop(runner);
    let _ = events.send(Event::Ended);
}

fn tokenise(
    start: &Start,
    prompts: &Receiver<Asked>,
    orders: &Sender<Order>,
    shared: &Shared,
    events: &Sender<Event>,
) {
    let tokenizer = match ModelTokenizer::open(&start.tokenizer_dir, &start.ends) {
        Ok(tokenizer) => tokenizer,
        Err(reason) => {
            shared.send(&FromWorker::StartFailed { reason });
            let _ = events.send(Event::Failed);
            return;
        }
    };
    if let Some(tokenizer) = &tokenizer {
        let _ = orders.send(Order::Tokenizer {
            ends: tokenizer.ends.clone(),
            special: tokenizer.special(),
        });
    }
    shared.send(&FromWorker::Hello);
    let mut heads = start.prompt_cache.is_some().then(Heads::default);
    while let Ok((job, prompt, answer)) = prompts.recv() {
        // A tokenizer or a template that panics on one prompt must not take the others along.
        let prepare = || ready(tokenizer.as_ref(), prompt, &shared.memory, heads.as_mut());
        let result = catch_unwind(AssertUnwindSafe(prepare))
            .unwrap_or_else(|_| Err("the tokenizer failed on this prompt".to_owned()))
            .map(|(mut ready, thinking_opened)| {
                if let Ready::Prompt(ReadyPrompt::Tokens { ids, awaited, .. }) = &mut ready {
                    // The text of its beginning has left; the answer could not be told from its rest.
                    awaited.take_if(|_| !answer.is_empty());
                    ids.extend(answer);
                }
                let tokens = match &ready {
                    Ready::Prompt(ReadyPrompt::Tokens { ids, .. }) | Ready::Passage(ids) => {
                        u32::try_from(ids.len()).ok()
                    }
                    Ready::Prompt(ReadyPrompt::Text { .. }) => None,
                };
                let reuse = ready.reusable(&lock(&shared.kv));
                lock(&shared.ready).insert(job, ready);
                Prepared {
                    tokens,
                    reuse,
                    thinking_opened,
                }
            });
        shared.send(&FromWorker::Prepared { job, result });
    }
}

/// Turns a request into what the model reads.
fn ready(
    tokenizer: Option<&ModelTokenizer>,
    prompt: WirePrompt,
    memory: &Mutex<Memory>,
    heads: Option<&mut Heads>,
) -> Result<(Ready, bool), String> {
    match (prompt, tokenizer) {
        (WirePrompt::Chat(request), tokenizer) => {
            let request: chat::Request =
                serde_json::from_slice(&request).map_err(|error| error.to_string())?;
            if let Some((tokenizer, template)) =
                tokenizer.and_then(|both| Some((both, both.template.as_ref()?)))
            {
                let rendered = prepare::chat(tokenizer, template, &request, &mut lock(memory))?;
                let head = heads.map_or(0, |heads| {
                    heads.length(tokenizer, template, &request, &rendered.ids)
                });
                let prompt = ReadyPrompt::Tokens {
                    ids: rendered.ids,
                    head,
                    awaited: rendered.awaited.map(Box::new),
                };
                Ok((Ready::Prompt(prompt), rendered.thinking_opened))
            } else {
                let text = ReadyPrompt::Text {
                    text: prepare::last_user_message(&request)?,
                    thinking: request.thinking,
                };
                Ok((Ready::Prompt(text), false))
            }
        }
        (WirePrompt::Text(text), Some(tokenizer)) => {
            let prompt = ReadyPrompt::Tokens {
                ids: tokenizer.encode_text(&text)?,
                head: 0,
                awaited: None,
            };
            Ok((Ready::Prompt(prompt), false))
        }
        (WirePrompt::Embed(passage), Some(tokenizer)) => {
            let ids = prepare::passage(tokenizer, passage)?;
            Ok((Ready::Passage(ids), false))
        }
        (WirePrompt::Embed(_), None) => Err(
            "this model has no tokenizer.json, so that a text cannot be read as it is; copy tokenizer.json beside \
             the model"
                .to_owned(),
        ),
        (WirePrompt::Text(_), None) => Err(
            "this model has no tokenizer.json, so that raw text cannot be run as it is; \
             use a chat request, or copy tokenizer.json beside the model"
                .to_owned(),
        ),
    }
}

/// Tokens at the beginning of `prompt` that need no computing. The last one always does: its result is the answer's
/// first token.
fn reusable(kv: &[u32], prompt: &[u32]) -> u32 {
    let common = kv.iter().zip(prompt).take_while(|(a, b)| a == b).count();
    u32::try_from(common.min(prompt.len().saturating_sub(1))).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_token_of_a_prompt_is_always_computed() {
        assert_eq!(reusable(&[1, 2, 3, 4], &[1, 2, 3]), 2);
        assert_eq!(reusable(&[1, 2], &[1, 2, 3]), 2);
        assert_eq!(reusable(&[1, 9], &[1, 2, 3]), 1);
        assert_eq!(reusable(&[], &[]), 0);
    }
}
