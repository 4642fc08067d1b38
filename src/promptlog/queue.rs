//! The way of a record from the gateway to the writer: never waits, and has an end.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, SyncSender},
    },
    thread::Thread,
    time::Duration,
};

use tokio::sync::broadcast;

use super::{
    Kept, Limits, Record, ReplyBody, Status, Summary,
    status::Board,
    weight,
    writer::{self, Writer},
};
use crate::{
    config::{Content, LogStore},
    policy::Redaction,
};

/// Records that may wait for the writer, at a few hundred bytes each.
const MOST_RECORDS: usize = 8192;
/// Each time that so many more have come, the writer is to take them before its time.
const MANY: u64 = MOST_RECORDS as u64 / 16;
/// Bytes of content that may wait with them.
const MOST_CONTENT: usize = 32 << 20;
/// Summaries that a slow listener may be behind before it misses some.
const BEHIND: usize = 1024;
/// How long the end of rkgate waits for the last records.
const FAREWELL: Duration = Duration::from_secs(10);

/// What the log is to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database.
    pub place: LogStore,
    /// What this instance of rkgate is called in records, where several share a log.
    pub instance: Option<String>,
    /// What is kept of prompts and answers.
    pub content: Content,
    /// Whether `x-rkgate-log: off` is obeyed.
    pub opt_out: bool,
    /// Time between two flushes.
    pub flush: Duration,
    /// How much is kept.
    pub limits: Limits,
}

/// A request that has ended.
#[derive(Debug, Default)]
pub struct Entry {
    /// What is known of it.
    pub record: Record,
    /// An upstream's answer, where the record has none.
    pub reply: Option<ReplyBody>,
    /// What the client asked about thinking, where the request as it came no longer says so.
    pub thinking: Option<Option<bool>>,
    /// Whether the request asked not to be logged.
    pub opt_out: bool,
    /// What is left out of it in mode `redacted`.
    pub redaction: Arc<Redaction>,
}

pub(super) enum Message {
    /// A record, and the weight that it was counted with.
    Entry(Box<Entry>, usize),
    /// Write what has come, say so, and end.
    Close(SyncSender<()>),
}

/// The prompt log of a running gateway.
#[derive(Debug)]
pub struct PromptLog {
    sender: SyncSender<Message>,
    writer: Thread,
    board: Arc<Board>,
    written: broadcast::Sender<Arc<Summary>>,
    settings: Settings,
}

impl PromptLog {
    /// Starts the writer. A database that cannot be opened does not keep anybody from serving: the status says so, and
    /// the writer tries again.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(MOST_RECORDS);
        let board = Arc::new(Board::new(settings.place.to_string()));
        let (written, _) = broadcast::channel(BEHIND);
        let writer = Writer::new(settings.clone(), receiver, board.clone(), written.clone());
        let writer = writer::start(writer)?;
        Ok(Self {
            sender,
            writer,
            board,
            written,
            settings,
        })
    }

    /// Whether content is kept at all, so that it is worth collecting.
    #[must_use]
    pub fn keeps_content(&self, opt_out: bool) -> bool {
        self.settings.content != Content::Off && !(opt_out && self.settings.opt_out)
    }

    /// Hands over a request that has ended. Never waits: when the writer is behind, content is dropped first and whole
    /// records only then, and the status counts both.
    pub fn send(&self, mut entry: Entry) {
        let obeyed = entry.opt_out && self.settings.opt_out;
        let without = match self.settings.content {
            Content::Off => Some(Kept::Off),
            Content::Full | Content::Redacted if obeyed => Some(Kept::OptedOut),
            Content::Full | Content::Redacted => None,
        };
        if let Some(kept) = without {
            entry.strip(kept);
        }
        if let Some(reply) = &mut entry.reply {
            reply.end();
        }
        let board = &*self.board;
        let mut weight = entry.weight();
        let held = board.held.fetch_add(weight, Ordering::Relaxed);
        // What is larger than all that may wait is not the writer's fault: it passes where nothing else waits.
        if weight > 0 && held > 0 && held + weight > MOST_CONTENT {
            board.held.fetch_sub(weight, Ordering::Relaxed);
            board.content_dropped.fetch_add(1, Ordering::Relaxed);
            entry.strip(Kept::Dropped);
            weight = 0;
        }
        let waiting = board.waiting.fetch_add(1, Ordering::Relaxed);
        if self
            .sender
            .try_send(Message::Entry(Box::new(entry), weight))
            .is_err()
        {
            board.held.fetch_sub(weight, Ordering::Relaxed);
            board.waiting.fetch_sub(1, Ordering::Relaxed);
            board.lost.fetch_add(1, Ordering::Relaxed);
        }
        if (waiting + 1).is_multiple_of(MANY) {
            self.writer.unpark();
        }
    }

    /// How the log is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.board.status()
    }

    /// The database.
    #[must_use]
    pub fn place(&self) -> &LogStore {
        &self.settings.place
    }

    /// Hears of records once they are written.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Summary>> {
        self.written.subscribe()
    }

    /// Writes what has come and ends the writer. Blocks for 10 seconds at most.
    pub fn close(&self) {
        let (done, ended) = mpsc::sync_channel(1);
        if self.sender.send(Message::Close(done)).is_ok() {
            self.writer.unpark();
            // A writer that cannot write any more loses what it holds.
            let _ = ended.recv_timeout(FAREWELL);
        }
    }
}

impl Entry {
    /// Bytes of memory that its content takes, roughly.
    fn weight(&self) -> usize {
        let content = self.record.content.as_ref();
        let reply = self.reply.as_ref();
        content.map_or(0, weight::of) + reply.map_or(0, ReplyBody::weight)
    }

    /// Leaves metadata only.
    pub(super) fn strip(&mut self, kept: Kept) {
        self.record.content = None;
        self.record.kept = kept;
        self.reply = None;
    }
}
