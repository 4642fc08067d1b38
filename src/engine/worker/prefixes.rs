//! Long beginnings of prompts that several conversations share (the system message and the tools), kept in files: where
//! another prompt has driven one out of the KV cache, loading it may be cheaper than reading it again.
//!
//! A run that ends by itself saves what it leaves in the cache if its prompt begins with a head that was read before and
//! that no file holds. A file is loaded where that takes less time than reading what it saves; both speeds are measured.

mod head;
mod store;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rkllm::Model;

use super::{note, reusable};
use crate::engine::protocol::PromptCache;
pub(super) use head::Heads;
use store::{Saved, Seen, Store};

/// Tokens of the shortest head that is kept; reading so many takes about half a second.
const LEAST: usize = 256;
/// Tokens of an answer that room is made for. A longer one costs another file its place afterwards.
const ANSWER: usize = 512;
/// Files in a row that may be written for nothing.
const WASTED: u32 = 3;
/// Share of the newest measurement in the mean speed of the disk.
const NEWEST: f64 = 0.5;

/// The files of one model, and what is known of their use.
#[derive(Debug)]
pub(super) struct Prefixes {
    store: Store,
    saved: Vec<Saved>,
    /// Bytes of keys and values.
    bytes_per_token: u64,
    /// Tokens per second of reading.
    prefill: f64,
    /// Bytes per second of loading; `None` before the first time, which is tried to learn it.
    disk: Option<f64>,
    /// Whether the runtime did not save when it was asked to.
    refused: bool,
    /// Files in a row that were written and could not be kept, as the run was aborted.
    wasted: u32,
}

/// What came of looking for a file.
#[derive(Debug)]
pub(super) enum Fetched {
    /// There is none that is worth its time.
    Nothing,
    /// The KV cache holds these ids now.
    Loaded { ids: Vec<u32>, took: Duration },
    /// A file could not be loaded and is gone; what the KV cache holds is not known.
    Failed,
}

/// A file that a run is to save.
#[derive(Debug)]
pub(super) struct Saving {
    name: String,
    path: PathBuf,
    size: u64,
}

impl Saving {
    /// Where the runtime is to write it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes to expect.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Prefixes {
    /// The files of a model, told from all others by `identity`; nothing if their directory cannot be used.
    pub(super) fn open(settings: &PromptCache, identity: &str) -> Option<Self> {
        let store = Store::open(&settings.dir, identity, settings.max_size);
        let opened = store.and_then(|store| Ok((store.saved()?, store)));
        match opened {
            Ok((saved, store)) => Some(Self {
                store,
                saved,
                bytes_per_token: settings.bytes_per_token,
                prefill: settings.prefill,
                disk: None,
                refused: false,
                wasted: 0,
            }),
            Err(error) => {
                note(&format!(
                    "W rkgate: the prompt cache {} cannot be used: {error}",
                    settings.dir.display()
                ));
                None
            }
        }
    }

    /// So many tokens of prompts were read in this time.
    pub(super) fn learn(&mut self, tokens: u32, time: Duration) {
        if tokens as usize >= LEAST && !time.is_zero() {
            self.prefill = f64::from(tokens) / time.as_secs_f64();
        }
    }

