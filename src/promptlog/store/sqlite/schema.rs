//! The format of the database and the way from older ones to the present one.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use crate::promptlog::store::StoreError;

/// `PRAGMA application_id`: "rkgl".
const APPLICATION: i32 = 0x726b_676c;

/// What leads from each format to the next; `PRAGMA user_version` counts those that have been applied.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    // Microseconds of the NPU.
    "ALTER TABLE records ADD COLUMN decode INTEGER",
    // Each flush adds a part to the index of words. Parts are joined by eights, not by fours: a sixth less to write.
    "INSERT INTO search (search, rank) VALUES ('automerge', 8)",
];
/// The present format.
const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Brings a database to the present format.
pub(super) fn bring_up_to_date(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate(connection, path, MIGRATIONS)
}

/// Refuses a file whose first page, which may be older than the write-ahead log, says that it is no log of this version.
pub(super) fn look_at(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match format(connection, path) {
        Ok(found) if found > KNOWN => Err(StoreError::Newer {
            found,
            known: KNOWN,
        }),
        Err(StoreError::Database { attempt, source })
            if source.sqlite_error_code() != Some(ErrorCode::NotADatabase) =>
        {
            // The end of the process may have cut a checkpoint: then the write-ahead log has the rest.
            tracing::debug!("cannot {attempt} the first page of the prompt log: {source}");
            Ok(())
        }
        looked => looked.map(|_| ()),
    }
}

/// Refuses a database that this version cannot read.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match format(connection, path)? {
        found if found > KNOWN => Err(StoreError::Newer {
            found,
            known: KNOWN,
        }),
        // Somebody is about to begin it.
        0 => Err(StoreError::Missing {
            path: path.to_owned(),
        }),
        found if found < KNOWN => Err(StoreError::Older {
            found,
            known: KNOWN,
        }),
        _ => Ok(()),
    }
}

fn format(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(StoreError::database("read"))
    };
    let (application, format) = (number("application_id")?, number("user_version")?);
    let pages = number("page_count")?;
    if application != APPLICATION && pages > 1 {
        return Err(StoreError::Foreign {
            place: path.display().to_string(),
        });
    }
    Ok(u32::try_from(format).unwrap_or(u32::MAX))
}

fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let found = format(connection, path)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    let missing = migrations.iter().zip(1..).skip(found as usize);
    for (migration, format) in missing {
        apply(connection, migration, format).map_err(StoreError::database("migrate"))?;
    }
    Ok(())
}

/// A migration takes effect as a whole or not at all.
fn apply(connection: &mut Connection, migration: &str, format: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(migration)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", format)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_leads_to_the_present_one_once() {
        let path = Path::new("test");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path, MIGRATIONS).unwrap();
        let next = [MIGRATIONS, &["CREATE TABLE added (id INTEGER PRIMARY KEY)"]].concat();
        migrate(&mut connection, path, &next).unwrap();
        migrate(&mut connection, path, &next).unwrap();
        connection
            .execute("INSERT INTO added VALUES (1)", [])
            .unwrap();
        let error = migrate(&mut connection, path, MIGRATIONS).unwrap_err();
        assert!(
            matches!(error, StoreError::Newer { found, known } if found == known + 1),
            "{error}"
        );
    }

    #[test]
    fn an_older_format_is_not_read_before_it_is_brought_up_to_date() {
        let path = Path::new("test");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path, &MIGRATIONS[..1]).unwrap();
        let row = ["1"; 19].join(", ");
        let first = format!("INSERT INTO words VALUES (1, ''); INSERT INTO records VALUES ({row})");
        connection.execute_batch(&first).unwrap();
        let older = check(&connection, path).unwrap_err();
        assert!(
            matches!(older, StoreError::Older { found: 1, .. }),
            "{older}"
        );
        bring_up_to_date(&mut connection, path).unwrap();
        check(&connection, path).unwrap();
        let decode = "SELECT decode FROM records";
        let decode: Option<i64> = connection.query_row(decode, [], |row| row.get(0)).unwrap();
        assert_eq!(decode, None);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_format_as_it_was() {
        let path = Path::new("test");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path, MIGRATIONS).unwrap();
        let broken = [
            MIGRATIONS,
            &["CREATE TABLE half (id); CREATE TABLE half (id);"],
        ]
        .concat();
        assert!(migrate(&mut connection, path, &broken).is_err());
        assert!(connection.prepare("SELECT * FROM half").is_err());
        check(&connection, path).unwrap();
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let path = Path::new("test");
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE theirs (id)")
            .unwrap();
        assert!(matches!(
            bring_up_to_date(&mut connection, path),
            Err(StoreError::Foreign { .. })
        ));
    }
}
