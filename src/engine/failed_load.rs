//! What is remembered of a load that failed, so that a broken file does not drive the models that work out of memory at
//! each job.

use std::{
    io,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// How long others are not unloaded for a model that could not be loaded, unless its file changes; doubled by each
/// further failure.
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// A model file as far as a change of it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    size: u64,
    written: Option<SystemTime>,
}

impl FileState {
    /// Opens a model file, and looks at its size and time.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub(super) async fn of(path: &Path) -> io::Result<Self> {
        let metadata = tokio::fs::File::open(path).await?.metadata().await?;
        Ok(Self {
            size: metadata.len(),
            written: metadata.modified().ok(),
        })
    }
}

/// The last attempt to load a model, which has failed.
#[derive(Debug, Clone)]
pub(super) struct FailedLoad {
    pub(super) reason: String,
    /// The file as it was then; `None` where it could not be read.
    file: Option<FileState>,
    at: Instant,
    pause: Duration,
}

impl FailedLoad {
    /// An attempt has failed now; `before` is the one before it, if that failed too.
    pub(super) fn new(reason: &str, file: Option<FileState>, before: Option<&Self>) -> Self {
        let again = before.filter(|before| before.file == file);
        Self {
            reason: reason.to_owned(),
            file,
            at: Instant::now(),
            pause: again.map_or(PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE)),
        }
    }

    /// For how long from `now` on no other model is unloaded for another attempt, with the file as it is now.
    pub(super) fn pause(&self, file: FileState, now: Instant) -> Option<Duration> {
        let rest = (self.at + self.pause).saturating_duration_since(now);
        (self.file == Some(file) && !rest.is_zero()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_tried_at_once_and_the_same_after_longer_and_longer_pauses() {
        let file = |size| FileState {
            size,
            written: None,
        };
        let first = FailedLoad::new("damaged", Some(file(1)), None);
        let later = |failed: &FailedLoad, time| failed.pause(file(1), failed.at + time);
        assert_eq!(later(&first, PAUSE / 4), Some(PAUSE * 3 / 4));
        assert_eq!(later(&first, PAUSE), None);
        assert_eq!(first.pause(file(2), first.at), None);
        let second = FailedLoad::new("damaged", Some(file(1)), Some(&first));
        assert_eq!(later(&second, PAUSE), Some(PAUSE));
        let mut last = second;
        for _ in 0..20 {
            last = FailedLoad::new("damaged", Some(file(1)), Some(&last));
        }
        assert_eq!(later(&last, Duration::ZERO), Some(LONGEST_PAUSE));
        let changed = FailedLoad::new("damaged", Some(file(2)), Some(&last));
        assert_eq!(changed.pause(file(2), changed.at), Some(PAUSE));
        let gone = FailedLoad::new("not there", None, None);
        assert_eq!(gone.pause(file(1), gone.at), None, "it is back");
    }
}
