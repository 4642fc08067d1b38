//! Values that many records share, as numbers.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

/// Words that were looked up already.
#[derive(Debug, Default)]
pub(super) struct Words(HashMap<String, i64>);

/// Words are few; where a client invents model names all the time, memory still has an end.
const MOST: usize = 10_000;

impl Words {
    /// The number of a word, which gets one if it has none.
    pub(super) fn number(&mut self, connection: &Connection, word: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.0.get(word) {
            return Ok(*number);
        }
        let known = connection
            .prepare_cached("SELECT id FROM words WHERE text = ?1")?
            .query_row([word], |row| row.get(0))
            .optional()?;
        let number = match known {
            Some(number) => number,
            None => {
                connection
                    .prepare_cached("INSERT INTO words (text) VALUES (?1)")?
                    .execute([word])?;
                connection.last_insert_rowid()
            }
        };
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(word.to_owned(), number);
        Ok(number)
    }
}
