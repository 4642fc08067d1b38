//! Log lines, as the real library prints them.

use std::{
    fmt::{Arguments, Display},
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

/// Where log lines go. On a board it is not established which stream the library uses, so the default is both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Streams {
    #[default]
    Both,
    Stderr,
    Stdout,
    None,
}

/// Prints log lines down to a level.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Console {
    pub(crate) streams: Streams,
    /// `RKLLM_LOG_LEVEL`: 0 banner, warnings and errors; 1 a table after each run; 2 parameters, prompts and cache.
    pub(crate) level: u8,
}

impl Console {
    /// Always printed.
    pub(crate) fn info(&self, text: impl Display) {
        self.line(format_args!("I rkllm: {text}"));
    }

    /// Printed at `level` and above.
    pub(crate) fn detail(&self, level: u8, text: impl Display) {
        if self.level >= level {
            self.info(text);
        }
    }

    pub(crate) fn warn(&self, text: impl Display) {
        self.line(format_args!("W rkllm: {text}"));
    }

    pub(crate) fn error(&self, text: impl Display) {
        self.line(format_args!("E rkllm: {text}"));
    }

    pub(crate) fn debug(&self, text: impl Display) {
        self.line(format_args!("D rkllm: {text}"));
    }

    /// A line of the NPU library below.
    pub(crate) fn driver_error(&self, text: impl Display) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (day, ms) = (now.as_secs() % 86_400, now.subsec_millis());
        let (hours, minutes, seconds) = (day / 3600, day / 60 % 60, day % 60);
        self.line(format_args!(
            "E RKNN: [{hours:02}:{minutes:02}:{seconds:02}.{ms:03}] {text}"
        ));
    }

    /// One whole line in one write, so that lines of several threads do not mix. A closed stream is no failure.
    pub(crate) fn line(&self, text: Arguments<'_>) {
        let line = format!("{text}\n");
        if matches!(self.streams, Streams::Both | Streams::Stderr) {
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
        if matches!(self.streams, Streams::Both | Streams::Stdout) {
            let mut stdout = std::io::stdout().lock();
            let _ = stdout.write_all(line.as_bytes());
            let _ = stdout.flush();
        }
    }
}
