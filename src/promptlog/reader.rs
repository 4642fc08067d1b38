//! Reading the log, in this process or another.

use std::{collections::HashMap, fmt, ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};

use super::{
    Filter, Kept, Record, Summary, Timings,
    query::{Bound, LIVING, Query, fits},
    store::{self, Detail, NOTHING, Place, Resolver, StoreError, Unpackers},
};
use crate::chat::Usage;

/// Reads the log. Every call sees what had been written when it began.
pub struct Reader {
    connection: Connection,
    words: HashMap<i64, Arc<str>>,
    unpackers: Unpackers,
    /// Texts of records that others refer to.
    texts: HashMap<i64, Vec<String>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Records in a list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<Summary>,
    /// Where the next page begins, if there may be one: what to pass as `before`.
    pub next: Option<i64>,
}

/// Records whose texts are remembered; a long conversation has less.
const MOST_TEXTS: usize = 4096;

/// The columns of a record, as `row` reads them.
const COLUMNS: &str = "id, time, class, model, labels, profile, policy, status, finish, kept, prompt_tokens, \
    cached_tokens, completion_tokens, reasoning_tokens, queued, first_token, total";

impl Reader {
    /// Opens the log.
    ///
    /// # Errors
    /// When there is no log at this path, or this version cannot read it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = store::open_to_read(path)?;
        Ok(Self {
            connection,
            words: HashMap::new(),
            unpackers: Unpackers::default(),
            texts: HashMap::new(),
        })
    }

    /// A page of at most `limit` records older than `before`, newest first, without their content.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn page(
        &mut self,
        filter: &Filter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let rows = self.rows(
            filter,
            before.map_or(Bound::None, Bound::Below),
            Some(limit),
            "DESC",
        )?;
        let next = (rows.len() == limit).then(|| rows.last().map(|(id, _)| *id));
        let summaries = rows.into_iter().map(|(id, row)| self.summary(id, row));
        Ok(Page {
            records: summaries.collect::<Result<_, _>>()?,
            next: next.flatten(),
        })
    }

    /// At most `limit` records newer than `after`, oldest first, without their content.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn newer(
        &mut self,
        filter: &Filter,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        let rows = self.rows(filter, Bound::Above(after), Some(limit), "ASC")?;
        let summaries = rows.into_iter().map(|(id, row)| self.summary(id, row));
        summaries.collect()
    }

    /// The number of the newest record; 0 in an empty log.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn newest(&self) -> Result<i64, StoreError> {
        self.connection
            .query_row("SELECT coalesce(max(id), 0) FROM records", [], |row| {
                row.get(0)
            })
            .map_err(StoreError::database("read"))
    }

    /// The models that answered.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn models(&mut self) -> Result<Vec<Arc<str>>, StoreError> {
        let numbers: Vec<i64> = self
            .connection
            .prepare_cached("SELECT DISTINCT model FROM records")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .map_err(StoreError::database("read"))?;
        let models = numbers.into_iter().map(|number| self.word(number));
        let mut models: Vec<Arc<str>> = models.collect::<Result<_, _>>()?;
        models.retain(|model| &**model != NOTHING);
        Ok(models)
    }

    /// How many records fit.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count(&mut self, filter: &Filter) -> Result<u64, StoreError> {
        let Some(query) = self.query(filter)? else {
            return Ok(0);
        };
        let Query {
            from, condition, ..
        } = query;
        self.connection
            .prepare_cached(&format!("SELECT count(*) FROM {from} WHERE {condition}"))
            .and_then(|mut statement| {
                let values = params_from_iter(query.values);
                statement.query_row(values, |row| row.get::<_, i64>(0))
            })
            .map(|count| u64::try_from(count).unwrap_or(0))
            .map_err(StoreError::database("read"))
    }

    /// A record with its content; `None` where there is none of this number, or no longer.
    ///
    /// # Errors
    /// When the database cannot be read or the record is damaged.
    pub fn get(&mut self, id: i64) -> Result<Option<Record>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE id = ?1 AND {LIVING}");
        let found = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([id], row).optional())
            .map_err(StoreError::database("read"))?;
        found.map(|(id, row)| self.whole(id, row)).transpose()
    }

    /// Calls `each` with every record that fits and its content, oldest first, until it breaks.
    ///
    /// # Errors
    /// When the database cannot be read or a record is damaged.
    pub fn each(
        &mut self,
        filter: &Filter,
        each: impl FnMut(i64, Record) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.each_after(0, filter, each)
    }

    /// As [`Reader::each`], but for the `count` newest of the records that fit.
    ///
    /// # Errors
    /// As [`Reader::each`].
    pub fn each_of_newest(
        &mut self,
        count: usize,
        filter: &Filter,
        each: impl FnMut(i64, Record) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(mut query) = self.query(filter)? else {
            return Ok(());
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        query.values.push(Value::Integer(count));
        let Query {
            from,
            id,
            condition,
            values,
        } = query;
        let sql =
            format!("SELECT id FROM {from} WHERE {condition} ORDER BY {id} DESC LIMIT 1 OFFSET ?");
        let last_left_out: Option<i64> = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement
                    .query_row(params_from_iter(values), |row| row.get(0))
                    .optional()
            })
            .map_err(StoreError::database("read"))?;
        self.each_after(last_left_out.unwrap_or(0), filter, each)
    }

    fn each_after(
        &mut self,
        mut after: i64,
        filter: &Filter,
        mut each: impl FnMut(i64, Record) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        const CHUNK: usize = 512;
        loop {
            let rows = self.rows(filter, Bound::Above(after), Some(CHUNK), "ASC")?;
            let last = rows.len() < CHUNK;
            for (id, row) in rows {
                after = id;
                // It may have been deleted since.
                let record = match self.whole(id, row) {
                    Err(StoreError::Damaged { .. }) if self.get(id)?.is_none() => continue,
                    record => record?,
                };
                if each(id, record).is_break() {
                    return Ok(());
                }
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Calls `each` with the metadata of every record that fits, in no particular order: names that are kept with the
    /// content are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn scan(
        &mut self,
        filter: &Filter,
        mut each: impl FnMut(Record),
    ) -> Result<(), StoreError> {
        for (_, row) in self.rows(filter, Bound::None, None, "ASC")? {
            each(self.numbers(row)?);
        }
        Ok(())
    }

    /// When the oldest record that fits was written, in milliseconds since 1970.
    pub(super) fn oldest(&mut self, filter: &Filter) -> Result<Option<i64>, StoreError> {
        let rows = self.rows(filter, Bound::None, Some(1), "ASC")?;
        Ok(rows.first().map(|(_, row)| row.time))
    }

    fn rows(
        &mut self,
        filter: &Filter,
        bound: Bound,
        limit: Option<usize>,
        order: &str,
    ) -> Result<Vec<(i64, Numbers)>, StoreError> {
        let Some(mut query) = self.query(filter)? else {
            return Ok(Vec::new());
        };
        let Query { from, id, .. } = query;
        match bound {
            Bound::Below(number) => query.add(&format!(" AND {id} < ?"), number),
            Bound::Above(number) => query.add(&format!(" AND {id} > ?"), number),
            Bound::None => {}
        }
        let Query {
            condition,
            mut values,
            ..
        } = query;
        let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(-1));
        values.push(Value::Integer(limit));
        let sql =
            format!("SELECT {COLUMNS} FROM {from} WHERE {condition} ORDER BY {id} {order} LIMIT ?");
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement
                    .query_map(params_from_iter(values), row)?
                    .collect()
            })
            .map_err(StoreError::database("read"))
    }

    /// A filter as SQL; `None` where nothing can fit.
    fn query(&mut self, filter: &Filter) -> Result<Option<Query>, StoreError> {
        let Filter {
            since,
            until,
            class,
            model,
            label,
            conversation,
            request,
            failed,
            text,
        } = filter;
        let text = text.as_deref().and_then(store::search_query);
        let words = [("class", class), ("model", model), ("labels", label)];
        let mut query = match text {
            // The index gives records in their order: where nothing else is asked for, it need not be read to its end.
            Some(text)
                if conversation.is_none()
                    && request.is_none()
                    && failed.is_none()
                    && words.iter().all(|(_, wanted)| wanted.is_none()) =>
            {
                let mut query = Query::of(
                    "search CROSS JOIN records ON records.id = search.rowid",
                    "search.rowid",
                );
                query.add(" AND search MATCH ?", text);
                query
            }
            Some(text) => {
                let mut query = Query::of("records", "id");
                query.add(
                    " AND id IN (SELECT rowid FROM search WHERE search MATCH ?)",
                    text,
                );
                query
            }
            None => Query::of("records", "id"),
        };
        if let Some(since) = since {
            // Segments know their times: what is older as a whole is passed over unread.
            let first = "SELECT first FROM segments WHERE newest >= ? ORDER BY id LIMIT 1";
            query.add(
                &format!(" AND {} >= coalesce(({first}), 0)", query.id),
                *since,
            );
            query.add(" AND time >= ?", *since);
        }
        if let Some(until) = until {
            query.add(" AND time < ?", *until);
        }
        if let Some(conversation) = conversation {
            query.add(" AND conversation = ?", store::hash(conversation));
        }
        if let Some(request) = request {
            query.add(" AND request = ?", store::hash(request));
        }
        match failed {
            Some(true) => query.condition.push_str(" AND status >= 400"),
            Some(false) => query.condition.push_str(" AND status < 400"),
            None => {}
        }
        for (column, wanted) in words {
            let Some(wanted) = wanted else { continue };
            let numbers = self.numbers_of_words(|word| match column {
                "labels" => word.split(',').any(|label| label == wanted),
                _ => fits(wanted, word),
            })?;
            if numbers.is_empty() {
                return Ok(None);
            }
            let numbers = numbers.join(", ");
            query
                .condition
                .push_str(&format!(" AND {column} IN ({numbers})"));
        }
        Ok(Some(query))
    }

    /// The numbers of words; there are few.
    fn numbers_of_words(&mut self, fits: impl Fn(&str) -> bool) -> Result<Vec<String>, StoreError> {
        self.read_words()?;
        let words = self.words.iter();
        Ok(words
            .filter(|(_, word)| fits(word))
            .map(|(number, _)| number.to_string())
            .collect())
    }

    fn read_words(&mut self) -> Result<(), StoreError> {
        let words = self
            .connection
            .prepare_cached("SELECT id, text FROM words WHERE id > ?1")
            .and_then(|mut statement| {
                let known = self.words.keys().max().copied().unwrap_or(0);
                let words = statement.query_map([known], |row| {
                    Ok((row.get(0)?, row.get::<_, String>(1)?.into()))
                })?;
                words.collect::<Result<Vec<_>, _>>()
            })
            .map_err(StoreError::database("read"))?;
        self.words.extend(words);
        Ok(())
    }

    fn word(&mut self, number: i64) -> Result<Arc<str>, StoreError> {
        if let Some(word) = self.words.get(&number) {
            return Ok(word.clone());
        }
        self.read_words()?;
        let word = self.words.get(&number).cloned();
        word.ok_or_else(|| StoreError::damaged(0, format!("the word {number} is missing")))
    }

    /// What the row alone says.
    fn numbers(&mut self, row: Numbers) -> Result<Record, StoreError> {
        let labels = self.word(row.labels)?;
        let labels = labels.split(',').filter(|label| !label.is_empty());
        Ok(Record {
            time: row.time,
            class: self.word(row.class)?.to_string().into(),
            labels: labels.map(Arc::from).collect(),
            model: match self.word(row.model)? {
                word if &*word == NOTHING => Arc::default(),
                word => word,
            },
            profile: row.profile.map(|number| self.word(number)).transpose()?,
            policy: row.policy,
            status: row.status,
            finish: match row.finish {
                Some(number) => Some(self.word(number)?.to_string().into()),
                None => None,
            },
            usage: row.usage,
            timings: row.timings,
            kept: row.kept,
            ..Record::default()
        })
    }

    fn detail(&mut self, id: i64) -> Result<Detail, StoreError> {
        self.unpackers.detail(&self.connection, id)
    }

    fn summary(&mut self, id: i64, row: Numbers) -> Result<Summary, StoreError> {
        let record = self.numbers(row)?;
        let (record, mut detail) = self.with_names(id, record)?;
        let preview = std::mem::take(&mut detail.preview);
        Ok(Summary {
            id,
            record,
            preview,
        })
    }

    fn with_names(&mut self, id: i64, record: Record) -> Result<(Record, Detail), StoreError> {
        let mut detail = self.detail(id)?;
        let record = Record {
            request: std::mem::take(&mut detail.request),
            conversation: detail.conversation.take(),
            client: detail.client.take(),
            user: detail.user.take(),
            asked: std::mem::take(&mut detail.asked),
            provider: std::mem::take(&mut detail.provider),
            error: detail.error.take(),
            ..record
        };
        Ok((record, detail))
    }

    fn whole(&mut self, id: i64, row: Numbers) -> Result<Record, StoreError> {
        let record = self.numbers(row)?;
        let (record, mut detail) = self.with_names(id, record)?;
        if self.texts.len() >= MOST_TEXTS {
            self.texts.clear();
        }
        self.texts.insert(id, std::mem::take(&mut detail.texts));
        let mut texts = TextsOf {
            connection: &self.connection,
            unpackers: &mut self.unpackers,
            texts: &mut self.texts,
        };
        let content = detail.content(id, &mut texts)?;
        Ok(Record { content, ..record })
    }
}

