//! rkgate's own log. No request waits for it: lines go to a thread over a bounded queue, and lines that the queue or
//! the disk has no room for are counted and dropped.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{LogFormat, Telemetry};

#[cfg(test)]
mod tests;

/// Lines that may wait for the disk.
const QUEUE: usize = 8192;

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The log file cannot be opened.
    #[error("cannot open the log file {path}")]
    Open {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The writer's thread cannot be started.
    #[error("cannot start the log's thread")]
    Thread(#[source] io::Error),
    /// A subscriber is in place already.
    #[error("cannot set the log up")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
    /// The filter is malformed.
    #[error("telemetry.log_level is malformed")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
}

/// Keeps the log going; dropping it writes what still waits.
#[derive(Debug)]
pub struct Log {
    lines: SyncSender<Message>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    End,
}

/// Sends all events and spans of this process to the log that is configured.
///
/// # Errors
/// [`LoggingError`]: nothing is logged then.
pub fn start(settings: &Telemetry, dropped: Counter) -> Result<Log, LoggingError> {
    let (target, terminal): (Box<dyn Write + Send>, bool) = match &settings.log_file {
        Some(path) => {
            let open = OpenOptions::new().append(true).create(true).open(path);
            let file = open.map_err(|source| LoggingError::Open {
                path: path.display().to_string(),
                source,
            })?;
            (Box::new(file), false)
        }
        None => (Box::new(io::stderr()), io::stderr().is_terminal()),
    };
    let (queue, log) = spawn(target, dropped, QUEUE).map_err(LoggingError::Thread)?;
    let human = match settings.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = move || queue.clone();
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if human {
        fmt::layer().with_ansi(terminal).with_writer(lines).boxed()
    } else {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(lines)
            .boxed()
    };
    let filter = EnvFilter::try_new(&settings.log_level)?;
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()?;
    Ok(log)
}

/// Takes whole lines; never waits and never fails.
#[derive(Debug, Clone)]
struct LineQueue {
    lines: SyncSender<Message>,
    dropped: Counter,
}

impl Write for LineQueue {
    /// `tracing_subscriber` hands every event over in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn spawn(
    target: Box<dyn Write + Send>,
    dropped: Counter,
    queue: usize,
) -> io::Result<(LineQueue, Log)> {
    let (lines, incoming) = sync_channel(queue);
    let writer = LineWriter {
        target,
        dropped: dropped.clone(),
        torn: false,
        said: false,
    };
    let writer = thread::Builder::new()
        .name("log".into())
        .spawn(move || writer.run(&incoming))?;
    Ok((
        LineQueue {
            lines: lines.clone(),
            dropped,
        },
        Log {
            lines,
            writer: Some(writer),
        },
    ))
}

impl Drop for Log {
    fn drop(&mut self) {
        // Subscribers live as long as the process, so that the queue never closes by itself.
        if self.lines.send(Message::End).is_ok()
            && let Some(writer) = self.writer.take()
        {
            // A panic of the writer has been printed already.
            let _ = writer.join();
        }
    }
}

struct LineWriter {
    target: Box<dyn Write + Send>,
    dropped: Counter,
    /// Whether the last line may have been written in part.
    torn: bool,
    /// Whether the trouble has been told.
    said: bool,
}

impl LineWriter {
    fn run(mut self, lines: &Receiver<Message>) {
        while let Ok(Message::Line(line)) = lines.recv() {
            match self.write(&line) {
                Ok(()) => self.torn = false,
                Err(error) => self.lost(&error),
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.target.write_all(b"\n")?;
        }
        self.target.write_all(line)?;
        self.target.flush()
    }

    fn lost(&mut self, error: &io::Error) {
        self.torn = true;
        self.dropped.inc();
        if !std::mem::replace(&mut self.said, true) {
            // Where stderr fails too there is nobody left to tell.
            let _ = writeln!(
                io::stderr(),
                "rkgate: cannot write the log: {error}; lines are dropped and counted in rkgate_log_lines_dropped_total"
            );
        }
    }
}
