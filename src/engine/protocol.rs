//! What the gateway and a worker say to each other.
//!
//! Frames are a 4-byte length (big-endian) and a [postcard] message, over the socket that the worker has as its
//! standard input; its standard output and error belong to the runtime's log lines. Both ends are the same
//! executable, so that the messages need no versions.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use bytes::{Buf as _, BytesMut};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::retry_on_intr,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::sampling::Values;
use crate::chat;

/// Longest message in bytes. A request body is limited to about this by the gateway.
const MAX_MESSAGE: usize = 64 << 20;
/// Bytes of the length before each message.
const HEADER: usize = size_of::<u32>();

/// Least room for a read, in bytes: that of many tokens.
const READ: usize = 1024;

/// Number of a job within this process.
pub(super) type JobId = u64;

/// From the gateway to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// The first message: which model this worker is for.
    Start(Start),
    /// Turn a request into ids. Answered by [`FromWorker::Prepared`], also while a run is going on.
    Prepare {
        job: JobId,
        prompt: WirePrompt,
        /// Ids of the answer so far, where one that was stopped goes on.
        answer: Vec<u32>,
    },
    /// The prepared job will not be run.
    Forget { job: JobId },
    /// Load the model. Answered by [`FromWorker::Loaded`], or by [`FromWorker::LoadFailed`] and the worker's end.
    Load(Load),
    /// Run a prepared job. Answered by tokens and [`FromWorker::Finished`].
    Run {
        job: JobId,
        max_tokens: u32,
        sampling: Values,
    },
    /// Stop the job's run; it still ends with [`FromWorker::Finished`].
    Abort { job: JobId },
}

/// Which model a worker is for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) model: PathBuf,
    pub(super) tokenizer_dir: PathBuf,
    /// End tokens in addition to those that the tokenizer's files name.
    pub(super) ends: Vec<String>,
    /// The runtime library; `None` is the built-in simulator.
    pub(super) library: Option<PathBuf>,
    pub(super) abi: Option<WireAbi>,
    /// Where to keep what prompts begin with, if that is wanted and the model is known to allow it.
    pub(super) prompt_cache: Option<PromptCache>,
}

/// The prompt cache files of a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PromptCache {
    /// Directory of the files of all models.
    pub(super) dir: PathBuf,
    /// Bytes of all files together.
    pub(super) max_size: u64,
    /// Bytes of keys and values.
    pub(super) bytes_per_token: u64,
    /// Tokens per second to be expected of reading.
    pub(super) prefill: f64,
}

/// A binary interface of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireAbi {
    V1_2_0,
    V1_2_1,
    V1_3_0,
}

/// What the model is to read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum WirePrompt {
    /// A `chat::Request` as JSON: its uninterpreted fields have no other form.
    Chat(Vec<u8>),
    /// Raw text.
    Text(String),
    /// What an embedding is wanted of.
    Embed(chat::Passage),
}

/// How to load the model.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) context: u32,
    pub(super) domain: i32,
    pub(super) embed_flash: bool,
    pub(super) cpu_mask: Option<u32>,
    /// In force for every run where the runtime fixes sampling at load.
    pub(super) sampling: Values,
    /// Whether to run one token, so that the first job finds done what the runtime does once.
    pub(super) warm_up: bool,
}

/// From a worker to the gateway.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// The tokenizer and the chat template are ready; the model is not loaded yet.
    Hello,
    /// The worker cannot start; it ends after this.
    StartFailed { reason: String },
    /// The answer to [`ToWorker::Prepare`].
    Prepared {
        job: JobId,
        result: Result<Prepared, String>,
    },
    /// The model is loaded.
    Loaded(Loaded),
    /// The model could not be loaded; the worker ends after this, so that the runtime's last lines are flushed.
    LoadFailed { reason: String },
    /// The run has begun, with this many tokens of the prompt in the KV cache.
    Running {
        job: JobId,
        cached: u32,
        /// Bytes that the runtime is to write after the last token.
        writes: u64,
    },
    /// The runtime cannot go on as it is: the model is loaded again for the run under way.
    Reloading,
    /// A piece of the answer.
    Token {
        job: JobId,
        text: String,
        tokens: u32,
    },
    /// The embedding, before the end of a run that has one.
    Embedding { job: JobId, vector: Vec<f32> },
    /// The run has ended.
    Finished {
        job: JobId,
        result: Result<Finished, String>,
    },
    /// Sign of life, once a second.
    Heartbeat,
}

/// A prompt that stands ready in the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prepared {
    /// Tokens of the prompt; `None` where only the runtime can count them.
    pub(super) tokens: Option<u32>,
    /// Tokens at the prompt's beginning that the KV cache holds now.
    pub(super) reuse: u32,
    pub(super) thinking_opened: bool,
}

impl Prepared {
    /// Whether a stopped answer can go on: the runtime's own template takes no half answers.
    pub(super) fn resumable(self) -> bool {
        self.tokens.is_some()
    }
}

