//! Reading the log, in this process or another.

use std::{collections::HashMap, fmt, ops::ControlFlow, sync::Arc};

use super::{
    Filter, Kept, Record, Summary,
    query::{Bound, Query},
    recall::{Images, Recall, TextsOf, detail},
    store::{self, COLUMNS, Detail, NOTHING, Numbers, Source, StoreError},
};
use crate::{config::LogStore, engine::Miss};

/// Reads the log. Every call sees what had been written when it began.
pub struct Reader {
    place: LogStore,
    source: Box<dyn Source>,
    words: HashMap<i64, Arc<str>>,
    recall: Recall,
    images: Images,
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

impl Reader {
    /// Opens the log.
    ///
    /// # Errors
    /// When there is no log at this place, or this version cannot read it.
    pub fn open(place: &LogStore) -> Result<Self, StoreError> {
        Ok(Self {
            place: place.clone(),
            source: store::open_to_read(place)?,
            words: HashMap::new(),
            recall: Recall::default(),
            images: Images::Whole,
        })
    }

    /// As [`Reader::open`], for who looks at texts only: in the place of a large image stands its name.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_without_images(place: &LogStore) -> Result<Self, StoreError> {
        Ok(Self {
            images: Images::Named,
            ..Self::open(place)?
        })
    }

    /// Turns to the file that is in the log's place now, where it was deleted or moved; says whether that is another log,
    /// whose records are counted anew.
    ///
    /// # Errors
    /// When this version cannot read what is there.
    pub fn turn(&mut self) -> Result<bool, StoreError> {
        if self.source.is_in_place() {
            return Ok(false);
        }
        match Self::open(&self.place) {
            Ok(new) => {
                let is_another = new.source.log() != self.source.log();
                *self = new;
                Ok(is_another)
            }
            // Nothing has been written there since.
            Err(StoreError::Missing { .. } | StoreError::Older { .. }) => Ok(false),
            Err(error) => Err(error),
        }
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
        let next = (rows.len() == limit).then(|| rows.last().map(|row| row.id));
        let summaries = rows.into_iter();
        let summaries = summaries.filter_map(|row| self.summary(row).transpose());
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
        let summaries = rows.into_iter();
        let summaries = summaries.filter_map(|row| self.summary(row).transpose());
        summaries.collect()
    }

