//! The format of the tables and the way from older ones to the present one.

use tokio_postgres::{GenericClient, Transaction};

use super::session::Statements;
use crate::{config::LogServer, promptlog::store::StoreError};

/// What leads from each format to the next; the table `rkgate_log` holds how many have been applied.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    // Microseconds of the NPU.
    "ALTER TABLE records ADD COLUMN decode bigint",
];

/// Instances that start at the same time take turns.
const LOCK: i64 = 0x726b_676c;

/// Brings the tables to the present format.
pub(super) async fn bring_up_to_date(
    statements: &mut Statements<'_>,
    server: &LogServer,
) -> Result<(), StoreError> {
    let failed = || StoreError::server("migrate");
    let transaction = statements.client.transaction().await.map_err(failed())?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(failed())?;
    migrate(&transaction, server).await?;
    transaction.commit().await.map_err(failed())
}

async fn migrate(transaction: &Transaction<'_>, server: &LogServer) -> Result<(), StoreError> {
    let failed = || StoreError::server("migrate");
    let encoding: String = transaction
        .query_one("SHOW server_encoding", &[])
        .await
        .map_err(failed())?
        .get(0);
    if encoding != "UTF8" {
        return Err(StoreError::Encoding {
            place: server.to_string(),
            encoding,
        });
    }
    let (known, found) = (known(), format(transaction, server).await?);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    if found == known {
        return Ok(());
    }
    if found == 0 {
        transaction
            .batch_execute("CREATE TABLE rkgate_log (format bigint NOT NULL); INSERT INTO rkgate_log VALUES (0)")
            .await
            .map_err(failed())?;
    }
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction
            .batch_execute(migration)
            .await
            .map_err(failed())?;
    }
    transaction
        .execute("UPDATE rkgate_log SET format = $1", &[&i64::from(known)])
        .await
        .map_err(failed())?;
    Ok(())
}

/// Refuses tables that this version cannot read.
pub(super) async fn check(
    statements: &mut Statements<'_>,
    server: &LogServer,
) -> Result<(), StoreError> {
    let known = known();
    match format(statements.client, server).await? {
        found if found > known => Err(StoreError::Newer { found, known }),
        0 => Err(StoreError::Missing {
            path: server.to_string().into(),
        }),
        found if found < known => Err(StoreError::Older { found, known }),
        _ => Ok(()),
    }
}

fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// How many migrations have been applied; 0 where there is no log yet.
async fn format(client: &impl GenericClient, server: &LogServer) -> Result<u32, StoreError> {
    let failed = || StoreError::server("read");
    let tables = "SELECT to_regclass('rkgate_log') IS NOT NULL, to_regclass('records') IS NOT NULL";
    let tables = client.query_one(tables, &[]).await.map_err(failed())?;
    match (tables.get(0), tables.get(1)) {
        (true, _) => {
            let format = client.query_one("SELECT format FROM rkgate_log", &[]);
            let format: i64 = format.await.map_err(failed())?.get(0);
            Ok(u32::try_from(format).unwrap_or(u32::MAX))
        }
        (false, true) => Err(StoreError::Foreign {
            place: server.to_string(),
        }),
        (false, false) => Ok(0),
    }
}
