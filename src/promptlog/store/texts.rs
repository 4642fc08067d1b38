//! Texts that are kept once, however many records of a segment they are in.
//!
//! A chat sends its whole history at every turn, and its tools with it. A record brings the texts that are new and
//! names the places of those that an earlier record brought.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Shorter texts cost less than their place.
const SHORT: usize = 24;

/// Where a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::promptlog) struct Place {
    /// The record that brought it.
    pub(in crate::promptlog) record: i64,
    /// Its position among the texts of that record.
    pub(in crate::promptlog) index: u32,
}

/// Places in a row: how many records back, the first position, how many positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run(i64, u32, u32);

/// The places of a segment's texts and images, by the first half of their SHA-256.
#[derive(Debug, Default)]
pub(super) struct Known {
    texts: HashMap<[u8; 16], Place>,
    images: HashMap<[u8; 16], Place>,
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.texts.len() + self.images.len()
    }
}

/// The texts and images of one record.
#[derive(Debug)]
pub(super) struct Texts<'k> {
    known: &'k mut Known,
    record: i64,
    new: New,
}

/// What nobody brought before.
#[derive(Debug, Default)]
pub(super) struct New {
    pub(super) texts: Vec<String>,
    pub(super) images: Vec<String>,
}

impl<'k> Texts<'k> {
    pub(super) fn new(known: &'k mut Known, record: i64) -> Self {
        Self {
            known,
            record,
            new: New::default(),
        }
    }

    /// The place of a text, which gets one if it has none.
    pub(super) fn place(&mut self, text: Cow<'_, str>) -> Place {
        let own = own(self.record, &self.new.texts);
        if text.len() >= SHORT {
            let place = *self.known.texts.entry(digest(&text)).or_insert(own);
            if place != own {
                return place;
            }
        }
        self.new.texts.push(text.into_owned());
        own
    }

    /// The place of an image among images.
    pub(super) fn image(&mut self, url: &str) -> Place {
        let own = own(self.record, &self.new.images);
        let place = *self.known.images.entry(digest(url)).or_insert(own);
        if place == own {
            self.new.images.push(url.to_owned());
        }
        place
    }

    pub(super) fn into_new(self) -> New {
        self.new
    }
}

fn own(record: i64, new: &[String]) -> Place {
    Place {
        record,
        index: u32::try_from(new.len()).unwrap_or(u32::MAX),
    }
}

fn digest(text: &str) -> [u8; 16] {
    let mut half = [0; 16];
    for (byte, from) in half.iter_mut().zip(Sha256::digest(text.as_bytes())) {
        *byte = from;
    }
    half
}

/// Places as a record writes them down.
pub(super) fn runs(record: i64, places: impl IntoIterator<Item = Place>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for place in places {
        let back = record - place.record;
        match runs.last_mut() {
            Some(Run(same, first, count))
                if *same == back && first.checked_add(*count) == Some(place.index) =>
            {
                *count += 1;
            }
            _ => runs.push(Run(back, place.index, 1)),
        }
    }
    runs
}

/// The places that a record wrote down. What a damaged record says is bounded by the caller's look-ups.
pub(super) fn places(record: i64, runs: &[Run]) -> impl Iterator<Item = Place> {
    runs.iter().flat_map(move |Run(back, first, count)| {
        (*first..first.saturating_add(*count)).map(move |index| Place {
            record: record.saturating_sub(*back),
            index,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONG: &str = "a text that is longer than its place";

    #[test]
    fn a_long_text_is_brought_once_and_a_short_one_each_time() {
        let mut known = Known::default();
        let mut first = Texts::new(&mut known, 1);
        let place = first.place(LONG.into());
        first.place("short".into());
        assert_eq!(first.place(LONG.into()), place);
        assert_eq!(first.into_new().texts, [LONG, "short"]);
        let mut second = Texts::new(&mut known, 2);
        assert_eq!(second.place(LONG.into()), place);
        second.place("short".into());
        assert_eq!(second.into_new().texts, ["short"]);
    }

    proptest! {
        #[test]
        fn runs_are_the_places_that_they_were_made_of(
            record in 1000..2000_i64,
            places in prop::collection::vec((0..4_i64, 0..6_u32), 0..40),
        ) {
            let all: Vec<Place> = places
                .into_iter()
                .map(|(back, index)| Place { record: record - back, index })
                .collect();
            let runs = runs(record, all.iter().copied());
            prop_assert_eq!(super::places(record, &runs).collect::<Vec<_>>(), all);
        }
    }
}
