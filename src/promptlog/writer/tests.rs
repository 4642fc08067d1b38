use std::sync::mpsc;

use super::*;
use crate::{
    config::LogStore,
    promptlog::{
        Record,
        tests::{LIMITS, NOW, chat},
    },
};

/// A store that cannot pack what has a certain text, nor a request of a certain name.
#[derive(Debug, Default)]
struct Picky {
    kept: Vec<(String, Kept)>,
}

impl Store for Picky {
    fn write(
        &mut self,
        records: &mut dyn Iterator<Item = &Record>,
    ) -> Result<Vec<i64>, StoreError> {
        let mut kept = Vec::new();
        for (place, record) in records.enumerate() {
            let content = record.content.as_ref();
            let is_odd = content.is_some_and(|content| content.last_user() == "odd");
            if is_odd || record.request == "hopeless" {
                return Err(StoreError::Unfit {
                    place,
                    reason: "it is odd".to_owned(),
                });
            }
            kept.push((record.request.clone(), record.kept));
        }
        let ids = 1..=i64::try_from(kept.len()).unwrap();
        self.kept.append(&mut kept);
        Ok(ids.collect())
    }

    fn tidy(&mut self, _: i64, _: Duration) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn size(&mut self) -> Result<u64, StoreError> {
        Ok(self.kept.len() as u64)
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn only_the_record_that_cannot_be_packed_loses_its_content() {
    let settings = Settings {
        place: LogStore::Sqlite("nowhere".into()),
        instance: None,
        content: Content::Full,
        opt_out: true,
        flush: Duration::from_secs(1),
        limits: LIMITS,
    };
    let (_sender, receiver) = mpsc::sync_channel(1);
    let board = Arc::new(Board::new(String::new()));
    let mut writer = Writer::new(
        settings,
        receiver,
        Arc::clone(&board),
        broadcast::channel(1).0,
    );
    writer.store = Some(Box::new(Picky::default()));
    for (request, said) in [
        ("a", "fine"),
        ("b", "odd"),
        ("hopeless", "odd"),
        ("d", "fine"),
    ] {
        let record = Record {
            request: request.to_owned(),
            ..chat(NOW, said, "")
        };
        let entry = Box::new(Entry {
            record,
            ..Entry::default()
        });
        writer.pending.push(Pending { entry, weight: 10 });
        board.held.fetch_add(10, Ordering::Relaxed);
        board.waiting.fetch_add(1, Ordering::Relaxed);
    }
    writer.write(Reason::Due).unwrap();
    let status = board.status();
    assert_eq!(
        (status.written, status.content_dropped, status.lost),
        (3, 2, 1)
    );
    assert_eq!((status.waiting, status.waiting_bytes), (0, 0));
    let kept = format!("{:?}", writer.store);
    let expected = r#"[("a", Full), ("b", Dropped), ("d", Full)]"#;
    assert!(kept.contains(expected), "{kept}");
}
