//! Reading.

use std::{pin::pin, sync::Arc};

use futures::TryStreamExt;
use tokio_postgres::{Error, types::ToSql};

use super::{
    schema,
    session::{Session, Statements},
};
use crate::{
    config::LogServer,
    promptlog::{
        query::{Dialect, Value},
        store::{
            self, StoreError,
            segment::EXAMPLES,
            unpack::{Unpackers, gone},
        },
    },
};

/// The reading side.
pub(in crate::promptlog::store) struct Source {
    session: Session,
    unpackers: Unpackers,
}

impl Source {
    pub(in crate::promptlog::store) fn open(server: &LogServer) -> Result<Self, StoreError> {
        let mut session = Session::open(server)?;
        session.run("open", async |statements| {
            schema::check(statements, server).await
        })?;
        Ok(Self {
            session,
            unpackers: Unpackers::default(),
        })
    }
}

impl store::Source for Source {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&[Option<i64>]),
    ) -> Result<(), StoreError> {
        let sql = numbered(sql);
        self.session.run("read", async |statements| {
            let rows = async {
                let mut rows = pin!(statements.rows(&sql, values).await?);
                let mut numbers = Vec::new();
                while let Some(row) = rows.try_next().await? {
                    numbers.clear();
                    for column in 0..row.len() {
                        numbers.push(row.try_get(column)?);
                    }
                    each(&numbers);
                }
                Ok(())
            };
            rows.await.map_err(StoreError::server("read"))
        })
    }

    fn words(&mut self, above: i64) -> Result<Vec<(i64, Arc<str>)>, StoreError> {
        self.session.run("read", async |statements| {
            let words: Result<_, Error> = async {
                let sql = "SELECT id, text FROM words WHERE id > $1 ORDER BY id";
                let statement = statements.prepare(sql).await?;
                let rows = statements.client.query(&statement, &[&above]).await?;
                let words = rows.iter();
                words
                    .map(|row| Ok((row.try_get(0)?, row.try_get::<_, &str>(1)?.into())))
                    .collect()
            }
            .await;
            words.map_err(StoreError::server("read"))
        })
    }

    fn detail(&mut self, record: i64) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT data, segment FROM details JOIN records USING (id) WHERE id = $1";
        let unpackers = &mut self.unpackers;
        self.session.run("read", async |statements| {
            unpack(statements, unpackers, record, sql, &[&record]).await
        })
    }

    fn image(&mut self, record: i64, number: u32) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT data, segment FROM images JOIN records ON id = record WHERE record = $1 AND number = $2";
        let unpackers = &mut self.unpackers;
        self.session.run("read", async |statements| {
            let number = i64::from(number);
            unpack(statements, unpackers, record, sql, &[&record, &number]).await
        })
    }
}

/// The JSON of the last records, newest first, of those that can be read.
pub(super) async fn latest(
    statements: &mut Statements<'_>,
    unpackers: &mut Unpackers,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let sql = format!(
        "SELECT id, data, segment FROM details JOIN records USING (id) ORDER BY id DESC LIMIT {EXAMPLES}"
    );
    let failed = || StoreError::server("read");
    let statement = statements.prepare(&sql).await.map_err(failed())?;
    let rows = statements.client.query(&statement, &[]).await;
    let mut latest = Vec::new();
    for row in rows.map_err(failed())? {
        let (data, segment) = (row.try_get(1).map_err(failed())?, row.try_get(2));
        let (id, segment) = (
            row.try_get(0).map_err(failed())?,
            segment.map_err(failed())?,
        );
        match with_dictionary(statements, unpackers, id, data, segment).await {
            Err(StoreError::Damaged { .. }) => {}
            example => latest.push(example?),
        }
    }
    Ok(latest)
}

/// Unpacks what a query for data and segment gives.
async fn unpack(
    statements: &mut Statements<'_>,
    unpackers: &mut Unpackers,
    record: i64,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<u8>, StoreError> {
    let found = async {
        let row = statements.first(sql, values).await?;
        row.map(|row| Ok((row.try_get::<_, Vec<u8>>(0)?, row.try_get(1)?)))
            .transpose()
    };
    let found: Result<Option<(Vec<u8>, i64)>, Error> = found.await;
    let (data, segment) = found
        .map_err(StoreError::server("read"))?
        .ok_or_else(|| gone(record))?;
    with_dictionary(statements, unpackers, record, &data, segment).await
}

async fn with_dictionary(
    statements: &mut Statements<'_>,
    unpackers: &mut Unpackers,
    record: i64,
    data: &[u8],
    segment: i64,
) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    if !unpackers.know(segment) {
        let sql = "SELECT dictionary FROM segments WHERE id = $1";
        let failed = || StoreError::server("read");
        let row = statements.first(sql, &[&segment]).await.map_err(failed())?;
        let row = row.ok_or_else(|| gone(record))?;
        text = row.try_get(0).map_err(failed())?;
    }
    unpackers.unpack(record, data, segment, || Ok(text))
}

/// Values in PostgreSQL's way: `$1` for the first `?`.
fn numbered(sql: &str) -> String {
    let mut numbered = String::new();
    for (number, part) in sql.split('?').enumerate() {
        if number > 0 {
            numbered.push_str(&format!("${number}"));
        }
        numbered.push_str(part);
    }
    numbered
}
