//! Noticing an answer that goes round in circles.
//!
//! Small models fall into loops, most of all when they are sampled greedily, and stay there until the context is
//! full. The guard compares every character with the one a period before it; which period to try is told by the
//! last place where the same few characters stood.

use serde::Serialize;

use super::rules::Repetition;

/// Longest passage whose loop is noticed, in characters.
const LONGEST: usize = 2_048;
/// So many characters in a row are looked up to find out where they stood before.
const WINDOW: usize = 16;
/// Places that are remembered. Twice as many as characters are looked back, so that few displace another.
const PLACES: usize = 2 * LONGEST;
/// How much longer than a passage of words a run has to be that repeats something else: rows of dashes, zeros and
/// empty cells have their place in tables and code, and so have words that are shorter than a passage.
const PATIENCE: u64 = 8;
/// A passage of words has at least one letter in so many characters.
const LETTERS: u64 = 3;
/// Factor of the rolling hash: odd, and large enough to mix characters that differ in few bits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A passage that was said over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Loop {
    /// Characters before the first time, or a few more.
    pub begin: u64,
    /// Length of the passage in characters.
    pub period: u64,
    /// Characters up to where the answer ended.
    pub end: u64,
}

/// Watches one text for a loop. It costs the same few steps for every character.
#[derive(Debug)]
pub struct RepetitionGuard {
    rule: Repetition,
    /// The last characters, each at its position modulo the length.
    recent: Vec<char>,
    /// Where a window ended whose hash falls on this place.
    places: Vec<Place>,
    /// Hash of the last window.
    hash: u64,
    /// Factor of the character that leaves the window.
    outgoing: u64,
    /// Characters so far, and letters among them.
    seen: u64,
    letters: u64,
    suspicion: Option<Suspicion>,
    found: Option<Loop>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    hash: u64,
    /// Characters up to the window's end; 0 where nothing is remembered.
    end: u64,
}

/// A period that holds so far.
#[derive(Debug, Clone, Copy)]
struct Suspicion {
    period: u64,
    /// Characters that equal the one a period before them.
    run: u64,
    /// Characters and letters before the suspicion arose.
    since: (u64, u64),
}

impl RepetitionGuard {
    /// A guard for one text.
    #[must_use]
    pub fn new(rule: Repetition) -> Self {
        Self {
            rule,
            recent: vec!['\0'; LONGEST],
            places: vec![Place::default(); PLACES],
            hash: 0,
            outgoing: (0..WINDOW).fold(1, |factor: u64, _| factor.wrapping_mul(FACTOR)),
            seen: 0,
            letters: 0,
            suspicion: None,
            found: None,
        }
    }

    /// Takes the next text and returns how much of it, in bytes, still belongs to the answer: all, or what comes up
    /// to the character with which the loop became certain. After that: nothing.
    #[must_use]
    pub fn push(&mut self, text: &str) -> usize {
        for (at, next) in text.char_indices() {
            if self.found.is_some() {
                return at;
            }
            self.take(next);
        }
        text.len()
    }

    /// The loop that ended the text.
    #[must_use]
    pub fn found(&self) -> Option<Loop> {
        self.found
    }