    /// Loads the file that saves most of reading this prompt, of which the KV cache holds `held` tokens, if it is worth
    /// its time.
    pub(super) fn fetch(&mut self, model: &mut Model, prompt: &[u32], held: u32) -> Fetched {
        let best = self.saved.iter().enumerate();
        let best = best.max_by_key(|(_, saved)| reusable(&saved.ids, prompt));
        let Some((index, saved)) = best else {
            return Fetched::Nothing;
        };
        let gain = reusable(&saved.ids, prompt).saturating_sub(held);
        if !self.is_worth(gain, saved.bytes) {
            return Fetched::Nothing;
        }
        // A file that kills the process when it is loaded stays taken, and is removed by the next one.
        if self.store.take(saved).is_err() {
            // Another model's worker has made room.
            self.saved.swap_remove(index);
            return Fetched::Nothing;
        }
        let began = Instant::now();
        let loaded = model.load_prompt_cache(&self.store.path(saved));
        let took = began.elapsed();
        match loaded.map(|()| self.store.give_back(saved)) {
            Ok(Ok(())) => {
                let ids = saved.ids.clone();
                let speed = saved.bytes as f64 / took.as_secs_f64().max(1e-6);
                let mean = |disk: f64| disk * (1.0 - NEWEST) + speed * NEWEST;
                self.disk = Some(self.disk.map_or(speed, mean));
                Fetched::Loaded { ids, took }
            }
            Ok(Err(error)) => self.give_up(index, &error),
            Err(error) => self.give_up(index, &error),
        }
    }

    /// The runtime has not used what was loaded.
    pub(super) fn give_up_all(&mut self) {
        note("W rkgate: the runtime makes no use of a prompt cache; none is loaded or saved again");
        self.saved.clear();
        self.refused = true;
    }

    fn give_up(&mut self, index: usize, error: &dyn std::error::Error) -> Fetched {
        let saved = self.saved.swap_remove(index);
        note(&format!(
            "W rkgate: a prompt cache could not be loaded and is removed: {error}"
        ));
        self.store.remove(&saved);
        Fetched::Failed
    }

    /// Whether loading so many bytes takes less time than reading so many tokens.
    fn is_worth(&self, tokens: u32, bytes: u64) -> bool {
        let read = f64::from(tokens) / self.prefill.max(1.0);
        let load = self.disk.map_or(0.0, |disk| bytes as f64 / disk);
        tokens as usize >= LEAST && load < read
    }

    /// Whether the run of this prompt is to save what it leaves in the KV cache: `head` tokens are a head that is likely
    /// to come again, and `held` are in the cache.
    pub(super) fn saving(&mut self, prompt: &[u32], head: usize, held: u32) -> Option<Saving> {
        let (ids, own) = prompt.split_at_checked(head)?;
        // What is mostly one conversation's own is not worth its bytes.
        if self.refused || head < LEAST || own.len() > head {
            return None;
        }
        let covered = |saved: &Saved| saved.ids.starts_with(ids);
        if self.saved.iter().any(covered) {
            return None;
        }
        let name = store::name(ids);
        let again = match self.store.see(&name, own) {
            Ok(Seen::Never) | Err(_) => false,
            Ok(Seen::InThis) => (held as usize) < head,
            Ok(Seen::InAnother) => true,
        };
        let size = (prompt.len() + ANSWER) as u64 * self.bytes_per_token;
        if !again || !self.store.make_room(size) {
            return None;
        }
        let path = self.store.partial(&name);
        Some(Saving { name, path, size })
    }

