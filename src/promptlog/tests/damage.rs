//! Records that cannot be read again.

use std::{ops::ControlFlow, time::Duration};

use super::{
    LIMITS, Log, NOW, chat,
    service::{entry, start_flushing},
};
use crate::{
    config::Content,
    promptlog::{Filter, Health, Kept},
};

/// Twelve chats, the fifth of them damaged.
fn damaged() -> Log {
    let log = Log::new();
    let records: Vec<_> = (0..12)
        .map(|n| chat(NOW + n, &format!("question number {n}"), "well"))
        .collect();
    log.store(LIMITS).write(&mut records.iter()).unwrap();
    let connection = rusqlite::Connection::open(&log.path).unwrap();
    let spoil = "UPDATE details SET data = x'00' WHERE id = 5";
    assert_eq!(connection.execute(spoil, []).unwrap(), 1);
    log
}

#[test]
fn a_damaged_record_hides_no_other() {
    let log = damaged();
    let mut reader = log.reader();
    let page = reader.page(&Filter::default(), None, 20).unwrap();
    let previews: Vec<&str> = page.records.iter().map(|it| it.preview.as_str()).collect();
    assert_eq!(previews.len(), 12);
    assert_eq!(
        previews[6..9],
        ["question number 5", "", "question number 3"]
    );
    let row = &page.records[7];
    assert_eq!((row.id, row.record.kept), (5, Kept::Damaged));
    assert_eq!(row.record.usage.unwrap().prompt, 40);
    assert_eq!(reader.newer(&Filter::default(), 3, 3).unwrap().len(), 3);

    let mut all = Vec::new();
    let mut note = |id, record: crate::promptlog::Record| {
        all.push((id, record.kept, record.content.is_some()));
        ControlFlow::Continue(())
    };
    reader.each(&Filter::default(), &mut note).unwrap();
    // Others lean on texts that the first record brought; nobody leans on the fifth.
    for (id, kept, has_content) in all {
        let is_whole = id != 5;
        assert_eq!(
            (kept == Kept::Full, has_content),
            (is_whole, is_whole),
            "{id}"
        );
    }
    let read = reader.get(5).unwrap().unwrap();
    assert_eq!((read.kept, &*read.class), (Kept::Damaged, "chat"));
}

#[test]
fn a_log_with_a_damaged_record_goes_on() {
    let log = damaged();
    let running = start_flushing(&log, Content::Full, Duration::from_millis(5));
    running.send(entry(chat(NOW, "after the damage", "ok")));
    running.close();
    let status = running.status();
    assert_eq!(status.health, Health::Running);
    assert_eq!((status.written, status.content_dropped), (1, 0));
    let read = log.reader().get(13).unwrap().unwrap();
    assert_eq!(read.content.unwrap().last_user(), "after the damage");
}