/// A loaded model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Loaded {
    /// The runtime's version as its file tells it; the simulator has none.
    pub(super) version: Option<String>,
    pub(super) abi: String,
    /// Whether sampling may differ from run to run.
    pub(super) per_run_sampling: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Finished {
    pub(super) reason: End,
    /// Tokens of the prompt.
    pub(super) prompt: u32,
    /// Tokens of the prompt that were in the KV cache.
    pub(super) cached: u32,
    /// Tokens of the prompt that were expected in the KV cache.
    pub(super) predicted: u32,
    /// Of the tokens that were in the KV cache, those that came from a prompt cache file.
    pub(super) loaded: u32,
    /// Whether the run has saved a prompt cache file.
    pub(super) saved: bool,
    /// Generated tokens, the end token included.
    pub(super) completion: u32,
    pub(super) prefill_ms: f32,
    pub(super) decode_ms: f32,
    /// How many times the model was loaded again for it.
    pub(super) reloads: u32,
    /// Ids of an answer that the gateway stopped, as far as its text has left; with them it can go on.
    pub(super) answer: Vec<u32>,
    /// How much of each prompt that stands ready the KV cache holds now.
    pub(super) reusable: Vec<(JobId, u32)>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    /// The model said an end token.
    Stop,
    /// `max_tokens` were generated.
    Length,
    /// The gateway stopped it.
    Aborted,
}

/// Appends a message as a frame.
///
/// # Errors
/// If the message is too long or cannot be serialised, e.g. a path that is not UTF-8.
fn write_frame<T: Serialize>(message: &T, buffer: &mut Vec<u8>) -> io::Result<()> {
    let begin = buffer.len();
    buffer.extend_from_slice(&[0; HEADER]);
    postcard::to_io(message, &mut *buffer).map_err(io::Error::other)?;
    let length = buffer.len() - begin - HEADER;
    let header = u32::try_from(length)
        .ok()
        .filter(|_| length <= MAX_MESSAGE)
        .ok_or_else(too_long)?;
    if let Some(place) = buffer.get_mut(begin..begin + HEADER) {
        place.copy_from_slice(&header.to_be_bytes());
    }
    Ok(())
}

/// Takes the message of the first frame; `None` if the frame is not complete yet.
///
/// # Errors
/// If this is no frame, or its message is none of this type.
fn take_frame<T: DeserializeOwned>(buffer: &mut BytesMut) -> io::Result<Option<T>> {
    let Some(header) = buffer.first_chunk() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*header) as usize;
    if length > MAX_MESSAGE {
        return Err(too_long());
    }
    let end = HEADER + length;
    let Some(body) = buffer.get(HEADER..end) else {
        buffer.reserve(end - buffer.len());
        return Ok(None);
    };
    let message = postcard::from_bytes(body).map_err(io::Error::other)?;
    buffer.advance(end);
    Ok(Some(message))
}

fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message of more than {MAX_MESSAGE} bytes"),
    )
}

/// The gateway's end of the socket.
#[derive(Debug)]
pub(super) struct WorkerSocket {
    stream: tokio::net::UnixStream,
    received: BytesMut,
}

impl WorkerSocket {
    pub(super) fn new(stream: tokio::net::UnixStream) -> Self {
        Self {
            stream,
            received: BytesMut::new(),
        }
    }

    /// The next message; `None` when the worker has closed its end. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> io::Result<Option<FromWorker>> {
        loop {
            if let Some(message) = take_frame(&mut self.received)? {
                return Ok(Some(message));
            }
            // The rest of the buffer may be too small for a frame, which would cost a second call.
            self.received.reserve(READ);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends one message. The stream is of no use once this has been cancelled.
    pub(super) async fn send(&mut self, message: &ToWorker) -> io::Result<()> {
        let mut frame = Vec::new();
        write_frame(message, &mut frame)?;
        self.stream.write_all(&frame).await
    }
}

/// The worker's reading end; it blocks.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: UnixStream,
    received: BytesMut,
}

impl FrameReader {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            received: BytesMut::new(),
        }
    }

    /// The next message; `None` when the gateway has closed its end.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(message) = take_frame(&mut self.received)? {
                return Ok(Some(message));
            }
            // A thread that blocks in a read of a socket is woken also when the other end has read what was
            // written here, which is after every token. One that polls for input is not.
            retry_on_intr(|| poll(&mut [PollFd::new(&self.stream, PollFlags::IN)], None))?;
            match self.stream.read(&mut chunk)? {
                0 => return Ok(None),
                count => self
                    .received
                    .extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
        }
    }
}

/// The worker's writing end; it blocks while the gateway is behind, which always reads.
#[derive(Debug)]
pub(super) struct FrameWriter {
    stream: UnixStream,
    frame: Vec<u8>,
}

impl FrameWriter {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            frame: Vec::new(),
        }
    }

    /// Sends one message, in one write.
    pub(super) fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.frame.clear();
        write_frame(message, &mut self.frame)?;
        self.stream.write_all(&self.frame)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn messages_survive_the_socket_in_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let sender = std::thread::spawn(move || {
            let mut writer = FrameWriter::new(theirs);
            for job in 0..1000 {
                writer
                    .send(&FromWorker::Token {
                        job,
                        text: "ø".repeat(job as usize),
                        tokens: 1,
                    })
                    .unwrap();
            }
        });
        let mut reader = FrameReader::new(ours);
        for expected in 0..1000 {
            let message = reader.next().unwrap().unwrap();
            assert!(
                matches!(message, FromWorker::Token { job, text, .. } if job == expected && text.chars().count() == expected as usize)
            );
        }
        sender.join().unwrap();
        assert!(reader.next::<FromWorker>().unwrap().is_none());
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert!(FrameReader::new(ours).next::<FromWorker>().is_err());
    }
}
