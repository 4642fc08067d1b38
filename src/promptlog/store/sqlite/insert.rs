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

impl Store {
    pub(super) fn insert_all(
        &mut self,
        records: &mut dyn Iterator<Item = &Record>,
    ) -> Result<Vec<i64>, StoreError> {
        let failed = || StoreError::database("write to");
        let mut id = self.next;
        let transaction = self.connection.transaction().map_err(failed())?;
        let mut ids = Vec::new();
        for record in records {
            let over = |segment: &Segment| segment.is_over(record.time, self.limits);
            if self.segment.as_ref().is_none_or(over) {
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
                insert(&transaction, &mut self.words, id, record, &packed).map_err(failed())?;
                segment.add(record.time, packed.len() + OVERHEAD);
            }
            ids.push(id);
            id += 1;
        }
        if let Some(segment) = &self.segment {
            segments::update(&transaction, segment).map_err(failed())?;
        }
        transaction.commit().map_err(failed())?;
        self.next = id;
        Ok(ids)
    }
}

fn insert(
    connection: &Connection,
    words: &mut Words,
    id: i64,
    record: &Record,
    packed: &Packed,
) -> rusqlite::Result<()> {
    let execute = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        let mut statement = connection.prepare_cached(sql)?;
        statement.execute(values).map(|_| ())
    };
    for (number, image) in (0_i64..).zip(&packed.images) {
        execute(
            "INSERT INTO images (record, number, data) VALUES (?1, ?2, ?3)",
            params![id, number, image],
        )?;
    }
    execute(
        "INSERT INTO details (id, data) VALUES (?1, ?2)",
        params![id, packed.detail],
    )?;
    if !packed.words.is_empty() {
        execute(
            "INSERT INTO search (rowid, text) VALUES (?1, ?2)",
            params![id, packed.words],
        )?;
    }
    let mut numbers = [None; 5];
    for (number, word) in numbers.iter_mut().zip(row::words(record)) {
        *number = word
            .map(|word| words.number(connection, &word))
            .transpose()?;
    }
    connection
        .prepare_cached(
            "INSERT INTO records VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        )?
        .execute(params_from_iter(row::columns(id, record, numbers)))?;
    Ok(())
}
