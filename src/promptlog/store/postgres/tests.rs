//! What only a server can show: several writers, and what is not ours.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::{Session, Store};
use crate::{
    config::LogServer,
    promptlog::{
        Filter, Kept, Reader, StoreError,
        store::Store as _,
        tests::{LIMITS, NOW, chat},
    },
};

/// The server to test with, where there is one, with a schema for one test.
pub(in crate::promptlog) fn server() -> Option<LogServer> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let url = env::var("RKGATE_TEST_POSTGRES_URL").ok()?;
    let password = env::var("RKGATE_TEST_POSTGRES_PASSWORD").ok();
    let server = |url: &str| LogServer::new(url, password.as_deref()).unwrap();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("rkgate_test_{}_{count}", process::id());
    run(&server(&url), &format!("CREATE SCHEMA {schema}"));
    let and = if url.contains('?') { '&' } else { '?' };
    Some(server(&format!(
        "{url}{and}options=-csearch_path%3D{schema}"
    )))
}

fn run(server: &LogServer, sql: &str) {
    let mut session = Session::open(server).unwrap();
    let done = session.run("test", async |statements| {
        let done = statements.client.batch_execute(sql).await;
        done.map_err(StoreError::server("test"))
    });
    done.unwrap();
}

fn count(reader: &mut Reader) -> u64 {
    reader.count(&Filter::default()).unwrap()
}

#[test]
fn several_writers_share_a_log() {
    let Some(server) = server() else { return };
    const WRITERS: i64 = 4;
    const BATCHES: i64 = 20;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let server = &server;
            scope.spawn(move || {
                let mut store = Store::open(server, LIMITS).unwrap();
                let mut last = 0;
                for batch in 0..BATCHES {
                    let said =
                        format!("Writer {writer} says something of some length in every batch.");
                    let records = [0, 1, 2].map(|n| {
                        let mut record = chat(NOW + batch, &said, &format!("answer {batch}.{n}"));
                        record.instance = Some(format!("instance-{writer}"));
                        record
                    });
                    let ids = store.write(&mut records.iter()).unwrap();
                    assert!(
                        ids.is_sorted() && ids.iter().all(|id| *id > last),
                        "{ids:?}"
                    );
                    last = *ids.last().unwrap();
                }
            });
        }
    });
    let mut reader = Reader::open(&crate::config::LogStore::Postgres(Box::new(server))).unwrap();
    assert_eq!(count(&mut reader), (WRITERS * BATCHES * 3) as u64);
    let mut by = std::collections::BTreeMap::new();
    reader
        .each(&Filter::default(), |_, record| {
            let said = record.content.unwrap().last_user().into_owned();
            let writer = record.instance.unwrap();
            assert_eq!(said.split(' ').nth(1), writer.strip_prefix("instance-"));
            *by.entry(writer).or_insert(0) += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(
        by.into_values().collect::<Vec<i64>>(),
        [BATCHES * 3; WRITERS as usize]
    );
}

#[test]
fn a_writer_whose_segment_another_has_dropped_begins_a_new_one() {
    let Some(server) = server() else { return };
    let said = "A text that is long enough to be kept once and referred to.";
    let mut first = Store::open(&server, LIMITS).unwrap();
    first.write(&mut [chat(NOW, said, "one")].iter()).unwrap();
    let mut second = Store::open(&server, LIMITS).unwrap();
    let later = NOW + i64::try_from(LIMITS.retention.as_millis()).unwrap() + 1;
    while second.tidy(later, Duration::ZERO).unwrap() {}
    assert_eq!(second.size().unwrap(), 0);
    // Of the same time for the writer, so that its segment is not over by itself.
    let ids = first.write(&mut [chat(NOW, said, "two")].iter()).unwrap();
    let mut reader = Reader::open(&crate::config::LogStore::Postgres(Box::new(server))).unwrap();
    assert_eq!(count(&mut reader), 1);
    let read = reader.get(ids[0]).unwrap().unwrap();
    assert_eq!(read.content.unwrap().last_user(), said);
}

#[test]
fn names_that_the_server_cannot_keep_do_not_stop_the_log() {
    let Some(server) = server() else { return };
    let mut store = Store::open(&server, LIMITS).unwrap();
    let mut record = chat(NOW, &"x".repeat(5000), "a\0b");
    record.model = "zero\0name".into();
    record.finish = Some("f".repeat(10_000).into());
    let ids = store.write(&mut [record].iter()).unwrap();
    let mut reader = Reader::open(&crate::config::LogStore::Postgres(Box::new(server))).unwrap();
    let read = reader.get(ids[0]).unwrap().unwrap();
    assert_eq!(&*read.model, "zero\u{fffd}name");
    assert_eq!(read.finish.unwrap().len(), 500);
    assert_eq!(read.content.unwrap().answer.content, "a\0b");
    let text = Filter {
        text: Some("x".repeat(4000)),
        ..Filter::default()
    };
    assert_eq!(reader.count(&text).unwrap(), 1);
}

#[test]
fn what_is_no_log_of_this_version_is_left_alone() {
    let Some(ours) = server() else { return };
    drop(Store::open(&ours, LIMITS).unwrap());
    run(&ours, "UPDATE rkgate_log SET format = 1000");
    let newer = Store::open(&ours, LIMITS).unwrap_err();
    assert!(
        matches!(newer, StoreError::Newer { found: 1000, .. }),
        "{newer}"
    );
    let theirs = server().unwrap();
    run(&theirs, "CREATE TABLE records (id int)");
    let foreign = Store::open(&theirs, LIMITS).unwrap_err();
    assert!(matches!(foreign, StoreError::Foreign { .. }), "{foreign}");
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_so() {
    let server =
        LogServer::new("postgres://rkgate@127.0.0.1:1/rkgate?sslmode=disable", None).unwrap();
    let error = Store::open(&server, LIMITS).unwrap_err();
    let kind = crate::promptlog::FailureKind::from(&error);
    assert_eq!(
        kind,
        crate::promptlog::FailureKind::Unreachable,
        "{error:?}"
    );
}

#[test]
fn a_damaged_record_hides_no_other_and_does_not_stop_the_log() {
    let Some(server) = server() else { return };
    let mut store = Store::open(&server, LIMITS).unwrap();
    let chats: Vec<_> = (0..3).map(|n| chat(NOW + n, "hello", "hi")).collect();
    let ids = store.write(&mut chats.iter()).unwrap();
    drop(store);
    let damaged = ids[1];
    run(
        &server,
        &format!("UPDATE details SET data = '\\x00' WHERE id = {damaged}"),
    );
    let mut store = Store::open(&server, LIMITS).unwrap();
    store.write(&mut chats.iter()).unwrap();
    let mut reader = Reader::open(&crate::config::LogStore::Postgres(Box::new(server))).unwrap();
    let page = reader.page(&Filter::default(), None, 10).unwrap();
    let kept: Vec<(i64, Kept)> = page
        .records
        .iter()
        .map(|it| (it.id, it.record.kept))
        .collect();
    assert_eq!(kept.len(), 6);
    for (id, kept) in kept {
        let expected = if id == damaged {
            Kept::Damaged
        } else {
            Kept::Full
        };
        assert_eq!(kept, expected, "{id}");
    }
}
