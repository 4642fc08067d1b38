//! The thread that owns the database.

use std::{
    io,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use chrono::Utc;
use tokio::sync::broadcast;

use super::{
    FailureKind, Kept, StoreError, Summary,
    queue::{Entry, Message, Settings},
    redact,
    status::Board,
    store::{self, Store, preview},
};
use crate::config::Content;

/// Records of one transaction; a flush with more takes several.
const BATCH: usize = 512;
/// Records that the writer holds while it cannot write; the queue holds as many again.
const MOST_PENDING: usize = 8192;
/// Time between two attempts to write after a failure: from a second, doubling up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What the writer adds to its niceness: a flush of a second's records must not hold up a token on a busy core.
const NICENESS: i32 = 10;
/// How often limits are looked at where nothing is written.
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    settings: Settings,
    receiver: Receiver<Message>,
    board: Arc<Board>,
    written: broadcast::Sender<Arc<Summary>>,
    store: Option<Box<dyn Store>>,
    /// What waits for the next flush, with the weight that it was counted with.
    pending: Vec<(Box<Entry>, usize)>,
    pause: Duration,
    /// When the last flush ended.
    flushed: Instant,
    /// There is more to delete than the last flush did.
    untidy: bool,
}

/// Why records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// The flush is due.
    Due,
    /// There are many; some are left for the flush, which makes all of them durable.
    Many,
}

/// No record comes any more.
struct Ended {
    /// Who waits for the last one to be written.
    done: Option<SyncSender<()>>,
}

/// Starts the thread. It gathers records until a flush is due; to be looked after before, it has to be unparked.
pub(super) fn start(writer: Writer) -> io::Result<Thread> {
    let builder = thread::Builder::new().name("promptlog".to_owned());
    let started = builder.spawn(move || writer.run())?;
    Ok(started.thread().clone())
}

impl Writer {
    pub(super) fn new(
        settings: Settings,
        receiver: Receiver<Message>,
        board: Arc<Board>,
        written: broadcast::Sender<Arc<Summary>>,
    ) -> Self {
        Self {
            settings,
            receiver,
            board,
            written,
            store: None,
            pending: Vec::new(),
            pause: Duration::ZERO,
            flushed: Instant::now(),
            untidy: false,
        }
    }

    fn run(mut self) {
        // On Linux niceness is each thread's own. Without it the writer is as quick as the rest.
        let _ = rustix::process::nice(NICENESS);
        // A log that cannot be opened is to be known before the first request.
        self.flush(Reason::Due);
        loop {
            match self.gather() {
                Ok(reason) => self.flush(reason),
                Err(Ended { done }) => {
                    self.flush(Reason::Due);
                    if let Some(done) = done {
                        // Who asked may have stopped waiting.
                        let _ = done.send(());
                    }
                    return;
                }
            }
        }
    }

