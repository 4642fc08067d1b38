//! Segments: how the log forgets.
//!
//! Records share texts within their segment only. The oldest segment is dropped as a whole: first its row, which hides
//! its records from readers at once, then the records themselves, some at a time.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Limits, StoreError, Unpackers,
    compression::{DICTIONARY, Packer},
    texts::Known,
};

/// A segment is this part of what the log may hold, so that dropping one loses no more.
const PART: u32 = 16;
/// No segment is longer, in milliseconds: what is too old must go soon.
const LONGEST: i64 = 24 * 60 * 60 * 1000;
/// Texts of a segment that are remembered; about 2 MiB.
const MOST_TEXTS: usize = 1 << 15;
/// Size of a dictionary, and what of it one record may take. Larger ones gain little and cost time with every record.
const DICTIONARY_BYTES: usize = 48 << 10;
const EXAMPLE_BYTES: usize = 8 << 10;
/// Records that a dictionary is made of.
const EXAMPLES: usize = 64;
/// Records that are deleted in one go.
const PURGE: i64 = 500;
/// Pages that are given back to the file system in one go.
const GIVE_BACK: u64 = 2000;

/// The segment that records are added to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: i64,
    pub(super) known: Known,
    pub(super) packer: Packer,
    /// Times of its records.
    oldest: i64,
    newest: i64,
    bytes: u64,
}

impl Segment {
    /// Begins a segment with a record of this number and time.
    pub(super) fn begin(
        connection: &Connection,
        unpackers: &mut Unpackers,
        record: i64,
        time: i64,
    ) -> Result<Self, StoreError> {
        let dictionary = dictionary(connection, unpackers)?;
        let packer =
            Packer::new(&dictionary).map_err(|error| StoreError::damaged(record, error))?;
        insert(connection, record, time, &dictionary).map_err(StoreError::database("write to"))?;
        Ok(Self {
            id: connection.last_insert_rowid(),
            known: Known::default(),
            packer,
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
    }

    /// Takes note of a record.
    pub(super) fn add(&mut self, time: i64, bytes: usize) {
        self.oldest = self.oldest.min(time);
        self.newest = self.newest.max(time);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Writes down what was noted.
    pub(super) fn update(&self, connection: &Connection) -> rusqlite::Result<()> {
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        connection
            .prepare_cached(
                "UPDATE segments SET oldest = ?2, newest = ?3, bytes = ?4 WHERE id = ?1",
            )?
            .execute(params![self.id, self.oldest, self.newest, bytes])?;
        Ok(())
    }
}

fn insert(
    connection: &Connection,
    record: i64,
    time: i64,
    dictionary: &[u8],
) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR IGNORE INTO dictionaries (data) VALUES (?1)",
        [dictionary],
    )?;
    connection.execute(
        "INSERT INTO segments (first, oldest, newest, bytes, dictionary)
         VALUES (?1, ?2, ?2, 0, (SELECT id FROM dictionaries WHERE data = ?3))",
        params![record, time, dictionary],
    )?;
    Ok(())
}

/// What a new segment compresses from: the last records, because the next will be like them; at first, what we know of
/// all logs.
fn dictionary(connection: &Connection, unpackers: &mut Unpackers) -> Result<Vec<u8>, StoreError> {
    let read = StoreError::database("read");
    let latest: Vec<i64> = connection
        .prepare_cached(&format!(
            "SELECT id FROM details WHERE id >= {FLOOR} ORDER BY id DESC LIMIT {EXAMPLES}"
        ))
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(read)?;
    let mut room = DICTIONARY_BYTES;
    let mut examples = Vec::new();
    for id in latest {
        let mut example = unpackers.json(connection, id)?;
        example.truncate(room.min(EXAMPLE_BYTES));
        room -= example.len();
        examples.push(example);
    }
    if room > 0 {
        let rest = DICTIONARY.len().saturating_sub(room);
        examples.push(DICTIONARY.get(rest..).unwrap_or_default().to_vec());
    }
    // What stands last is the cheapest to refer to.
    examples.reverse();
    Ok(examples.concat())
}

/// Bytes that the database holds.
pub(super) fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let [pages, free, bytes] = pages(connection)?;
    Ok(pages.saturating_sub(free) * bytes)
}

fn pages(connection: &Connection) -> rusqlite::Result<[u64; 3]> {
    let number = |pragma: &str| {
        let number = connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))?;
        Ok::<_, rusqlite::Error>(u64::try_from(number).unwrap_or(0))
    };
    Ok([
        number("page_count")?,
        number("freelist_count")?,
        number("page_size")?,
    ])
}

/// Drops the oldest segment if it has a record that is too old, or if the log is too large.
pub(super) fn drop_oldest(
    connection: &Connection,
    limits: Limits,
    now: i64,
) -> rusqlite::Result<Option<i64>> {
    let oldest: Option<(i64, i64)> = connection
        .prepare_cached("SELECT id, oldest FROM segments ORDER BY id LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, oldest)) = oldest else {
        return Ok(None);
    };
    let retention = i64::try_from(limits.retention.as_millis()).unwrap_or(i64::MAX);
    let expired = oldest < now.saturating_sub(retention);
    // What earlier drops left is deleted before another segment has to go for its size.
    if !expired && (has_garbage(connection)? || size(connection)? <= limits.max_size) {
        return Ok(None);
    }
    connection.execute("DELETE FROM segments WHERE id = ?1", [id])?;
    connection.execute(
        "DELETE FROM dictionaries WHERE id NOT IN (SELECT dictionary FROM segments)",
        [],
    )?;
    Ok(Some(id))
}

/// Records below this number belong to no segment any more.
const FLOOR: &str = "coalesce((SELECT min(first) FROM segments), 9223372036854775807)";

fn has_garbage(connection: &Connection) -> rusqlite::Result<bool> {
    let oldest = "SELECT min(id) FROM details";
    connection
        .prepare_cached(&format!("SELECT coalesce(({oldest}) < {FLOOR}, false)"))?
        .query_row([], |row| row.get(0))
}

/// Deletes some records of dropped segments; says whether there may be more.
pub(super) fn purge(connection: &mut Connection) -> rusqlite::Result<bool> {
    if !has_garbage(connection)? {
        return Ok(false);
    }
    let transaction = connection.transaction()?;
    let ids: Vec<i64> = transaction
        .prepare_cached(&format!(
            "SELECT id FROM details WHERE id < {FLOOR} ORDER BY id LIMIT {PURGE}"
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    {
        let mut forget = transaction.prepare_cached("DELETE FROM search WHERE rowid = ?1")?;
        for id in &ids {
            forget.execute([id])?;
        }
    }
    if let Some(last) = ids.last() {
        transaction.execute("DELETE FROM records WHERE id <= ?1", [last])?;
        transaction.execute("DELETE FROM images WHERE record <= ?1", [last])?;
        transaction.execute("DELETE FROM details WHERE id <= ?1", [last])?;
    }
    transaction.commit()?;
    Ok(true)
}

/// Shortens a file that is larger than the log may be, as after a limit was lowered. Free pages below the limit stay:
/// they will be written again soon, and moving pages wears the card.
pub(super) fn give_back(connection: &Connection, limits: Limits) -> rusqlite::Result<()> {
    let [pages, free, bytes] = pages(connection)?;
    let surplus = pages
        .saturating_sub(limits.max_size / bytes.max(1))
        .min(free);
    if surplus > 0 {
        let pragma = format!("PRAGMA incremental_vacuum({})", surplus.min(GIVE_BACK));
        let mut statement = connection.prepare(&pragma)?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}
