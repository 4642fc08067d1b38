//! What a reader remembers: texts of records that others refer to.

use std::collections::HashMap;

use super::store::{Detail, Place, Resolver, Source, StoreError};

/// Bytes of texts that are remembered, that of the last record aside. Most conversations have less; of others, records are
/// read more than once.
const MOST: usize = 16 << 20;
/// What a text costs beside its own bytes.
const EACH: usize = 48;

/// Texts by their record.
#[derive(Debug, Default)]
pub(super) struct Recall {
    texts: HashMap<i64, Vec<String>>,
    bytes: usize,
}

impl Recall {
    /// Remembers the texts that a record brought.
    pub(super) fn keep(&mut self, record: i64, texts: Vec<String>) {
        if self.bytes >= MOST {
            *self = Self::default();
        }
        self.bytes += bytes(&texts);
        let before = self.texts.insert(record, texts);
        self.bytes -= before.as_deref().map_or(0, bytes);
    }
}

fn bytes(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + EACH).sum::<usize>() + EACH
}

/// What becomes of images that are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Images {
    Whole,
    Named,
}

/// Finds texts in the details of the records that brought them.
pub(super) struct TextsOf<'r> {
    pub(super) source: &'r mut dyn Source,
    pub(super) recall: &'r mut Recall,
    pub(super) images: Images,
}

impl Resolver for TextsOf<'_> {
    fn text(&mut self, place: Place) -> Result<&str, StoreError> {
        let Place { record, index } = place;
        if !self.recall.texts.contains_key(&record) {
            let texts = detail(self.source, record)?.texts;
            self.recall.keep(record, texts);
        }
        let texts = self.recall.texts.get(&record);
        let text = texts.and_then(|texts| texts.get(usize::try_from(index).ok()?));
        text.map(String::as_str)
            .ok_or_else(|| StoreError::damaged(record, format!("text {index} is missing")))
    }

    fn image(&mut self, record: i64, number: u32) -> Result<Option<String>, StoreError> {
        if self.images == Images::Named {
            return Ok(None);
        }
        let data = self.source.image(record, number)?;
        let image = String::from_utf8(data).map_err(|error| StoreError::damaged(record, error))?;
        Ok(Some(image))
    }
}

/// What is kept of a record beside its numbers.
pub(super) fn detail(source: &mut dyn Source, record: i64) -> Result<Detail, StoreError> {
    let json = source.detail(record)?;
    serde_json::from_slice(&json).map_err(|error| StoreError::damaged(record, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut recall = Recall::default();
        for record in 0..100 {
            recall.keep(record, vec!["x".repeat(1 << 20)]);
            recall.keep(record, vec!["x".repeat(1 << 20)]);
            assert!(recall.texts.contains_key(&record));
            let held: usize = recall.texts.values().map(|texts| bytes(texts)).sum();
            assert_eq!(held, recall.bytes);
            assert!(held <= MOST + (2 << 20), "{held}");
        }
    }
}
