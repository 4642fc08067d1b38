//! The last lines that a worker's runtime wrote, and what they mean.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Lines kept for explaining a failure.
const LINES: usize = 50;
/// Longest kept part of a line, in bytes.
const LINE: usize = 1024;

/// The last lines of one worker.
#[derive(Debug)]
pub(super) struct LogTail {
    model: String,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    /// Lines ever kept.
    count: u64,
}

impl LogTail {
    pub(super) fn new(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            lines: Mutex::default(),
        }
    }

    /// Reads one of the worker's streams to its end.
    pub(super) async fn follow(&self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = [0; 4096];
        let mut line = Vec::new();
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            for &byte in chunk.get(..count).unwrap_or_default() {
                if byte == b'\n' {
                    self.push(&line);
                    line.clear();
                } else if line.len() < LINE {
                    line.push(byte);
                }
            }
        }
        if !line.is_empty() {
            self.push(&line);
        }
    }

    fn push(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        if line.is_empty() {
            return;
        }
        if is_error(&line) || line.starts_with("W ") {
            tracing::warn!(model = self.model, "{line}");
        } else {
            tracing::debug!(model = self.model, "{line}");
        }
        let mut lines = self.lock();
        // The runtime may write to both streams; one copy is enough.
        if lines.kept.iter().rev().take(4).any(|other| *other == line) {
            return;
        }
        if lines.kept.len() == LINES {
            lines.kept.pop_front();
        }
        lines.kept.push_back(line);
        lines.count += 1;
    }

    /// A mark behind the lines that are there now.
    pub(super) fn mark(&self) -> u64 {
        self.lock().count
    }

    /// The last error line behind the mark, in the runtime's own words.
    pub(super) fn last_error_since(&self, mark: u64) -> Option<String> {
        let lines = self.lock();
        let new = usize::try_from(lines.count.saturating_sub(mark)).unwrap_or(usize::MAX);
        lines
            .kept
            .iter()
            .rev()
            .take(new)
            .find(|line| is_error(line))
            .cloned()
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lock().kept.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_error(line: &str) -> bool {
    line.starts_with("E ") || line.starts_with("terminate called") || line.contains("GGML_ASSERT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_tail_is_bounded_in_lines_and_length() {
        let tail = LogTail::new("m");
        let text: String = (0..200)
            .map(|n| format!("I rkllm: {n} {}\n", "x".repeat(5000)))
            .collect();
        tail.follow(text.as_bytes()).await;
        let lines = tail.lines();
        assert_eq!(lines.len(), LINES);
        assert!(lines.iter().all(|line| line.len() <= LINE));
        assert!(
            lines
                .last()
                .is_some_and(|line| line.starts_with("I rkllm: 199 "))
        );
    }

    #[tokio::test]
    async fn the_last_error_is_found_and_written_once() {
        let tail = LogTail::new("m");
        tail.follow(
            &b"E rkllm: first\nI rkllm: x\nE rkllm: \xff second\nE rkllm: \xff second\nend"[..],
        )
        .await;
        assert_eq!(
            tail.last_error_since(0).as_deref(),
            Some("E rkllm: \u{fffd} second")
        );
        assert_eq!(tail.last_error_since(tail.mark()), None);
        assert_eq!(tail.lines().len(), 4);
    }
}
