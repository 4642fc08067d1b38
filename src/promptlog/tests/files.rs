//! The log's files: where they are, and whose.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    LIMITS, Log, NOW, chat,
    service::{entry, start_flushing},
};
use crate::{
    config::{Content, LogStore},
    promptlog::{FailureKind, Filter, Health, PromptLog, Reader, StoreError, store},
};

fn start(log: &Log) -> PromptLog {
    start_flushing(log, Content::Full, Duration::from_millis(5))
}

/// Sends a chat and waits until it is written.
fn say(running: &PromptLog, said: &str) {
    let written = running.status().written;
    running.send(entry(chat(NOW, said, "ok")));
    until(|| running.status().written > written);
}

fn until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not come"
        );
        std::thread::yield_now();
    }
}

fn said(path: &Path) -> Vec<String> {
    let mut reader = Reader::open(&LogStore::Sqlite(path.to_owned())).unwrap();
    let page = reader.page(&Filter::default(), None, 100).unwrap();
    page.records.into_iter().map(|it| it.preview).collect()
}

#[test]
fn a_log_that_was_deleted_is_begun_anew() {
    let log = Log::new();
    let running = start(&log);
    say(&running, "one");
    let mut follower = log.reader();
    for file in fs::read_dir(log.path.parent().unwrap()).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert!(!follower.turn().unwrap(), "nothing is there to turn to");
    say(&running, "two");
    say(&running, "three");
    assert_eq!(said(&log.path), ["three", "two"]);
    assert_eq!(running.status().health, Health::Running);
    assert!(follower.turn().unwrap());
    assert_eq!(follower.newest().unwrap(), 2);
    assert!(!follower.turn().unwrap());
    running.close();
    assert_eq!(said(&log.path), ["three", "two"]);
}

#[test]
fn a_log_that_was_moved_keeps_what_it_had_and_is_begun_anew() {
    let log = Log::new();
    let running = start(&log);
    say(&running, "one");
    let moved = log.path.with_extension("old");
    fs::rename(&log.path, &moved).unwrap();
    say(&running, "two");
    assert_eq!(said(&log.path), ["two"]);
    assert_eq!(said(&moved), ["one"]);
    running.close();
    assert_eq!(said(&log.path), ["two"]);
}

#[test]
fn a_write_ahead_log_that_was_deleted_takes_nothing_with_it() {
    let log = Log::new();
    let running = start(&log);
    say(&running, "one");
    let mut follower = log.reader();
    fs::remove_file(log.path.with_extension("sqlite-wal")).unwrap();
    say(&running, "two");
    assert_eq!(said(&log.path), ["two", "one"]);
    assert!(!follower.turn().unwrap(), "it is the same log");
    assert_eq!(follower.newest().unwrap(), 2);
}

#[test]
fn a_log_that_was_closed_is_one_file() {
    let log = Log::new();
    let running = start(&log);
    say(&running, "one");
    // A reader keeps SQLite from cleaning up by itself.
    let reader = log.reader();
    running.close();
    let alone = log.path.with_extension("copy");
    fs::copy(&log.path, &alone).unwrap();
    assert_eq!(said(&alone), ["one"]);
    drop(reader);
    let running = start(&log);
    say(&running, "two");
    running.close();
    assert!(!log.path.with_extension("sqlite-wal").exists());
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let log = Log::new();
    let connection = rusqlite::Connection::open(&log.path).unwrap();
    connection
        .execute_batch("CREATE TABLE theirs (id); INSERT INTO theirs VALUES (1)")
        .unwrap();
    drop(connection);
    fs::set_permissions(&log.path, fs::Permissions::from_mode(0o644)).unwrap();
    let before = fs::read(&log.path).unwrap();
    for refused in [
        store::open(&log.place, LIMITS).unwrap_err(),
        Reader::open(&log.place).unwrap_err(),
    ] {
        assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
        assert!(refused.words().contains("set `log.path`"), "{refused}");
    }
    assert_eq!(fs::read(&log.path).unwrap(), before);
    let mode = fs::metadata(&log.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let beside = fs::read_dir(log.path.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "files were made beside it");
}

#[test]
fn what_is_no_database_is_left_as_it_is_and_its_cure_named() {
    let log = Log::new();
    fs::write(&log.path, "garbage".repeat(1000)).unwrap();
    fs::set_permissions(&log.path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = store::open(&log.place, LIMITS).unwrap_err();
    assert!(
        refused.words().contains("move the file away"),
        "{refused:?}"
    );
    let mode = fs::metadata(&log.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn a_directory_in_its_place_is_named_as_such() {
    let log = Log::new();
    fs::create_dir(&log.path).unwrap();
    let refused = store::open(&log.place, LIMITS).unwrap_err().words();
    assert!(refused.ends_with("is a directory"), "{refused}");
}

#[test]
fn one_process_writes_and_another_waits_for_its_end() {
    let log = Log::new();
    let first = start(&log);
    say(&first, "one");
    let second = start(&log);
    until(|| second.status().health != Health::Running);
    let Health::Stopped {
        failure, reason, ..
    } = second.status().health
    else {
        panic!("it runs");
    };
    assert_eq!(failure, FailureKind::Busy);
    assert!(reason.contains("another rkgate writes"), "{reason}");
    second.send(entry(chat(NOW, "two", "ok")));
    say(&first, "three");
    first.close();
    until(|| second.status().written == 1);
    assert_eq!(said(&log.path), ["two", "three", "one"]);
    second.close();
}

#[test]
fn names_of_files_may_have_any_characters() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a log? #1 100% ü.sqlite");
    let place = LogStore::Sqlite(path.clone());
    for _ in 0..2 {
        let mut store = store::open(&place, LIMITS).unwrap();
        let record = chat(NOW, "hello", "hi");
        store.write(&mut [&record].into_iter()).unwrap();
        store.close().unwrap();
    }
    assert_eq!(said(&path), ["hello", "hello"]);
}
