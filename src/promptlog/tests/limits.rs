//! Filters, pages and the end of old records.

use std::time::Duration;

use super::{LIMITS, Log, NOW, chat, service::entry};
use crate::{
    config::{Content, LogStore},
    promptlog::{Filter, Limits, Page, PromptLog, Reader, Record, Settings},
};

fn previews(page: &Page) -> Vec<&str> {
    page.records
        .iter()
        .map(|summary| summary.preview.as_str())
        .collect()
}

/// A chat, a failed chat of another model, a task.
fn three(log: &Log) {
    let first = chat(NOW, "How do I bake bread?", "Mix flour and water.");
    let failed = Record {
        model: "gemma3-1b".into(),
        status: 504,
        conversation: None,
        ..chat(NOW + 1000, "And with sourdough?", "")
    };
    let task = Record {
        class: "task/title_generation".into(),
        labels: vec!["rag".into()],
        ..chat(
            NOW + 2000,
            "### Task: a title for a chat about bread",
            "{\"title\": \"Baking\"}",
        )
    };
    log.store(LIMITS)
        .write(&mut [&first, &failed, &task].into_iter())
        .unwrap();
}

fn find(reader: &mut Reader, filter: Filter) -> Vec<i64> {
    let page = reader.page(&filter, None, 10).unwrap();
    assert_eq!(reader.count(&filter).unwrap(), page.records.len() as u64);
    page.records.iter().map(|summary| summary.id).collect()
}

#[test]
fn a_filter_finds_what_fits_all_of_it() {
    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    for log in Log::each() {
        three(&log);
        let reader = &mut log.reader();
        let mut found = |set: fn(&mut Filter)| {
            let mut filter = Filter::default();
            set(&mut filter);
            find(reader, filter)
        };
        assert_eq!(found(|_| {}), [3, 2, 1]);
        assert_eq!(found(|filter| filter.class = text("task/*")), [3]);
        assert_eq!(
            found(|filter| filter.class = text("task/tags_generation")),
            [0_i64; 0]
        );
        assert_eq!(found(|filter| filter.model = text("gemma*")), [2]);
        assert_eq!(found(|filter| filter.label = text("rag")), [3]);
        assert_eq!(found(|filter| filter.failed = Some(true)), [2]);
        assert_eq!(found(|filter| filter.failed = Some(false)), [3, 1]);
        assert_eq!(found(|filter| filter.since = Some(NOW + 1000)), [3, 2]);
        assert_eq!(found(|filter| filter.until = Some(NOW + 1000)), [1]);
        assert_eq!(
            found(|filter| filter.conversation = text("conversation-1")),
            [3, 1]
        );
        assert_eq!(
            found(|filter| filter.request = Some(format!("req-{NOW}"))),
            [1]
        );
        assert_eq!(found(|filter| filter.text = text("FLOUR bak")), [1]);
        assert_eq!(found(|filter| filter.text = text("sourdough")), [2]);
        // The prompt of a task is not searched, its answer is.
        assert_eq!(found(|filter| filter.text = text("bread")), [1]);
        assert_eq!(found(|filter| filter.text = text("baking")), [3]);
        assert_eq!(
            found(|filter| {
                filter.text = text("bread");
                filter.class = text("task/*");
            }),
            [0_i64; 0]
        );
    }
}

#[test]
fn pages_follow_each_other() {
    for log in Log::each() {
        three(&log);
        let mut reader = log.reader();
        let first = reader.page(&Filter::default(), None, 2).unwrap();
        assert_eq!(
            previews(&first),
            [
                "### Task: a title for a chat about bread",
                "And with sourdough?"
            ]
        );
        let second = reader.page(&Filter::default(), first.next, 2).unwrap();
        assert_eq!(previews(&second), ["How do I bake bread?"]);
        assert_eq!(second.next, None);
        let newer = reader.newer(&Filter::default(), 1, 10).unwrap();
        assert_eq!(
            newer.iter().map(|summary| summary.id).collect::<Vec<_>>(),
            [2, 3]
        );
        assert_eq!(reader.newest().unwrap(), 3);
    }
}

#[test]
fn an_empty_log_has_nothing_in_it() {
    for log in Log::each() {
        drop(log.store(LIMITS));
        let mut reader = log.reader();
        assert!(
            reader
                .page(&Filter::default(), None, 10)
                .unwrap()
                .records
                .is_empty()
        );
        assert_eq!(reader.get(1).unwrap(), None);
        assert_eq!(reader.newest().unwrap(), 0);
        let missing = LogStore::Sqlite(log.path.with_extension("missing"));
        assert!(Reader::open(&missing).is_err());
    }
}

