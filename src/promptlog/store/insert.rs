//! Writing records.

use std::time::Duration;

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::{
    Segment, Store, StoreError, Words, detail::Detail, search_text, texts::Texts, words::NOTHING,
};
use crate::{
    chat::Usage,
    promptlog::{Content, Kept, Record},
};

/// Bytes that a record takes beside its detail, roughly: its row and its words in the index.
const OVERHEAD: usize = 300;

impl Store {
    pub(super) fn insert_all<'r>(
        &mut self,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<Vec<i64>, StoreError> {
        let failed = StoreError::database("write to");
        let mut id = self.next;
        let transaction = self.connection.transaction().map_err(failed)?;
        let mut ids = Vec::new();
        for record in records {
            let over = |segment: &Segment| segment.is_over(record.time, self.limits);
            if self.segment.as_ref().is_none_or(over) {
                if let Some(segment) = self.segment.take() {
                    segment
                        .update(&transaction)
                        .map_err(StoreError::database("write to"))?;
                }
                let segment = Segment::begin(&transaction, &mut self.unpackers, id, record.time)?;
                self.segment = Some(segment);
            }
            if let Some(segment) = &mut self.segment {
                let mut writer = Writer {
                    connection: &transaction,
                    words: &mut self.words,
                    segment,
                };
                writer.insert(id, record)?;
            }
            ids.push(id);
            id += 1;
        }
        if let Some(segment) = &self.segment {
            segment
                .update(&transaction)
                .map_err(StoreError::database("write to"))?;
        }
        transaction
            .commit()
            .map_err(StoreError::database("write to"))?;
        self.next = id;
        Ok(ids)
    }
}

struct Writer<'a> {
    connection: &'a Connection,
    words: &'a mut Words,
    segment: &'a mut Segment,
}

impl Writer<'_> {
    fn insert(&mut self, id: i64, record: &Record) -> Result<(), StoreError> {
        let texts = Texts::new(&mut self.segment.known, id);
        let (detail, images) = Detail::of(id, record, texts);
        let damaged = |error: &dyn std::error::Error| StoreError::damaged(id, error);
        let json = serde_json::to_vec(&detail).map_err(|error| damaged(&error))?;
        let packed = self
            .segment
            .packer
            .pack(&json)
            .map_err(|error| damaged(&error))?;
        let mut bytes = packed.len() + OVERHEAD;
        for (number, image) in images.iter().enumerate() {
            let image = self
                .segment
                .packer
                .pack(image.as_bytes())
                .map_err(|error| damaged(&error))?;
            bytes += image.len();
            self.execute(
                "INSERT INTO images (record, number, data) VALUES (?1, ?2, ?3)",
                params![id, number as i64, image],
            )?;
        }
        self.execute(
            "INSERT INTO details (id, data) VALUES (?1, ?2)",
            params![id, packed],
        )?;
        self.row(id, record)
            .map_err(StoreError::database("write to"))?;
        if let Some(content) = &record.content {
            let text = searched(&record.class, content);
            if !text.is_empty() {
                self.execute(
                    "INSERT INTO search (rowid, text) VALUES (?1, ?2)",
                    params![id, text],
                )?;
            }
        }
        self.segment.add(record.time, bytes);
        Ok(())
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
        let executed = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values));
        executed
            .map(|_| ())
            .map_err(StoreError::database("write to"))
    }

    fn row(&mut self, id: i64, record: &Record) -> rusqlite::Result<()> {
        let connection = self.connection;
        let mut word = |text: &str| self.words.number(connection, text);
        let labels: Vec<&str> = record.labels.iter().map(AsRef::as_ref).collect();
        let (class, labels) = (word(&record.class)?, word(&labels.join(","))?);
        let model = word(if record.model.is_empty() {
            NOTHING
        } else {
            &record.model
        })?;
        let profile = record.profile.as_deref().map(&mut word).transpose()?;
        let finish = record.finish.as_deref().map(&mut word).transpose()?;
        let kept = Kept::ALL.iter().position(|kept| *kept == record.kept);
        let tokens = |of: fn(&Usage) -> u32| record.usage.as_ref().map(of);
        let timings = &record.timings;
        connection
            .prepare_cached(
                "INSERT INTO records VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
            )?
            .execute(params![
                id,
                record.time,
                hash(&record.request),
                record.conversation.as_deref().map(hash),
                class,
                model,
                labels,
                profile,
                i64::try_from(record.policy).unwrap_or(i64::MAX),
                record.status,
                finish,
                kept.map(|kept| kept as i64),
                tokens(|usage| usage.prompt),
                tokens(|usage| usage.cached),
                tokens(|usage| usage.completion),
                tokens(|usage| usage.reasoning),
                timings.queued.map(micros),
                timings.first_token.map(micros),
                micros(timings.total),
            ])?;
        Ok(())
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

/// A name as a number: names are long and mostly random.
pub(in crate::promptlog) fn hash(name: &str) -> i64 {
    let mut first = [0; 8];
    for (byte, from) in first.iter_mut().zip(Sha256::digest(name.as_bytes())) {
        *byte = from;
    }
    i64::from_le_bytes(first)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