/// A row of `records`.
struct Numbers {
    time: i64,
    class: i64,
    model: i64,
    labels: i64,
    profile: Option<i64>,
    policy: u64,
    status: u16,
    finish: Option<i64>,
    kept: Kept,
    usage: Option<Usage>,
    timings: Timings,
}

fn row(row: &Row<'_>) -> rusqlite::Result<(i64, Numbers)> {
    let micros = |column: usize| {
        let micros: Option<i64> = row.get(column)?;
        Ok::<_, rusqlite::Error>(
            micros.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))),
        )
    };
    let prompt: Option<u32> = row.get(10)?;
    let usage = prompt.map(|prompt| {
        Ok::<_, rusqlite::Error>(Usage {
            prompt,
            cached: row.get(11)?,
            completion: row.get(12)?,
            reasoning: row.get(13)?,
        })
    });
    let numbers = Numbers {
        time: row.get(1)?,
        class: row.get(2)?,
        model: row.get(3)?,
        labels: row.get(4)?,
        profile: row.get(5)?,
        policy: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
        status: row.get(7)?,
        finish: row.get(8)?,
        kept: Kept::ALL
            .get(usize::from(row.get::<_, u8>(9)?))
            .copied()
            .unwrap_or_default(),
        usage: usage.transpose()?,
        timings: Timings {
            queued: micros(14)?,
            first_token: micros(15)?,
            total: micros(16)?.unwrap_or_default(),
        },
    };
    Ok((row.get(0)?, numbers))
}

/// Finds texts in the details of the records that brought them.
struct TextsOf<'r> {
    connection: &'r Connection,
    unpackers: &'r mut Unpackers,
    texts: &'r mut HashMap<i64, Vec<String>>,
}

impl Resolver for TextsOf<'_> {
    fn text(&mut self, place: Place) -> Result<&str, StoreError> {
        let Place { record, index } = place;
        if !self.texts.contains_key(&record) {
            let detail = self.unpackers.detail(self.connection, record)?;
            self.texts.insert(record, detail.texts);
        }
        let texts = self.texts.get(&record);
        let text = texts.and_then(|texts| texts.get(usize::try_from(index).ok()?));
        text.map(String::as_str)
            .ok_or_else(|| StoreError::damaged(record, format!("text {index} is missing")))
    }

    fn image(&mut self, record: i64, number: u32) -> Result<String, StoreError> {
        let sql = "SELECT data FROM images WHERE record = ?1 AND number = ?2";
        let data = self
            .unpackers
            .data(self.connection, record, sql, &[&record, &number])?;
        String::from_utf8(data).map_err(|error| StoreError::damaged(record, error))
    }
}
