//! Segments: how the log forgets.
//!
//! The oldest segment is dropped as a whole: first its row, which hides its records from readers at once, then the
//! records themselves, some at a time.

use rusqlite::{Connection, OptionalExtension, params};

use crate::promptlog::store::{Limits, segment::Segment};

/// Records that are deleted in one go.
const PURGE: i64 = 500;
/// Pages that are given back to the file system in one go.
const GIVE_BACK: u64 = 2000;

/// Writes down what an open segment has taken note of.
pub(super) fn update(connection: &Connection, segment: &Segment) -> rusqlite::Result<()> {
    let bytes = i64::try_from(segment.bytes).unwrap_or(i64::MAX);
    connection
        .prepare_cached("UPDATE segments SET oldest = ?2, newest = ?3, bytes = ?4 WHERE id = ?1")?
        .execute(params![segment.id, segment.oldest, segment.newest, bytes])?;
    Ok(())
}

/// Begins a segment with a record of this number and time; gives its own number.
pub(super) fn insert(
    connection: &Connection,
    record: i64,
    time: i64,
    dictionary: &[u8],
) -> rusqlite::Result<i64> {
    connection.execute(
        "INSERT OR IGNORE INTO dictionaries (data) VALUES (?1)",
        [dictionary],
    )?;
    connection.execute(
        "INSERT INTO segments (first, oldest, newest, bytes, dictionary)
         VALUES (?1, ?2, ?2, 0, (SELECT id FROM dictionaries WHERE data = ?3))",
        params![record, time, dictionary],
    )?;
    Ok(connection.last_insert_rowid())
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

/// What one pass of deleting did.
#[derive(Debug)]
pub(super) struct Tidied {
    /// The segment that was dropped.
    pub(super) dropped: Option<i64>,
    /// Whether another pass may find something to do.
    pub(super) more: bool,
}

/// Deletes some of what the log may not keep, in one transaction.
pub(super) fn tidy(
    connection: &mut Connection,
    limits: Limits,
    now: i64,
) -> rusqlite::Result<Tidied> {
    let transaction = connection.transaction()?;
    let dropped = drop_oldest(&transaction, limits, now)?;
    let more = purge(&transaction)? || give_back(&transaction, limits)?;
    transaction.commit()?;
    Ok(Tidied { dropped, more })
}

/// Drops the oldest segment if it has a record that is too old, or if the log is too large.
fn drop_oldest(connection: &Connection, limits: Limits, now: i64) -> rusqlite::Result<Option<i64>> {
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
pub(super) const FLOOR: &str = "coalesce((SELECT min(first) FROM segments), 9223372036854775807)";

fn has_garbage(connection: &Connection) -> rusqlite::Result<bool> {
    let oldest = "SELECT min(id) FROM details";
    connection
        .prepare_cached(&format!("SELECT coalesce(({oldest}) < {FLOOR}, false)"))?
        .query_row([], |row| row.get(0))
}

/// Deletes some records of dropped segments; says whether there may be more.
fn purge(connection: &Connection) -> rusqlite::Result<bool> {
    if !has_garbage(connection)? {
        return Ok(false);
    }
    let ids: Vec<i64> = connection
        .prepare_cached(&format!(
            "SELECT id FROM details WHERE id < {FLOOR} ORDER BY id LIMIT {PURGE}"
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    {
        let mut forget = connection.prepare_cached("DELETE FROM search WHERE rowid = ?1")?;
        for id in &ids {
            forget.execute([id])?;
        }
    }
    if let Some(last) = ids.last() {
        connection.execute("DELETE FROM records WHERE id <= ?1", [last])?;
        connection.execute("DELETE FROM images WHERE record <= ?1", [last])?;
        connection.execute("DELETE FROM details WHERE id <= ?1", [last])?;
    }
    Ok(true)
}

/// Shortens a file that is larger than the log may be, as after a limit was lowered. Free pages below the limit stay:
/// they will be written again soon, and moving pages wears the card. Says whether there is more to give.
fn give_back(connection: &Connection, limits: Limits) -> rusqlite::Result<bool> {
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
    Ok(surplus > GIVE_BACK)
}