    /// The run has ended; `kv` is what it has left in the cache, `None` if that is not to be kept. Whether there is one
    /// file more.
    pub(super) fn finish(&mut self, saving: Saving, kv: Option<&[u32]>) -> bool {
        let Some(ids) = kv.filter(|ids| !ids.is_empty()) else {
            self.store.discard(&saving.path);
            self.wasted += 1;
            // A runtime without limits for a run is aborted at them, and who always sets one would write for nothing.
            self.refused |= self.wasted >= WASTED;
            return false;
        };
        self.wasted = 0;
        // The runtime tells of a failure by a line of its log and no more.
        let least = ids.len() as u64 * self.bytes_per_token / 2;
        match self.store.keep(&saving.name, ids, least) {
            Ok(saved) => {
                self.saved.push(saved);
                true
            }
            Err(error) => {
                note(&format!(
                    "W rkgate: the runtime has saved no prompt cache, and is not asked again: {error}"
                ));
                self.store.discard(&saving.path);
                self.refused = true;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;

    const HEAD: usize = 2 * LEAST;

    /// A head that all share, and a question.
    fn prompt(question: u32) -> Vec<u32> {
        let head = (0..).take(HEAD);
        head.chain([question, 7, 7]).collect()
    }

    fn prefixes(dir: &Path) -> Prefixes {
        let settings = PromptCache {
            dir: dir.to_owned(),
            max_size: 1 << 20,
            bytes_per_token: 100,
            prefill: 400.0,
        };
        Prefixes::open(&settings, "m").unwrap()
    }

    fn save(prefixes: &mut Prefixes, saving: Saving, bytes: usize) -> bool {
        fs::write(saving.path(), vec![0; bytes]).unwrap();
        prefixes.finish(saving, Some(&prompt(1)))
    }

    #[test]
    fn a_head_is_saved_for_another_conversation_or_when_it_was_driven_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut prefixes = prefixes(dir.path());
        let held = HEAD as u32;
        assert!(
            prefixes.saving(&prompt(1), HEAD, 0).is_none(),
            "it may never come again"
        );
        assert!(
            prefixes.saving(&prompt(1), HEAD, held).is_none(),
            "the next turn"
        );
        assert!(prefixes.saving(&prompt(1), HEAD, 0).is_some());
        let saving = prefixes.saving(&prompt(2), HEAD, held).unwrap();
        assert!(save(&mut prefixes, saving, 60_000));
        assert!(
            prefixes.saving(&prompt(3), HEAD, 0).is_none(),
            "there is a file"
        );
    }

    #[test]
    fn what_is_short_or_mostly_one_conversations_own_is_not_saved() {
        let dir = tempfile::tempdir().unwrap();
        let mut prefixes = prefixes(dir.path());
        let long: Vec<u32> = prompt(1).into_iter().chain(0..600).collect();
        for _ in 0..2 {
            assert!(prefixes.saving(&prompt(1), LEAST - 1, 0).is_none());
            assert!(prefixes.saving(&long, HEAD, 0).is_none());
            assert!(
                prefixes
                    .saving(&prompt(1), prompt(1).len() + 1, 0)
                    .is_none()
            );
        }
    }

    #[test]
    fn a_runtime_that_has_not_saved_is_not_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut prefixes = prefixes(dir.path());
        prefixes.saving(&prompt(1), HEAD, 0);
        let saving = prefixes.saving(&prompt(2), HEAD, 0).unwrap();
        assert!(!prefixes.finish(saving, None), "an abort is not its fault");
        let saving = prefixes.saving(&prompt(2), HEAD, 0).unwrap();
        assert!(!save(&mut prefixes, saving, 20_000), "it is cut short");
        assert!(prefixes.saving(&prompt(2), HEAD, 0).is_none());
    }

    #[test]
    fn where_runs_are_always_aborted_writing_comes_to_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut prefixes = prefixes(dir.path());
        prefixes.saving(&prompt(1), HEAD, 0);
        let mut wasted = 0;
        while let Some(saving) = prefixes.saving(&prompt(2), HEAD, 0) {
            assert!(!prefixes.finish(saving, None));
            wasted += 1;
        }
        assert_eq!(wasted, WASTED);
    }

    #[test]
    fn loading_is_worth_it_where_it_takes_less_time_than_reading() {
        let dir = tempfile::tempdir().unwrap();
        let mut prefixes = prefixes(dir.path());
        assert!(
            prefixes.is_worth(1000, 100_000_000),
            "to learn the speed of the disk"
        );
        assert!(!prefixes.is_worth(LEAST as u32 - 1, 1));
        // Reading 1000 tokens takes 2.5 s.
        prefixes.disk = Some(50e6);
        assert!(prefixes.is_worth(1000, 115_000_000));
        prefixes.disk = Some(40e6);
        assert!(!prefixes.is_worth(1000, 115_000_000));
        prefixes.learn(1000, Duration::from_secs(10));
        assert!(prefixes.is_worth(1000, 115_000_000));
    }
}
