//! Writing records.

use futures::future::try_join_all;
use tokio_postgres::{Error, types::ToSql};

use super::{Open, TAKE_TURNS, read, segments, session::Statements};
use crate::promptlog::{
    Record,
    store::{
        Limits, StoreError, row,
        segment::{Dictionary, Packed, Segment},
    },
};

/// Bytes that a record takes beside its detail, roughly: short chats take 1.7 KB of the server's disk with 0.3 KB of
/// detail, for their rows, the indexes and their words twice.
const OVERHEAD: usize = 1300;
/// Words that are remembered; where a client invents model names all the time, memory still has an end.
const MOST_WORDS: usize = 10_000;
/// Characters of a word that are kept: the server's index takes no long ones.
const LONGEST_WORD: usize = 500;

/// The segment comes last here, and stands before what later formats have added.
const RECORD: &str = "INSERT INTO records VALUES
    ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $21, $20)";
const DETAIL: &str = "INSERT INTO details VALUES ($1, $2, array_to_tsvector($3::text[]))";
const IMAGE: &str = "INSERT INTO images VALUES ($1, $2, $3)";

/// A record, ready to be written.
struct Ready {
    packed: Packed,
    /// All columns of its row.
    row: Vec<Option<i64>>,
}

pub(super) async fn insert_all(
    statements: &mut Statements<'_>,
    open: &mut Open,
    limits: Limits,
    records: &[&Record],
) -> Result<Vec<i64>, StoreError> {
    let failed = || StoreError::server("write to");
    statements.begin().await.map_err(failed())?;
    let inserted = insert(statements, open, limits, records).await;
    let ended = statements.end(inserted.is_ok()).await;
    let ids = inserted?;
    ended.map_err(failed())?;
    Ok(ids)
}

async fn insert(
    statements: &mut Statements<'_>,
    open: &mut Open,
    limits: Limits,
    records: &[&Record],
) -> Result<Vec<i64>, StoreError> {
    let failed = || StoreError::server("write to");
    let ids = numbers(statements, records.len()).await.map_err(failed())?;
    if let Some(segment) = &open.segment
        && !segments::update(statements, segment)
            .await
            .map_err(failed())?
    {
        // Another instance found it too old, or the log too large.
        open.segment = None;
    }
    let mut ready = Vec::new();
    for (place, (id, record)) in ids.iter().zip(records).enumerate() {
        let over = |segment: &Segment| segment.is_over(record.time, limits);
        if open.segment.as_ref().is_none_or(over) {
            if let Some(segment) = open.segment.take() {
                segments::update(statements, &segment)
                    .await
                    .map_err(failed())?;
            }
            // What is to come will be like what has just come, and that has to be there to be read.
            write(statements, &mut ready).await.map_err(failed())?;
            open.segment = Some(begin(statements, open, *id, record.time).await?);
        }
        let words = words(statements, open, record).await.map_err(failed())?;
        if let Some(segment) = &mut open.segment {
            let packed = segment.pack(*id, record);
            let packed = packed.map_err(|error| StoreError::unfit(place, &error))?;
            let mut row = row::columns(*id, record, words).to_vec();
            row.push(Some(segment.id));
            segment.add(record.time, packed.len() + OVERHEAD);
            ready.push(Ready { packed, row });
        }
    }
    write(statements, &mut ready).await.map_err(failed())?;
    if let Some(segment) = &open.segment {
        segments::update(statements, segment)
            .await
            .map_err(failed())?;
    }
    Ok(ids)
}

/// Waits for the others and takes numbers for records.
async fn numbers(statements: &mut Statements<'_>, count: usize) -> Result<Vec<i64>, Error> {
    statements.client.batch_execute(TAKE_TURNS).await?;
    let sql = "SELECT nextval('record_ids') FROM generate_series(1, $1::bigint)";
    let statement = statements.prepare(sql).await?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let rows = statements.client.query(&statement, &[&count]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

async fn begin(
    statements: &mut Statements<'_>,
    open: &mut Open,
    record: i64,
    time: i64,
) -> Result<Segment, StoreError> {
    let latest = read::latest(statements, &mut open.unpackers).await?;
    let dictionary = Dictionary::of(latest.into_iter());
    let id = segments::insert(statements, &dictionary.data, time)
        .await
        .map_err(StoreError::server("write to"))?;
    Segment::new(id, &dictionary, time).map_err(|error| StoreError::damaged(record, error))
}

/// Writes what is ready, without waiting for one row before the next is sent.
async fn write(statements: &mut Statements<'_>, ready: &mut Vec<Ready>) -> Result<(), Error> {
    let record = statements.prepare(RECORD).await?;
    let detail = statements.prepare(DETAIL).await?;
    let image = statements.prepare(IMAGE).await?;
    let client = &*statements.client;
    let writes = ready.iter().map(|Ready { packed, row }| {
        let id = row.first().copied().flatten();
        let (record, detail, image) = (&record, &detail, &image);
        async move {
            let row: Vec<&(dyn ToSql + Sync)> = row.iter().map(|number| number as _).collect();
            let words: Vec<&str> = packed
                .words
                .split(' ')
                .filter(|it| !it.is_empty())
                .collect();
            let images = (0_i64..)
                .zip(&packed.images)
                .map(async |(number, data)| client.execute(image, &[&id, &number, data]).await);
            let values: [&(dyn ToSql + Sync); 3] = [&id, &packed.detail, &words];
            futures::try_join!(
                client.execute(record, &row),
                client.execute(detail, &values),
                try_join_all(images),
            )
        }
    });
    try_join_all(writes).await?;
    ready.clear();
    Ok(())
}

/// The numbers of a record's words, which get one where they have none.
async fn words(
    statements: &mut Statements<'_>,
    open: &mut Open,
    record: &Record,
) -> Result<[Option<i64>; 5], Error> {
    let mut numbers = [None; 5];
    for (number, word) in numbers.iter_mut().zip(row::words(record)) {
        let Some(word) = word else { continue };
        let word = storable(&word);
        *number = match open.words.get(&word) {
            Some(known) => Some(*known),
            None => {
                let new = word_number(statements, &word).await?;
                if open.words.len() >= MOST_WORDS {
                    open.words.clear();
                }
                open.words.insert(word, new);
                Some(new)
            }
        };
    }
    Ok(numbers)
}

async fn word_number(statements: &mut Statements<'_>, word: &str) -> Result<i64, Error> {
    let known = "SELECT id FROM words WHERE text = $1";
    let new = "INSERT INTO words (text) VALUES ($1) RETURNING id";
    if let Some(row) = statements.first(known, &[&word]).await? {
        return row.try_get(0);
    }
    let statement = statements.prepare(new).await?;
    let row = statements.client.query_one(&statement, &[&word]).await?;
    row.try_get(0)
}

/// A word as the server can keep it: no text of its has the character zero.
fn storable(word: &str) -> String {
    let characters = word.chars().take(LONGEST_WORD);
    characters
        .map(|character| match character {
            '\0' => char::REPLACEMENT_CHARACTER,
            character => character,
        })
        .collect()
}
