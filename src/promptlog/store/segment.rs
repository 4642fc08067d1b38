//! The segment that records are added to.
//!
//! Records share texts and a dictionary within their segment only, so that the oldest one can be dropped as a whole.

use std::io;

use super::{
    Limits,
    compression::{self, Packer},
    detail::Detail,
    search_text,
    texts::{Known, Texts},
};
use crate::promptlog::{Content, Record};

/// A segment is this part of what the log may hold, so that dropping one loses no more.
const PART: u32 = 16;
/// No segment is longer, in milliseconds: what is too old must go soon.
const LONGEST: i64 = 24 * 60 * 60 * 1000;
/// Texts of a segment that are remembered; about 2 MiB.
const MOST_TEXTS: usize = 1 << 15;
/// Records that a dictionary is made of, and what of each.
pub(super) const EXAMPLES: usize = 64;
const EXAMPLE_BYTES: usize = 8 << 10;
/// Room for JSON that is kept from one record to the next, in bytes.
const LARGEST_ROOM: usize = 64 << 10;

/// The segment that records are added to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: i64,
    known: Known,
    packer: Packer,
    /// Room for a record's JSON, which every record would make for itself step by step.
    json: Vec<u8>,
    /// Records that it may still take; `None` for as many as come.
    room: Option<usize>,
    /// Times of its records.
    pub(super) oldest: i64,
    pub(super) newest: i64,
    pub(super) bytes: u64,
}

/// A record as it is kept beside its row.
#[derive(Debug)]
pub(super) struct Packed {
    /// Its [`Detail`].
    pub(super) detail: Vec<u8>,
    /// Images that nobody brought before.
    pub(super) images: Vec<Vec<u8>>,
    /// The words that it is found by.
    pub(super) words: String,
}

impl Packed {
    /// Bytes of it, without the words.
    pub(super) fn len(&self) -> usize {
        self.detail.len() + self.images.iter().map(Vec::len).sum::<usize>()
    }
}

impl Segment {
    /// A segment whose first record came at this time.
    pub(super) fn new(id: i64, dictionary: &Dictionary, time: i64) -> io::Result<Self> {
        Ok(Self {
            id,
            known: Known::default(),
            packer: Packer::new(&dictionary.data)?,
            json: Vec::new(),
            room: dictionary.is_makeshift.then_some(EXAMPLES),
            oldest: time,
            newest: time,
            bytes: 0,
        })
    }

    /// Whether a record of this time belongs into a new segment.
    pub(super) fn is_over(&self, time: i64, limits: Limits) -> bool {
        let part = |whole: u64| whole / u64::from(PART);
        let retention = u64::try_from(limits.retention.as_millis()).unwrap_or(u64::MAX);
        let longest = i64::try_from(part(retention)).map_or(LONGEST, |part| part.min(LONGEST));
        // A clock that was set far ahead or back begins a new one, too.
        self.bytes >= part(limits.max_size)
            || time.abs_diff(self.oldest) > longest.unsigned_abs()
            || self.known.len() >= MOST_TEXTS
            || self.room == Some(0)
    }

    /// Takes a record apart and compresses it.
    pub(super) fn pack(&mut self, id: i64, record: &Record) -> io::Result<Packed> {
        let (detail, images) = Detail::of(id, record, Texts::new(&mut self.known, id));
        self.json.clear();
        serde_json::to_writer(&mut self.json, &detail)?;
        let mut pack = |data: &[u8]| self.packer.pack(data);
        let words = record.content.as_ref();
        let packed = Packed {
            detail: pack(&self.json)?,
            images: images
                .iter()
                .map(|image| pack(image.as_bytes()))
                .collect::<Result<_, _>>()?,
            words: words.map_or(String::new(), |content| searched(&record.class, content)),
        };
        self.json.shrink_to(LARGEST_ROOM);
        Ok(packed)
    }

    /// Takes note of a record.
    pub(super) fn add(&mut self, time: i64, bytes: usize) {
        self.oldest = self.oldest.min(time);
        self.newest = self.newest.max(time);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.room = self.room.map(|room| room.saturating_sub(1));
    }
}

/// The words that a record is found by. A task's prompt is the chat again: only what it led to counts.
fn searched(class: &str, content: &Content) -> String {
    let mut words = String::new();
    if !class.starts_with("task/") {
        search_text::indexed(&content.last_user(), &mut words);
    }
    search_text::indexed(&content.answer.content, &mut words);
    words
}

/// What a segment compresses from.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub(super) data: Vec<u8>,
    /// There was not enough to make a better one of.
    is_makeshift: bool,
}

impl Dictionary {
    /// The JSON of the last records, newest first, because the next will be like them; as long as there are few, what we
    /// know of all logs, too.
    pub(super) fn of(latest: impl Iterator<Item = Vec<u8>>) -> Self {
        let examples: Vec<Vec<u8>> = latest
            .map(|mut example| {
                example.truncate(EXAMPLE_BYTES);
                example
            })
            .collect();
        Self {
            is_makeshift: examples.len() < EXAMPLES,
            data: compression::dictionary(examples),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promptlog::{
        store::compression::Unpacker,
        tests::{LIMITS, NOW, chat},
    };

    /// Packs some records, and gives the JSON of each.
    fn packed(
        segment: &mut Segment,
        dictionary: &Dictionary,
        ids: std::ops::Range<i64>,
    ) -> Vec<Vec<u8>> {
        let mut unpacker = Unpacker::new(&dictionary.data).unwrap();
        let unpacked = ids.map(|id| {
            let question = format!("What is the {id}th word of {}?", id * 7919);
            let record = chat(NOW + id, &question, "That is not known.");
            let packed = segment.pack(id, &record).unwrap();
            segment.add(record.time, packed.len());
            let json = unpacker.unpack(&packed.detail).unwrap();
            assert!(String::from_utf8(json.clone()).unwrap().contains(&question));
            json
        });
        unpacked.collect()
    }

    #[test]
    fn a_young_log_soon_begins_anew_from_its_own_records() {
        let few = Dictionary::of(std::iter::empty());
        let mut first = Segment::new(1, &few, NOW).unwrap();
        let count = i64::try_from(EXAMPLES).unwrap();
        let examples = packed(&mut first, &few, 1..count);
        assert!(!first.is_over(NOW, LIMITS));
        let last = packed(&mut first, &few, count..count + 1);
        assert!(first.is_over(NOW, LIMITS));

        let own = Dictionary::of(examples.into_iter().chain(last).rev());
        let mut second = Segment::new(2, &own, NOW).unwrap();
        packed(&mut second, &own, count + 1..2 * count + 1);
        assert!(!second.is_over(NOW, LIMITS));
        assert!(
            second.bytes < first.bytes * 4 / 5,
            "{} {}",
            second.bytes,
            first.bytes
        );
    }
}
