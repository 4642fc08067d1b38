//! Writing records.

use rusqlite::{Connection, params, params_from_iter};

use super::{Store, Words, read, segments};
use crate::promptlog::{
    Record,
    store::{
        StoreError, row,
        segment::{Dictionary, Packed, Segment},
    },
};

/// Bytes that a record takes beside its detail, roughly: its row and its words in the index.
const OVERHEAD: usize = 300;
/// Records that are packed before they are inserted, and then go into one table after the other: the code for each step
/// is more than the processor's nearest cache holds.
const LOT: usize = 32;

impl Store {
    pub(super) fn insert_all(
        &mut self,
        records: &mut dyn Iterator<Item = &Record>,
    ) -> Result<Vec<i64>, StoreError> {
        let failed = || StoreError::database("write to");
        let mut id = self.next;
        let transaction = self.connection.transaction().map_err(failed())?;
        let mut ids = Vec::new();
        let mut lot = Vec::new();
        for record in records {
            let over = |segment: &Segment| segment.is_over(record.time, self.limits);
            if self.segment.as_ref().is_none_or(over) {
                insert(&transaction, &mut self.words, &mut lot).map_err(failed())?;
                if let Some(segment) = self.segment.take() {
                    segments::update(&transaction, &segment).map_err(failed())?;
                }
                let latest = read::latest(&transaction, &mut self.unpackers)?;
                let dictionary = Dictionary::of(latest);
                let number = segments::insert(&transaction, id, record.time, &dictionary.data)
                    .map_err(failed())?;
                let segment = Segment::new(number, &dictionary, record.time)
                    .map_err(|error| StoreError::damaged(id, error))?;
                self.segment = Some(segment);
            }
            if let Some(segment) = &mut self.segment {
                let packed = segment.pack(id, record);
                let packed = packed.map_err(|error| StoreError::unfit(ids.len(), &error))?;
                segment.add(record.time, packed.len() + OVERHEAD);
                lot.push((id, record, packed));
            }
            if lot.len() == LOT {
                insert(&transaction, &mut self.words, &mut lot).map_err(failed())?;
            }
            ids.push(id);
            id += 1;
        }
        insert(&transaction, &mut self.words, &mut lot).map_err(failed())?;
        if let Some(segment) = &self.segment {
            segments::update(&transaction, segment).map_err(failed())?;
        }
        transaction.commit().map_err(failed())?;
        self.next = id;
        Ok(ids)
    }
}

/// Inserts these records; none is left.
fn insert(
    connection: &Connection,
    words: &mut Words,
    lot: &mut Vec<(i64, &Record, Packed)>,
) -> rusqlite::Result<()> {
    let mut image = connection
        .prepare_cached("INSERT INTO images (record, number, data) VALUES (?1, ?2, ?3)")?;
    let mut detail = connection.prepare_cached("INSERT INTO details (id, data) VALUES (?1, ?2)")?;
    for (id, _, packed) in &*lot {
        for (number, data) in (0_i64..).zip(&packed.images) {
            image.execute(params![id, number, data])?;
        }
        detail.execute(params![id, packed.detail])?;
    }
    let mut search =
        connection.prepare_cached("INSERT INTO search (rowid, text) VALUES (?1, ?2)")?;
    for (id, _, packed) in &*lot {
        if !packed.words.is_empty() {
            search.execute(params![id, packed.words])?;
        }
    }
    let mut row = connection.prepare_cached(
        "INSERT INTO records VALUES
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
    )?;
    for (id, record, _) in lot.drain(..) {
        let mut numbers = [None; 5];
        for (number, word) in numbers.iter_mut().zip(row::words(record)) {
            *number = word
                .map(|word| words.number(connection, &word))
                .transpose()?;
        }
        row.execute(params_from_iter(row::columns(id, record, numbers)))?;
    }
    Ok(())
}
