//! The log of a running gateway: queue, writer and their failures.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};

use super::{LIMITS, Log, NOW, chat};
use crate::{
    config::Content,
    promptlog::{Coding, Entry, Filter, Health, Kept, PromptLog, Record, ReplyBody, Settings},
};

fn settings(log: &Log, content: Content) -> Settings {
    Settings {
        place: log.place.clone(),
        instance: None,
        content,
        opt_out: true,
        flush: Duration::from_millis(5),
        limits: LIMITS,
    }
}

fn start(log: &Log, content: Content) -> PromptLog {
    PromptLog::start(settings(log, content)).unwrap()
}

pub(super) fn start_flushing(log: &Log, content: Content, flush: Duration) -> PromptLog {
    PromptLog::start(Settings {
        flush,
        ..settings(log, content)
    })
    .unwrap()
}

pub(super) fn entry(record: Record) -> Entry {
    Entry {
        record,
        ..Entry::default()
    }
}

#[test]
fn a_record_is_announced_once_it_can_be_read() {
    for log in Log::each() {
        let running = start(&log, Content::Full);
        let mut written = running.subscribe();
        for n in 0..3 {
            running.send(entry(chat(NOW + n, "hello there", "hi")));
            let summary = written.blocking_recv().unwrap();
            assert_eq!(
                (summary.id, summary.preview.as_str()),
                (n + 1, "hello there")
            );
            let page = log.reader().page(&Filter::default(), None, 1).unwrap();
            assert_eq!(page.records, [(*summary).clone()]);
        }
        running.close();
        assert_eq!(running.status().written, 3);
        assert_eq!(running.status().health, Health::Running);
    }
}

#[test]
fn many_records_do_not_wait_for_the_flush() {
    for log in Log::each() {
        let running = start_flushing(&log, Content::Off, Duration::from_secs(3600));
        let mut written = running.subscribe();
        for n in 0..1024 {
            running.send(entry(chat(NOW + n, "hello", "hi")));
        }
        for n in 1..=512 {
            assert_eq!(written.blocking_recv().unwrap().id, n);
        }
        running.close();
        assert_eq!(running.status().written, 1024);
    }
}

#[test]
fn an_upstreams_stream_is_read_as_it_passes() {
    for log in Log::each() {
        let running = start(&log, Content::Full);
        let mut record = chat(NOW, "hello", "");
        record.finish = None;
        record.usage = None;
        let mut reply = ReplyBody::new(true, Coding::Identity);
        reply.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Good \"}}]}\n\n");
        reply.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"morning\"},\"finish_reason\":\"stop\"}]}\n\n");
        running.send(Entry {
            reply: Some(reply),
            ..entry(record)
        });
        running.close();
        let read = log.reader().get(1).unwrap().unwrap();
        assert_eq!(read.finish.as_deref(), Some("stop"));
        assert_eq!(read.content.unwrap().answer.content, "Good morning");
    }
}

#[test]
fn a_whole_answer_is_read_by_the_writer() {
    for log in Log::each() {
        let running = start(&log, Content::Full);
        let mut reply = ReplyBody::new(false, Coding::Gzip);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed
            .write_all(br#"{"choices":[{"message":{"content":"Good morning"}}]}"#)
            .unwrap();
        reply.push(&packed.finish().unwrap());
        running.send(Entry {
            reply: Some(reply),
            ..entry(chat(NOW, "hello", ""))
        });
        running.close();
        let read = log.reader().get(1).unwrap().unwrap();
        assert_eq!(read.content.unwrap().answer.content, "Good morning");
    }
}

#[test]
fn content_is_left_out_where_configuration_or_request_say_so() {
    let kept = |content, asks, obeys| {
        let log = Log::new();
        let running = PromptLog::start(Settings {
            opt_out: obeys,
            ..settings(&log, content)
        });
        let running = running.unwrap();
        running.send(Entry {
            opt_out: asks,
            ..entry(chat(NOW, "a secret that nobody may read", "ok"))
        });
        running.close();
        drop(running);
        let mut reader = log.reader();
        let read = reader.get(1).unwrap().unwrap();
        let secret = Filter {
            text: Some("secret".to_owned()),
            ..Filter::default()
        };
        assert_eq!(reader.count(&secret).unwrap() == 1, read.content.is_some());
        assert_eq!(read.usage.unwrap().prompt, 40);
        read.kept
    };
    assert_eq!(kept(Content::Full, false, true), Kept::Full);
    assert_eq!(kept(Content::Full, true, true), Kept::OptedOut);
    assert_eq!(kept(Content::Full, true, false), Kept::Full);
    assert_eq!(kept(Content::Redacted, false, true), Kept::Redacted);
    assert_eq!(kept(Content::Redacted, true, false), Kept::Redacted);
    assert_eq!(kept(Content::Off, false, true), Kept::Off);
    assert_eq!(kept(Content::Off, true, true), Kept::Off);
}

#[test]
fn when_the_writer_cannot_keep_up_content_goes_first_and_is_counted() {
    let log = Log::new();
    // A directory in the file's place: nothing can be written.
    fs::create_dir(&log.path).unwrap();
    let running = start(&log, Content::Full);
    let large = "x".repeat(1 << 20);
    for n in 0..40 {
        running.send(entry(chat(NOW + n, &large, "ok")));
    }
    let dropped = running.status().content_dropped;
    assert!(
        (8..=10).contains(&dropped),
        "{dropped} of 40 MiB were dropped"
    );
    while running.status().health == Health::Running {
        std::thread::yield_now();
    }
    fs::remove_dir(&log.path).unwrap();
    // Closing gives up after a while; on a busy machine the first retry may come later.
    let begun = Instant::now();
    while running.status().written < 40 && begun.elapsed() < Duration::from_secs(120) {
        std::thread::yield_now();
    }
    running.close();
    let status = running.status();
    assert_eq!((status.written, status.lost), (40, 0));
    assert_eq!(status.health, Health::Running);
    let mut kept = Vec::new();
    log.reader()
        .each(&Filter::default(), |_, record| {
            kept.push(record.kept);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let without = kept.iter().filter(|kept| **kept == Kept::Dropped).count();
    assert_eq!((kept.len(), without as u64), (40, dropped));
}

#[test]
fn a_damaged_database_stops_the_log_and_nothing_else() {
    let log = Log::new();
    fs::write(
        &log.path,
        "this is no database, whatever its name says".repeat(100),
    )
    .unwrap();
    let running = start(&log, Content::Full);
    running.send(entry(chat(NOW, "hello", "hi")));
    running.close();
    let Health::Stopped { reason, .. } = running.status().health else {
        panic!("it runs");
    };
    assert!(reason.contains("not a database"), "{reason}");
}
