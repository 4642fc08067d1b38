//! The thread that owns the database.

use std::{
    io, mem,
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
/// Time of a flush that goes to deleting what the log may not keep: half of it, and no more than this.
const LONGEST_TIDYING: Duration = Duration::from_millis(250);
/// How often limits are looked at where nothing is written.
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    settings: Settings,
    receiver: Receiver<Message>,
    board: Arc<Board>,
    written: broadcast::Sender<Arc<Summary>>,
    store: Option<Box<dyn Store>>,
    pending: Vec<Pending>,
    pause: Duration,
    /// When the last flush ended.
    flushed: Instant,
    /// There is more to delete than the last flush did.
    untidy: bool,
}

/// What waits for the next flush.
struct Pending {
    entry: Box<Entry>,
    /// What its content was counted with.
    weight: usize,
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
                    self.close();
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
                Ok(Message::Entry(entry, weight)) => {
                    let entry = self.prepared(entry);
                    self.pending.push(Pending { entry, weight });
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
            }
        }
    }

    fn write(&mut self, reason: Reason) -> Result<(), StoreError> {
        if self
            .store
            .as_ref()
            .is_some_and(|store| !store.is_in_place())
        {
            let place = &self.settings.place;
            tracing::warn!("the prompt log is no longer at {place}: it is begun anew there");
            self.close();
        }
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
            let mut records = records.map(|pending| &pending.entry.record);
            let written = if last {
                store.write(&mut records)
            } else {
                store.write_ahead(&mut records)
            };
            let ids = match written {
                Err(StoreError::Unfit { place, reason }) => {
                    tracing::warn!("the prompt log cannot keep a request whole: {reason}");
                    make_do(&mut self.pending, place, &self.board);
                    continue;
                }
                written => written?,
            };
            for (id, pending) in ids.into_iter().zip(self.pending.drain(..batch)) {
                let Pending { entry, weight } = pending;
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
        let patience = (self.settings.flush / 2).min(LONGEST_TIDYING);
        self.untidy = store.tidy(Utc::now().timestamp_millis(), patience)?;
        self.board.size.store(store.size()?, Ordering::Relaxed);
        Ok(())
    }

    fn close(&mut self) {
        if let Some(store) = self.store.take()
            && let Err(error) = store.close()
        {
            tracing::warn!("the prompt log was not closed well: {}", error.words());
        }
    }
}

/// A record that cannot be written must not keep the others from it: it loses its content, and then goes itself.
fn make_do(pending: &mut Vec<Pending>, place: usize, board: &Board) {
    let Some(record) = pending.get_mut(place) else {
        return;
    };
    board
        .held
        .fetch_sub(mem::take(&mut record.weight), Ordering::Relaxed);
    if record.entry.record.content.is_some() {
        record.entry.strip(Kept::Dropped);
        board.content_dropped.fetch_add(1, Ordering::Relaxed);
    } else {
        pending.remove(place);
        board.waiting.fetch_sub(1, Ordering::Relaxed);
        board.lost.fetch_add(1, Ordering::Relaxed);
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

#[cfg(test)]
mod tests;