#[test]
fn no_record_is_kept_longer_than_the_retention() {
    const HOUR: i64 = 3_600_000;
    for log in Log::each() {
        let limits = Limits {
            retention: Duration::from_secs(24 * 3600),
            ..LIMITS
        };
        let mut store = log.store(limits);
        for hour in 0..72 {
            let now = NOW + hour * HOUR;
            let said = format!("What happened in hour {hour} of these three days?");
            store
                .write(&mut [&chat(now, &said, "Nothing of note.")].into_iter())
                .unwrap();
            while store.tidy(now, Duration::ZERO).unwrap() {}
            let mut reader = log.reader();
            let all = reader.page(&Filter::default(), None, 100).unwrap().records;
            assert!(
                all.iter()
                    .all(|summary| summary.record.time >= now - 24 * HOUR),
                "hour {hour}"
            );
            // A segment is a sixteenth of the retention, and the oldest goes as a whole.
            assert!(
                all.len() as i64 >= (hour + 1).min(22),
                "hour {hour}: {}",
                all.len()
            );
            for summary in &all {
                assert!(reader.get(summary.id).unwrap().is_some());
            }
            let old = Filter {
                text: Some("what".to_owned()),
                ..Filter::default()
            };
            assert_eq!(reader.count(&old).unwrap(), all.len() as u64);
        }
    }
}

#[test]
fn a_log_stays_within_its_size_and_forgets_the_oldest_first() {
    for log in Log::each() {
        let limits = Limits {
            max_size: 4 << 20,
            ..LIMITS
        };
        let mut store = log.store(limits);
        let mut noise = noise();
        let mut largest = 0;
        for batch in 0..150 {
            let records: Vec<Record> = (0..15)
                .map(|n| chat(NOW + batch * 15 + n, &noise(), "Thank you for this."))
                .collect();
            store.write(&mut records.iter()).unwrap();
            while store.tidy(NOW, Duration::ZERO).unwrap() {}
            largest = largest.max(store.size().unwrap());
        }
        assert!(largest <= limits.max_size + (1 << 20), "{largest} bytes");
        let mut reader = log.reader();
        let kept = reader.count(&Filter::default()).unwrap() as i64;
        let all = reader.page(&Filter::default(), None, 3000).unwrap().records;
        assert!((300..2000).contains(&kept), "{kept} are left");
        assert_eq!(all.first().map(|summary| summary.id), Some(2250));
        assert_eq!(all.last().map(|summary| summary.id), Some(2250 - kept + 1));
        drop(store);
        if !log.is_file() {
            continue;
        }
        let file = std::fs::metadata(&log.path).unwrap().len();
        assert!(
            file <= limits.max_size + (1 << 20),
            "the file has {file} bytes"
        );
    }
}

#[test]
fn a_log_that_may_be_smaller_gives_room_back() {
    let log = Log::new();
    let mut store = log.store(LIMITS);
    for n in 0..1500 {
        let said = format!("{n} {:x?}", sha2_of(n));
        store
            .write(&mut [&chat(NOW + n, &said, &said)].into_iter())
            .unwrap();
    }
    drop(store);
    // As after a limit was lowered: the segments are larger than the new one would have them.
    let limits = Limits {
        max_size: 256 << 10,
        ..LIMITS
    };
    let mut store = log.store(limits);
    while store.tidy(NOW, Duration::ZERO).unwrap() {}
    drop(store);
    let file = std::fs::metadata(&log.path).unwrap().len();
    assert!(file <= limits.max_size, "the file has {file} bytes");
}

#[test]
fn a_busy_writer_keeps_the_log_within_its_size() {
    let log = Log::new();
    let limits = Limits {
        max_size: 1 << 20,
        ..LIMITS
    };
    let running = PromptLog::start(Settings {
        place: log.place.clone(),
        instance: None,
        content: Content::Full,
        opt_out: true,
        flush: Duration::from_millis(500),
        limits,
    })
    .unwrap();
    let mut noise = noise();
    let mut written = 0;
    // Each flush brings as much as several segments hold.
    for n in 0..10 {
        for _ in 0..100 {
            running.send(entry(chat(NOW + n, &noise(), "")));
        }
        written += 100;
        while running.status().written < written {
            std::thread::yield_now();
        }
    }
    running.close();
    let size = running.status().size;
    assert!(size <= limits.max_size, "{size} bytes");
    assert!(log.reader().count(&Filter::default()).unwrap() > 50);
}

/// Random texts, which do not compress.
fn noise() -> impl FnMut() -> String {
    let mut seed = 1_u64;
    move || {
        (0..4000)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'!' + (seed >> 58) as u8)
            })
            .collect()
    }
}

fn sha2_of(n: i64) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    Sha256::digest(n.to_le_bytes()).to_vec()
}