    /// Takes what comes until something is to be written, or until the end.
    fn gather(&mut self) -> Result<Reason, Ended> {
        let interval = self.settings.flush.max(self.pause);
        loop {
            let idle = self.pending.is_empty() && !self.untidy && self.pause.is_zero();
            let due = self.flushed + if idle { IDLE } else { interval };
            let wait = due.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(Reason::Due);
            }
            if self.pending.len() > BATCH && self.pause.is_zero() {
                return Ok(Reason::Many);
            }
            if self.pending.len() >= MOST_PENDING {
                // Whoever wakes the writer must not shorten the pause after a failure.
                thread::park_timeout(wait);
                continue;
            }
            // The first record wakes the writer, those that follow wait for the flush: a wake-up for each would cost more than
            // writing it.
            let received = match self.receiver.try_recv() {
                Err(TryRecvError::Empty) if idle => self.receiver.recv_timeout(wait),
                Err(TryRecvError::Empty) => {
                    thread::park_timeout(wait);
                    continue;
                }
                received => received.map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(Message::Entry(entry)) => {
                    let weight = entry.weight();
                    self.pending.push((self.prepared(entry), weight));
                }
                Ok(Message::Close(done)) => return Err(Ended { done: Some(done) }),
                Err(RecvTimeoutError::Timeout) => return Ok(Reason::Due),
                Err(RecvTimeoutError::Disconnected) => return Err(Ended { done: None }),
            }
        }
    }

    /// What is left to do before a record can be kept.
    fn prepared(&self, mut entry: Box<Entry>) -> Box<Entry> {
        entry.record.instance.clone_from(&self.settings.instance);
        if let (Some(thinking), Some(content)) = (entry.thinking, &mut entry.record.content)
            && content.before.thinking != thinking
        {
            // The run has ended: nobody else holds the request, so that nothing is copied.
            Arc::make_mut(&mut content.before).thinking = thinking;
        }
        if let Some(reply) = entry.reply.take() {
            reply.read_into(&mut entry.record);
        }
        if self.settings.content == Content::Redacted && entry.record.kept == Kept::Full {
            redact::record(&mut entry.record, &entry.redaction);
            entry.record.kept = Kept::Redacted;
        }
        entry
    }

    fn flush(&mut self, reason: Reason) {
        let written = self.write(reason);
        self.flushed = match reason {
            Reason::Due => Instant::now(),
            Reason::Many => self.flushed,
        };
        match written {
            Ok(()) => {
                self.pause = Duration::ZERO;
                if self.board.running() {
                    tracing::info!("the prompt log is written again");
                }
            }
            Err(error) => {
                let reason = error.words();
                let now = Utc::now().timestamp_millis();
                self.pause = (self.pause * 2).clamp(Duration::from_secs(1), LONGEST_PAUSE);
                if self
                    .board
                    .stopped(now, FailureKind::from(&error), reason.clone())
                {
                    tracing::error!("the prompt log has stopped: {reason}");
                }
                // Opening anew makes good whatever state the failure left.
                self.store = None;
                if matches!(error, StoreError::Damaged { .. }) {
                    self.strip();
                }
            }
        }
    }

    fn write(&mut self, reason: Reason) -> Result<(), StoreError> {
        let store = match &mut self.store {
            Some(store) => store,
            none => none.insert(store::open(&self.settings.place, self.settings.limits)?),
        };
        loop {
            let batch = self.pending.len().min(BATCH);
            let last = batch == self.pending.len();
            if batch == 0 || last && reason == Reason::Many {
                break;
            }
            let records = self.pending.iter().take(batch);
            let mut records = records.map(|(entry, _)| &entry.record);
            let ids = if last {
                store.write(&mut records)
            } else {
                store.write_ahead(&mut records)
            }?;
            for (id, (entry, weight)) in ids.into_iter().zip(self.pending.drain(..batch)) {
                self.board.held.fetch_sub(weight, Ordering::Relaxed);
                self.board.waiting.fetch_sub(1, Ordering::Relaxed);
                self.board.written.fetch_add(1, Ordering::Relaxed);
                if self.written.receiver_count() > 0 {
                    // Those who listened may have left.
                    let _ = self.written.send(Arc::new(summary(id, *entry)));
                }
            }
        }
        if reason == Reason::Many {
            return Ok(());
        }
        self.untidy = store.tidy(Utc::now().timestamp_millis())?;
        self.board.size.store(store.size()?, Ordering::Relaxed);
        Ok(())
    }

    /// A record that cannot be written must not keep the others from it.
    fn strip(&mut self) {
        for (entry, weight) in &mut self.pending {
            entry.strip(Kept::Dropped);
            self.board
                .held
                .fetch_sub(std::mem::take(weight), Ordering::Relaxed);
            self.board.content_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn summary(id: i64, entry: Entry) -> Summary {
    let mut record = entry.record;
    let preview = record.content.take().as_ref().map(preview);
    Summary {
        id,
        record,
        preview: preview.unwrap_or_default(),
    }
}
