//! One answer while it is generated: what of it is text, and when it is over.

use std::collections::{BTreeSet, HashSet};

use super::super::protocol::End;

/// What a piece of the runtime means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer goes on.
    Continue,
    /// The answer is over and the runtime must be told so.
    Stop,
}

impl Verdict {
    fn unless(stops_itself: bool) -> Self {
        if stops_itself {
            Self::Continue
        } else {
            Self::Stop
        }
    }
}

/// What the runtime stops at by itself. It need not be told then, which keeps its KV cache in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    pub(super) end_token: bool,
    pub(super) limit: bool,
}

/// One answer while it is generated.
#[derive(Debug)]
pub(super) struct Generation<'a> {
    ends: &'a BTreeSet<u32>,
    /// Tokens that never show.
    special: &'a HashSet<u32>,
    pub(super) limit: u32,
    pub(super) habits: Habits,
    /// Ids of the answer.
    pub(super) ids: Vec<u32>,
    /// Ids since the last text that was handed out.
    pending: u32,
    /// Bytes of a character that is not complete yet.
    partial: Vec<u8>,
    /// Why the answer is over, once it is.
    pub(super) end: Option<End>,
}

impl<'a> Generation<'a> {
    pub(super) fn new(
        ends: &'a BTreeSet<u32>,
        special: &'a HashSet<u32>,
        limit: u32,
        habits: Habits,
    ) -> Self {
        Self {
            ends,
            special,
            limit,
            habits,
            ids: Vec::new(),
            pending: 0,
            partial: Vec::new(),
            end: None,
        }
    }

    /// Takes one token; text that is complete goes to `emit` with the number of its tokens.
    pub(super) fn take(
        &mut self,
        id: Option<i32>,
        bytes: Option<&[u8]>,
        emit: &mut dyn FnMut(String, u32),
    ) -> Verdict {
        if self.end.is_some() {
            // The runtime has missed the end (1.3.0 loses the end token of some models).
            return Verdict::Stop;
        }
        let id = id.and_then(|id| u32::try_from(id).ok());
        self.ids.extend(id);
        self.pending += u32::from(id.is_some());
        if id.is_some_and(|id| self.ends.contains(&id)) {
            self.end = Some(End::Stop);
            self.finish(emit);
            return Verdict::unless(self.habits.end_token);
        }
        if let Some(bytes) = bytes.filter(|_| !id.is_some_and(|id| self.special.contains(&id))) {
            self.partial.extend_from_slice(bytes);
            self.emit_complete(emit);
        }
        if self.completion() >= self.limit {
            self.end = Some(End::Length);
            self.finish(emit);
            return Verdict::unless(self.habits.limit);
        }
        Verdict::Continue
    }

    /// Hands out what is left: an incomplete character as a replacement character.
    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(String, u32)) {
        if !self.partial.is_empty() {
            let text = String::from_utf8_lossy(&self.partial).into_owned();
            self.partial.clear();
            emit(text, std::mem::take(&mut self.pending));
        }
    }

    /// Forgets what has not left as text, and gives the ids of what has.
    pub(super) fn take_back(&mut self) -> Vec<u32> {
        let left = self.ids.len().saturating_sub(self.pending as usize);
        self.ids.truncate(left);
        self.partial.clear();
        self.pending = 0;
        self.ids.clone()
    }

    /// Tokens generated, the end token included.
    pub(super) fn completion(&self) -> u32 {
        u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    fn emit_complete(&mut self, emit: &mut dyn FnMut(String, u32)) {
        let complete = match std::str::from_utf8(&self.partial) {
            Ok(text) => text.len(),
            // Bytes that can never become a character are handed out at once, as replacements.
            Err(error) if error.error_len().is_some() => self.partial.len(),
            Err(error) => error.valid_up_to(),
        };
        if complete > 0 {
            let rest = self.partial.split_off(complete);
            let text = String::from_utf8_lossy(&self.partial).into_owned();
            self.partial = rest;
            emit(text, std::mem::take(&mut self.pending));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const END: i32 = 7;
    const SPECIAL: i32 = 8;

    fn play(
        limit: u32,
        stops_itself: bool,
        pieces: &[(i32, &[u8])],
    ) -> (String, u32, Option<End>, Vec<Verdict>) {
        let (ends, special) = (BTreeSet::from([7]), HashSet::from([8]));
        let habits = Habits {
            end_token: stops_itself,
            limit: false,
        };
        let mut generation = Generation::new(&ends, &special, limit, habits);
        let mut text = String::new();
        let mut tokens = 0;
        let mut emit = |piece: String, count: u32| {
            text.push_str(&piece);
            tokens += count;
        };
        let verdicts = pieces
            .iter()
            .map(|(id, bytes)| generation.take(Some(*id), Some(bytes), &mut emit))
            .collect();
        generation.finish(&mut emit);
        (text, generation.completion(), generation.end, verdicts)
    }

    #[test]
    fn the_end_token_is_counted_and_never_shown() {
        let (text, completion, end, verdicts) = play(
            10,
            true,
            &[(1, b"Hei"), (SPECIAL, b"<s>"), (END, b"<end>"), (1, b"no")],
        );
        assert_eq!(
            (text.as_str(), completion, end),
            ("Hei", 3, Some(End::Stop))
        );
        assert_eq!(
            verdicts,
            [
                Verdict::Continue,
                Verdict::Continue,
                Verdict::Continue,
                Verdict::Stop
            ]
        );
        let (.., verdicts) = play(10, false, &[(END, b"<end>")]);
        assert_eq!(verdicts, [Verdict::Stop]);
    }

    #[test]
    fn the_limit_ends_the_answer() {
        let (text, completion, end, verdicts) = play(2, true, &[(1, b"a"), (1, b"b"), (1, b"c")]);
        assert_eq!(
            (text.as_str(), completion, end),
            ("ab", 2, Some(End::Length))
        );
        assert_eq!(verdicts, [Verdict::Continue, Verdict::Stop, Verdict::Stop]);
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_text(text in "\\PC{0,20}", cuts in proptest::collection::vec(0_usize..80, 0..12)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<(i32, &[u8])> = cuts.windows(2).map(|cut| (1, &bytes[cut[0]..cut[1]])).collect();
            let (played, ..) = play(100, true, &pieces);
            prop_assert_eq!(played, text);
        }
    }
}
