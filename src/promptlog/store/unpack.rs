//! Reading what was packed, with the dictionary that it was packed with.

use std::collections::{HashMap, hash_map::Entry};

use super::{StoreError, compression::Unpacker};

/// One for each dictionary that was needed, by its number.
#[derive(Debug, Default)]
pub(super) struct Unpackers(HashMap<i64, Unpacker>);

impl Unpackers {
    /// Unpacks what belongs to a record; `text` gives a dictionary that was not needed before.
    pub(super) fn unpack(
        &mut self,
        record: i64,
        data: &[u8],
        dictionary: i64,
        text: impl FnOnce() -> Result<Vec<u8>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let damaged = |error| StoreError::damaged(record, error);
        let unpacker = match self.0.entry(dictionary) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Unpacker::new(&text()?).map_err(damaged)?),
        };
        unpacker.unpack(data).map_err(damaged)
    }

    /// Whether a dictionary is known.
    pub(super) fn know(&self, dictionary: i64) -> bool {
        self.0.contains_key(&dictionary)
    }
}

/// A record, or what it refers to, was deleted.
pub(super) fn gone(record: i64) -> StoreError {
    StoreError::damaged(record, "it is no longer there")
}
