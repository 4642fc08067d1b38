//! Segments: how the log forgets. The oldest is deleted as a whole, with its records.

use tokio_postgres::Error;

use super::{TAKE_TURNS, session::Statements};
use crate::promptlog::store::{Limits, StoreError, segment::Segment};

/// Begins a segment whose first record came at this time; gives its number.
pub(super) async fn insert(
    statements: &mut Statements<'_>,
    dictionary: &[u8],
    time: i64,
) -> Result<i64, Error> {
    let sql = "INSERT INTO segments (oldest, newest, bytes, dictionary) VALUES ($1, $1, 0, $2) RETURNING id";
    let statement = statements.prepare(sql).await?;
    let row = statements
        .client
        .query_one(&statement, &[&time, &dictionary])
        .await?;
    row.try_get(0)
}

/// Writes down what an open segment has taken note of; says whether it is there at all.
pub(super) async fn update(
    statements: &mut Statements<'_>,
    segment: &Segment,
) -> Result<bool, Error> {
    let sql = "UPDATE segments SET oldest = $2, newest = $3, bytes = $4 WHERE id = $1";
    let statement = statements.prepare(sql).await?;
    let bytes = i64::try_from(segment.bytes).unwrap_or(i64::MAX);
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&segment.id, &segment.oldest, &segment.newest, &bytes];
    let updated = statements.client.execute(&statement, &values).await?;
    Ok(updated > 0)
}

/// Bytes that the log takes, as its writers reckon: what is deleted counts no more, though the server keeps the room
/// for what will be written.
pub(super) async fn size(statements: &mut Statements<'_>) -> Result<u64, Error> {
    let sql = "SELECT coalesce(sum(bytes + length(dictionary)), 0)::bigint FROM segments";
    let row = statements.first(sql, &[]).await?;
    let size: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u64::try_from(size).unwrap_or(0))
}

/// Deletes the oldest segment if it has a record that is too old, or if the log is too large; says whether it did.
pub(super) async fn drop_oldest(
    statements: &mut Statements<'_>,
    limits: Limits,
    now: i64,
) -> Result<bool, StoreError> {
    let failed = || StoreError::server("tidy");
    // Looked at without the lock first: there is nothing to do nearly always.
    if surplus(statements, limits, now)
        .await
        .map_err(failed())?
        .is_none()
    {
        return Ok(false);
    }
    statements.begin().await.map_err(failed())?;
    let deleted = delete_oldest(statements, limits, now).await;
    let ended = statements.end(deleted.is_ok()).await;
    let deleted = deleted.map_err(failed())?;
    ended.map_err(failed())?;
    Ok(deleted)
}

async fn delete_oldest(
    statements: &mut Statements<'_>,
    limits: Limits,
    now: i64,
) -> Result<bool, Error> {
    statements.client.batch_execute(TAKE_TURNS).await?;
    let Some(segment) = surplus(statements, limits, now).await? else {
        return Ok(false);
    };
    for sql in [
        "DELETE FROM images WHERE record IN (SELECT id FROM records WHERE segment = $1)",
        "DELETE FROM details WHERE id IN (SELECT id FROM records WHERE segment = $1)",
        "DELETE FROM records WHERE segment = $1",
        "DELETE FROM segments WHERE id = $1",
    ] {
        statements.client.execute(sql, &[&segment]).await?;
    }
    Ok(true)
}

/// The segment that has to go.
async fn surplus(
    statements: &mut Statements<'_>,
    limits: Limits,
    now: i64,
) -> Result<Option<i64>, Error> {
    let sql = "SELECT id, oldest FROM segments ORDER BY oldest, id LIMIT 1";
    let Some(oldest) = statements.first(sql, &[]).await? else {
        return Ok(None);
    };
    let retention = i64::try_from(limits.retention.as_millis()).unwrap_or(i64::MAX);
    let expired = oldest.try_get::<_, i64>(1)? < now.saturating_sub(retention);
    let too_large = expired || size(statements).await? > limits.max_size;
    too_large.then(|| oldest.try_get(0)).transpose()
}