    /// The number of the newest record; 0 in an empty log.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn newest(&mut self) -> Result<i64, StoreError> {
        let newest = self.source.number("SELECT max(id) FROM records", &[])?;
        Ok(newest.unwrap_or(0))
    }

    /// The models that answered.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn models(&mut self) -> Result<Vec<Arc<str>>, StoreError> {
        let mut numbers = Vec::new();
        self.source
            .each("SELECT DISTINCT model FROM records", &[], &mut |row| {
                numbers.extend(row.first().copied().flatten());
            })?;
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
        let sql = format!("SELECT count(*) FROM {from} WHERE {condition}");
        let count = self.source.number(&sql, &query.values)?;
        Ok(count
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0))
    }

    /// A record with its content, or, where it is [damaged](Kept::Damaged), what can be read of it; `None` where there is
    /// none of this number, or no longer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(&mut self, id: i64) -> Result<Option<Record>, StoreError> {
        match self.row(id)? {
            Some(row) => self.readable(row),
            None => Ok(None),
        }
    }

    fn row(&mut self, id: i64) -> Result<Option<Numbers>, StoreError> {
        let living = self.source.dialect().living();
        let sql = format!("SELECT {COLUMNS} FROM records WHERE id = ? AND {living}");
        let mut found = None;
        self.source.each(&sql, &[id.into()], &mut |row| {
            found = Some(Numbers::of(row));
        })?;
        Ok(found)
    }

    /// Calls `each` with every record that fits, as [`Reader::get`] gives it, oldest first, until it breaks.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn each(
        &mut self,
        filter: &Filter,
        each: impl FnMut(i64, Record) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.walk(Bound::Above(0), filter, each)
    }

    /// As [`Reader::each`], but newest first.
    ///
    /// # Errors
    /// As [`Reader::each`].
    pub fn each_backwards(
        &mut self,
        filter: &Filter,
        each: impl FnMut(i64, Record) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.walk(Bound::Below(i64::MAX), filter, each)
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
        query.values.push(count.into());
        let Query {
            from,
            id,
            condition,
            values,
        } = query;
        let sql =
            format!("SELECT id FROM {from} WHERE {condition} ORDER BY {id} DESC LIMIT 1 OFFSET ?");
        let last_left_out = self.source.number(&sql, &values)?;
        self.walk(Bound::Above(last_left_out.unwrap_or(0)), filter, each)
    }

    /// Goes away from a bound.
    fn walk(
        &mut self,
        mut bound: Bound,
        filter: &Filter,
        mut each: impl FnMut(i64, Record) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        const CHUNK: usize = 512;
        let (order, further): (_, fn(i64) -> Bound) = match bound {
            Bound::Below(_) => ("DESC", Bound::Below),
            Bound::Above(_) | Bound::None => ("ASC", Bound::Above),
        };
        loop {
            let rows = self.rows(filter, bound, Some(CHUNK), order)?;
            let last = rows.len() < CHUNK;
            for row in rows {
                let id = row.id;
                bound = further(id);
                // It may have been deleted since.
                let Some(record) = self.readable(row)? else {
                    continue;
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

    /// Calls `each` with the numbers of every record that fits, in no particular order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn scan(
        &mut self,
        filter: &Filter,
        mut each: impl FnMut(&Numbers),
    ) -> Result<(), StoreError> {
        let Some(query) = self.query(filter)? else {
            return Ok(());
        };
        let Query {
            from, condition, ..
        } = query;
        let sql = format!("SELECT {COLUMNS} FROM {from} WHERE {condition}");
        self.source
            .each(&sql, &query.values, &mut |row| each(&Numbers::of(row)))
    }

    /// When the oldest record that fits was written, in milliseconds since 1970.
    pub(super) fn oldest(&mut self, filter: &Filter) -> Result<Option<i64>, StoreError> {
        let rows = self.rows(filter, Bound::None, Some(1), "ASC")?;
        Ok(rows.first().map(|row| row.time))
    }

    fn rows(
        &mut self,
        filter: &Filter,
        bound: Bound,
        limit: Option<usize>,
        order: &str,
    ) -> Result<Vec<Numbers>, StoreError> {
        let Some(mut query) = self.query(filter)? else {
            return Ok(Vec::new());
        };
        let Query { from, id, .. } = query;
        match bound {
            Bound::Below(number) => query.add(&format!(" AND {id} < ?"), number),
            Bound::Above(number) => query.add(&format!(" AND {id} > ?"), number),
            Bound::None => {}
        }
        let limit = limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        query.values.push(limit.into());
        let condition = &query.condition;
        let sql =
            format!("SELECT {COLUMNS} FROM {from} WHERE {condition} ORDER BY {id} {order} LIMIT ?");
        let mut rows = Vec::new();
        self.source.each(&sql, &query.values, &mut |row| {
            rows.push(Numbers::of(row));
        })?;
        Ok(rows)
    }

    fn query(&mut self, filter: &Filter) -> Result<Option<Query>, StoreError> {
        Query::of(filter, self.source.dialect(), |fits| {
            self.numbers_of_words(fits)
        })
    }

    /// The numbers of words; there are few.
    fn numbers_of_words(&mut self, fits: &dyn Fn(&str) -> bool) -> Result<Vec<i64>, StoreError> {
        self.read_words()?;
        let words = self.words.iter();
        Ok(words
            .filter(|(_, word)| fits(word))
            .map(|(number, _)| *number)
            .collect())
    }

    fn read_words(&mut self) -> Result<(), StoreError> {
        let known = self.words.keys().max().copied().unwrap_or(0);
        self.words.extend(self.source.words(known)?);
        Ok(())
    }

    /// The word of a number.
    pub(super) fn word(&mut self, number: i64) -> Result<Arc<str>, StoreError> {
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

    /// `None` where the record has been deleted since.
    fn summary(&mut self, row: Numbers) -> Result<Option<Summary>, StoreError> {
        let id = row.id;
        let (record, preview) = match self.with_names(row) {
            Ok((record, mut detail)) => (record, std::mem::take(&mut detail.preview)),
            Err(StoreError::Damaged { .. }) => match self.damaged(row)? {
                Some(record) => (record, String::new()),
                None => return Ok(None),
            },
            Err(error) => return Err(error),
        };
        Ok(Some(Summary {
            id,
            record,
            preview,
        }))
    }

    /// The whole record or what can be read of it; `None` where it has been deleted since.
    fn readable(&mut self, row: Numbers) -> Result<Option<Record>, StoreError> {
        match self.whole(row) {
            Err(StoreError::Damaged { .. }) => self.damaged(row),
            record => record.map(Some),
        }
    }

    /// What can be read of a damaged record; `None` where it only seems so, because it has been deleted since.
    fn damaged(&mut self, row: Numbers) -> Result<Option<Record>, StoreError> {
        if self.row(row.id)?.is_none() {
            return Ok(None);
        }
        let record = match self.with_names(row) {
            Ok((record, _)) => record,
            Err(StoreError::Damaged { .. }) => self.numbers(row)?,
            Err(error) => return Err(error),
        };
        Ok(Some(Record {
            kept: Kept::Damaged,
            ..record
        }))
    }

    fn with_names(&mut self, row: Numbers) -> Result<(Record, Detail), StoreError> {
        let mut detail = detail(&mut *self.source, row.id)?;
        let record = Record {
            request: std::mem::take(&mut detail.request),
            conversation: detail.conversation.take(),
            instance: detail.instance.take(),
            client: detail.client.take(),
            user: detail.user.take(),
            asked: std::mem::take(&mut detail.asked),
            provider: std::mem::take(&mut detail.provider),
            error: detail.error.take(),
            miss: detail.miss.take().and_then(|name| Miss::named(&name)),
            ..self.numbers(row)?
        };
        Ok((record, detail))
    }

    fn whole(&mut self, row: Numbers) -> Result<Record, StoreError> {
        let id = row.id;
        let (record, mut detail) = self.with_names(row)?;
        self.recall.keep(id, std::mem::take(&mut detail.texts));
        let mut texts = TextsOf {
            source: &mut *self.source,
            recall: &mut self.recall,
            images: self.images,
        };
        let content = detail.content(id, &mut texts)?;
        Ok(Record { content, ..record })
    }
}