    fn take(&mut self, next: char) {
        let leaving = (self.seen >= WINDOW as u64).then(|| self.back(WINDOW as u64));
        self.suspicion = self
            .suspicion
            .filter(|suspicion| self.back(suspicion.period) == next);
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.run += 1;
        }
        let slot = index(self.seen, self.recent.len());
        if let Some(slot) = self.recent.get_mut(slot) {
            *slot = next;
        }
        self.seen += 1;
        self.letters += u64::from(next.is_alphabetic());
        self.hash = self.hash.wrapping_mul(FACTOR).wrapping_add(next.into());
        if let Some(leaving) = leaving {
            let leaving = u64::from(leaving).wrapping_mul(self.outgoing);
            self.hash = self.hash.wrapping_sub(leaving);
        }
        if self.seen >= WINDOW as u64 {
            self.remember();
        }
        self.found = self.suspicion.and_then(|suspicion| self.judge(suspicion));
    }

    /// The character that stood `distance` before the next one.
    fn back(&self, distance: u64) -> char {
        let slot = index(self.seen - distance, self.recent.len());
        self.recent.get(slot).copied().unwrap_or_default()
    }

    /// Notes the last window, and suspects the distance to its like if nothing is suspected yet.
    fn remember(&mut self) {
        // The upper bits are the better mixed ones.
        let slot = index(self.hash >> 32, self.places.len());
        let Some(place) = self.places.get_mut(slot) else {
            return;
        };
        let before = std::mem::replace(
            place,
            Place {
                hash: self.hash,
                end: self.seen,
            },
        );
        let period = self.seen - before.end;
        let alike = before.end > 0 && before.hash == self.hash && period < LONGEST as u64;
        if alike && self.suspicion.is_none() {
            self.suspicion = Some(Suspicion {
                period,
                run: WINDOW as u64,
                since: (self.seen, self.letters),
            });
        }
    }

    fn judge(&self, suspicion: Suspicion) -> Option<Loop> {
        let Suspicion { period, run, since } = suspicion;
        let shortest = self.rule.min_chars.max(1) as u64;
        let passage = period.saturating_mul(shortest.div_ceil(period));
        let times = self.rule.times.max(2) as u64;
        let letters = (self.letters - since.1) * LETTERS;
        let of_words = period >= shortest && letters >= self.seen - since.0;
        let patience = if of_words { 1 } else { PATIENCE };
        let needed = passage.saturating_mul(times - 1).saturating_mul(patience);
        (run >= needed).then_some(Loop {
            begin: self.seen - run - period,
            period,
            end: self.seen,
        })
    }
}

