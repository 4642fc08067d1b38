//! What the prompt log costs on disk and how fast it is read: `cargo bench --bench promptlog` fills a log with a million
//! requests, as fast as it is written, and prints each figure beside its bound. `-- 100000` fills it with fewer.
//!
//! Each query opens the log anew. The file is in the page cache, as that of a running gateway is.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints its findings and stops at the first thing that is not as expected"
)]

mod talk;
#[path = "../words/mod.rs"]
mod words;

use std::{
    env, fs,
    hint::black_box,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rkgate::{
    config::{self, LogStore},
    policy::{Facts, Platform, Set, Source, shipped},
    promptlog::{Filter, Limits, PromptLog, Reader, Settings, StoreError, replay::Replay},
};
use talk::{RARE, Talk};

/// Requests in the log.
const RECORDS: usize = 1_000_000;
/// Requests that are run again.
const REPLAYED: usize = 10_000;
/// Records of a page.
const PAGE: usize = 50;
/// What a query may take, in milliseconds.
const BOUND: f64 = 200.0;

fn main() {
    let count = env::args()
        .find_map(|word| word.parse().ok())
        .unwrap_or(RECORDS);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    println!("{:<58} {:>10} {:>10}", "", "", "at most");
    let set = Arc::new(set(""));
    fill(&path, &set, count, now);
    for (name, filter, before) in queries(count, now) {
        query(&path, name, |reader| {
            reader
                .page(&filter, before, PAGE)
                .map(|page| page.records.len())
        });
    }
    query(&path, "one record with its content", |reader| {
        reader
            .get(count as i64 / 2)
            .map(|record| usize::from(record.is_some()))
    });
    let day = Filter {
        since: Some(now - 86_400_000),
        ..Filter::default()
    };
    // What the Log page opens with.
    query(&path, "charts of the last day", |reader| {
        reader
            .series(&day, 60, now)
            .map(|series| series.groups.len())
    });
    figure(
        "charts of everything, ms",
        median(&path, |reader| {
            let series = reader.series(&Filter::default(), 60, now)?;
            Ok(series.groups.len())
        }),
        None,
    );
    figure(
        "sums over the last day, ms",
        median(&path, |reader| {
            reader.stats(&day).map(|groups| groups.len())
        }),
        None,
    );
    figure(
        "sums over everything, ms",
        median(&path, |reader| {
            reader.stats(&Filter::default()).map(|groups| groups.len())
        }),
        None,
    );
    replay(&path, &set);
}

fn set(more: &str) -> Set {
    let mut files = shipped::files();
    files.push(Source {
        path: "rules/90-local.toml".into(),
        text: format!("schema = 1\n{more}"),
        is_policy: false,
        is_shipped: false,
    });
    let compiled = Set::compile(&files, Platform::Rk3588);
    compiled.unwrap_or_else(|report| panic!("{report}")).set
}

/// Writes the log as a running gateway does, but as fast as it can.
fn fill(path: &Path, set: &Arc<Set>, count: usize, now: i64) {
    let log = PromptLog::start(Settings {
        place: LogStore::Sqlite(path.to_owned()),
        instance: None,
        content: config::Content::Full,
        opt_out: true,
        flush: Duration::from_millis(100),
        limits: Limits {
            retention: Duration::from_secs(10 * 365 * 86_400),
            max_size: 64 << 30,
        },
    })
    .unwrap();
    let mut talk = Talk::new(Arc::clone(set), now - Talk::span(count));
    let mut turns = 0_u64;
    let started = Instant::now();
    for _ in 0..count {
        let (entry, is_turn) = talk.next();
        turns += u64::from(is_turn);
        while log.status().waiting > 2_000 {
            thread::park_timeout(Duration::from_millis(1));
        }
        log.send(entry);
    }
    while log.status().written < count as u64 {
        thread::park_timeout(Duration::from_millis(1));
    }
    let elapsed = started.elapsed().as_secs_f64();
    log.close();
    let status = log.status();
    assert_eq!((status.content_dropped, status.lost), (0, 0));
    println!("{count} requests, {turns} of them turns of chats, written in {elapsed:.0} s");
    figure(
        "bytes on disk for each turn, titles included",
        status.size as f64 / turns as f64,
        Some(2048.0),
    );
    figure(
        "database, MiB",
        fs::metadata(path).unwrap().len() as f64 / 1_048_576.0,
        None,
    );
}

/// Lists as the console and the command line ask for them.
fn queries(count: usize, now: i64) -> Vec<(&'static str, Filter, Option<i64>)> {
    let all = Filter::default;
    let text = |words: &str| Filter {
        text: Some(words.to_owned()),
        ..all()
    };
    let class = |class: &str| Filter {
        class: Some(class.to_owned()),
        ..all()
    };
    let middle = count as i64 / 2;
    let hour = now - Talk::span(count / 2);
    let conversation = format!("{:08x}-9fb6-43d6-bce7-1e9816b200d9", count / 10);
    vec![
        ("open, first page", all(), None),
        ("a page in the middle", all(), Some(middle)),
        ("the last page", all(), Some(PAGE as i64)),
        ("class task/*", class("task/*"), None),
        (
            "class task/*, failed",
            Filter {
                failed: Some(true),
                ..class("task/*")
            },
            None,
        ),
        (
            "failed, in the middle",
            Filter {
                failed: Some(true),
                ..all()
            },
            Some(middle),
        ),
        (
            "a model that never answered",
            Filter {
                model: Some("llama*".to_owned()),
                ..all()
            },
            None,
        ),
        (
            "a class that never came",
            class("task/emoji_generation"),
            None,
        ),
        (
            "one conversation",
            Filter {
                conversation: Some(conversation),
                ..all()
            },
            None,
        ),
        (
            "an id that is not there",
            Filter {
                request: Some("nobody".to_owned()),
                ..all()
            },
            None,
        ),
        (
            "an hour long ago",
            Filter {
                since: Some(hour),
                until: Some(hour + 3_600_000),
                ..all()
            },
            None,
        ),
        (
            "before the log began",
            Filter {
                until: Some(now - 2 * Talk::span(count)),
                ..all()
            },
            None,
        ),
        ("text: a word of ten questions", text(RARE), None),
        ("text: a word of most answers", text("the"), None),
        ("text: the same, in the middle", text("the"), Some(middle)),
        (
            "text: the same, of tasks",
            Filter {
                class: Some("task/*".to_owned()),
                ..text("the")
            },
            None,
        ),
        ("text: three words", text("thinking cache board"), None),
        ("text: the beginning of a word", text("mod"), None),
        ("text: one letter", text("t"), None),
        ("text: a word that is not there", text("xylophone"), None),
    ]
}

fn query(path: &Path, name: &str, run: impl Fn(&mut Reader) -> Result<usize, StoreError>) {
    figure(&format!("{name}, ms"), median(path, run), Some(BOUND));
}

/// The median of some runs, each with a reader of its own, in milliseconds.
fn median(path: &Path, run: impl Fn(&mut Reader) -> Result<usize, StoreError>) -> f64 {
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let started = Instant::now();
            let mut reader = Reader::open(&LogStore::Sqlite(path.to_owned())).unwrap();
            black_box(run(&mut reader).unwrap());
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn replay(path: &Path, now: &Set) {
    let then = set(
        "[[rewrite]]\nid = \"bench.words\"\non = [\"chat\"]\nop = \"append\"\nto = \"system\"\ntext = \"Use metric units.\"\n",
    );
    let replay = Replay {
        now,
        then: &then,
        facts: &Facts::example(),
        filter: Filter::default(),
        limit: REPLAYED,
        examples: 10,
    };
    let started = Instant::now();
    let report = replay
        .run(
            &mut Reader::open(&LogStore::Sqlite(path.to_owned())).unwrap(),
            |_| {},
        )
        .unwrap();
    figure(
        &format!("replay of {} requests, s", report.requests),
        started.elapsed().as_secs_f64(),
        Some(10.0),
    );
    assert!(report.changed > 0, "{report:?}");
}

fn figure(what: &str, value: f64, bound: Option<f64>) {
    let verdict = match bound {
        Some(bound) if value > bound => format!("{bound:>10.1}  MISSED"),
        Some(bound) => format!("{bound:>10.1}"),
        None => String::new(),
    };
    println!("{what:<58} {value:>10.1} {verdict}");
}