/// The position's place in a ring of this length.
fn index(position: u64, length: usize) -> usize {
    // The remainder is smaller than a length that is a usize.
    (position % length as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Repetition = Repetition {
        min_chars: 60,
        times: 4,
    };
    const PARAGRAPH: &str =
        "The river rises in the mountains and flows through the whole valley. It is cold.\n\n";

    fn found_in(text: &str) -> Option<Loop> {
        let mut guard = RepetitionGuard::new(RULE);
        let kept = guard.push(text);
        assert!(kept == text.len() || guard.found().is_some());
        guard.found()
    }

    #[test]
    fn loops_end() {
        let sentences = [
            PARAGRAPH.to_owned(),
            "Это предложение повторяется снова и снова, и никто не знает почему.\n".to_owned(),
            "这是一个不断重复的段落，模型在这里陷入了循环，再也出不来了，于是它一遍又一遍地说着同样的话，直到上下文用完为止。这真是令人遗憾。".to_owned(),
            // A passage that repeats parts of itself.
            format!("{0}Yes. {0}No, that is not so. ", "The answer is the one that I gave. "),
            "- Wash the apple under cold water.\n- Wash the pear under cold water.\n".to_owned(),
            "word ".repeat(3) + &"and more of the same kind of words, ".repeat(2) + "so it went on and on.\n",
        ];
        for sentence in sentences {
            let before = "Once upon a time there was something else to say, quite different.\n\n";
            let text = before.to_owned() + &sentence.repeat(40);
            let found = found_in(&text).unwrap_or_else(|| panic!("{sentence}"));
            let length = sentence.chars().count() as u64;
            assert_eq!(found.period, length, "{sentence}");
            // The full stop and the lines before it are like those at its end.
            assert!(
                found.begin + 3 >= before.chars().count() as u64,
                "{sentence}"
            );
            // As soon as it has been said often enough, or little later.
            assert!(
                found.end <= before.chars().count() as u64 + 6 * length,
                "{sentence}: {found:?}"
            );
        }
    }

    #[test]
    fn words_that_never_end_are_a_loop_in_the_end() {
        for unit in ["the ", "哈", "I think that I think that ", "na na "] {
            assert!(found_in(&unit.repeat(2_500)).is_some(), "{unit}");
            assert!(found_in(&unit.repeat(10)).is_none(), "{unit}");
        }
    }

    #[test]
    fn what_people_ask_for_is_no_loop() {
        let counting = |item: fn(usize) -> String| (1..=400).map(item).collect::<String>();
        let verse = |n: usize| {
            format!(
                "Verse {n} tells of the sea and of ship {n}.\n\nRow, row, row your boat, gently down the stream,\nmerrily, merrily, life is but a dream.\n\n"
            )
        };
        let texts = [
            counting(|n| format!("{n}\n")),
            counting(|n| format!("{n}, ")),
            counting(|n| format!("{n}. Item number {n} of the list that you wanted to have\n")),
            counting(|n| format!("| {n} | the square of the number is | {} | and no more |\n", n * n)),
            counting(|n| format!("    assert_eq!(function_under_test({n}), expected_value({n}));\n")),
            counting(|n| format!("{{\"id\": {n}, \"name\": \"user\", \"active\": true, \"tags\": []}},\n")),
            counting(|n| format!("- The capital of the country with number {n} is not known to me.\n")),
            (1..=12).map(verse).collect(),
            // The refrain three times at the end.
            verse(1) + &"Row, row, row your boat, gently down the stream, merrily, merrily, life is but a dream.\n".repeat(3),
            format!("|{}\n", "---------------------|".repeat(12)),
            format!("{}\n", "=".repeat(200)),
            format!("[{}0]", "0, ".repeat(300)),
            "    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,\n".repeat(8),
            "|       |       |       |       |       |       |       |       |       |\n".repeat(10),
            "        }\n    }\n}\n".repeat(6),
            "<tr><td></td><td></td></tr>\n".repeat(20),
            PARAGRAPH.repeat(3),
        ];
        for text in texts {
            assert_eq!(found_in(&text), None, "{text}");
        }
    }

    #[test]
    fn after_the_end_nothing_is_kept() {
        let mut guard = RepetitionGuard::new(RULE);
        let kept = guard.push(&PARAGRAPH.repeat(9));
        let end = guard.found().unwrap().end;
        assert_eq!(kept as u64, end);
        assert_eq!(guard.push("more"), 0);
        assert_eq!(guard.found().unwrap().end, end);
    }

    #[test]
    fn any_rule_can_be_lived_with() {
        for (min_chars, times) in [(0, 0), (1, 1), (usize::MAX, usize::MAX), (2, usize::MAX)] {
            let mut guard = RepetitionGuard::new(Repetition { min_chars, times });
            let _ = guard.push(&PARAGRAPH.repeat(10));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_verdict(
            before in "[a-z .\n]{0,80}",
            passage in "[a-cé ]{1,90}",
            count in 1_usize..60,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let text = before + &passage.repeat(count);
            let mut whole = RepetitionGuard::new(RULE);
            let kept = whole.push(&text);
            let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            places.push(text.len());
            let mut chosen: Vec<usize> = cuts.iter().map(|cut| *cut.get(&places)).collect();
            chosen.extend([0, text.len()]);
            chosen.sort_unstable();
            let mut split = RepetitionGuard::new(RULE);
            let kept_of_pieces: usize =
                chosen.windows(2).map(|pair| split.push(&text[pair[0]..pair[1]])).sum();
            prop_assert_eq!(split.found(), whole.found());
            prop_assert_eq!(kept_of_pieces, kept);
        }

        #[test]
        fn what_is_found_is_a_loop(before in "[a-z .\n]{0,40}", passage in "[a-c ]{20,90}", count in 1_usize..60) {
            let text: Vec<char> = (before + &passage.repeat(count)).chars().collect();
            if let Some(Loop { begin, period, end }) = found_in(&text.iter().collect::<String>()) {
                let (begin, period, end) = (begin as usize, period as usize, end as usize);
                prop_assert!(end - begin >= RULE.min_chars * RULE.times);
                prop_assert_eq!(&text[begin + period..end], &text[begin..end - period]);
            }
        }

        #[test]
        fn long_loops_are_always_found(before in "[a-z .\n]{0,40}", passage in "[a-z]{60,90}") {
            let text = before + &passage.repeat(12);
            prop_assert!(found_in(&text).is_some());
        }
    }
}
