#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc};

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{Live, LoadError, Origin};
use crate::policy::Platform;

const RULE: &str = "schema = 1\n[[label]]\nid = \"local\"\nlabel = \"local\"\n";

fn origin(directory: &TempDir) -> Origin {
    Origin {
        rules: directory.path().join("rules"),
        policies: directory.path().join("policies"),
        platform: Platform::Rk3588,
    }
}

#[test]
fn without_directories_the_shipped_files_hold() {
    let directory = TempDir::new().unwrap();
    let live = Live::start(origin(&directory)).unwrap();
    assert_eq!(live.set().generation(), 1);
    assert!(live.last_attempt().error.is_none());
}

#[test]
fn a_broken_file_leaves_the_set_in_force() {
    let directory = TempDir::new().unwrap();
    let live = Live::start(origin(&directory)).unwrap();
    fs::create_dir(directory.path().join("rules")).unwrap();
    let file = directory.path().join("rules/90-local.toml");
    fs::write(&file, "schema = 1\n[[label]]\nid = \"local\"\n").unwrap();
    let before = live.set();
    let attempt = live.reload();
    assert_eq!(attempt.generation, 1);
    assert!(Arc::ptr_eq(&before, &live.set()));
    let Some(LoadError::Wrong(report)) = attempt.error.as_deref() else {
        panic!("{attempt:?}");
    };
    assert!(report.to_string().contains("90-local.toml:2:1"), "{report}");
    fs::write(&file, RULE).unwrap();
    assert_eq!(live.reload().generation, 2);
    assert_eq!(live.set().generation(), 2);
}

#[test]
fn a_failing_test_in_a_file_keeps_the_set_in_force() {
    let directory = TempDir::new().unwrap();
    let live = Live::start(origin(&directory)).unwrap();
    fs::create_dir(directory.path().join("rules")).unwrap();
    let test = "schema = 1\n[[test]]\nname = \"t\"\nrequest = { messages = [{ role = \"user\", content = \"x\" }] }\nexpect = { class = \"task/tags_generation\" }\n";
    fs::write(directory.path().join("rules/90-local.toml"), test).unwrap();
    let attempt = live.reload();
    assert!(attempt.error.is_some());
    assert_eq!(live.set().generation(), 1);
}

#[test]
fn a_file_of_the_same_name_takes_the_place_of_a_shipped_one() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("rules")).unwrap();
    let name = crate::policy::shipped::files()[0]
        .path
        .replace(" (shipped)", "");
    fs::write(directory.path().join(name), RULE).unwrap();
    // Other shipped files may need the one that is gone.
    match Live::start(origin(&directory)) {
        Ok(live) => assert_eq!(live.set().generation(), 1),
        Err(error) => assert!(!error.to_string().contains("P001"), "{error}"),
    }
}

/// Directories that appear, files that are written and files that are replaced: each makes a new generation.
#[tokio::test]
async fn changes_are_followed() {
    let directory = TempDir::new().unwrap();
    let live = Arc::new(Live::start(origin(&directory)).unwrap());
    let (heard, mut generations) = mpsc::unbounded_channel();
    let following = tokio::spawn(Arc::clone(&live).follow(true, move |attempt| {
        let _ = heard.send((attempt.generation, attempt.error.is_none()));
    }));
    let rules = directory.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("90-local.toml"), RULE).unwrap();
    assert_eq!(generations.recv().await, Some((2, true)));
    fs::write(rules.join("new"), "schema = 1\n[[label]]\n").unwrap();
    fs::rename(rules.join("new"), rules.join("90-local.toml")).unwrap();
    loop {
        let (generation, fine) = generations.recv().await.unwrap();
        if !fine {
            assert_eq!(live.set().generation(), generation);
            break;
        }
    }
    following.abort();
}

/// Whether this process has the kernel tell it of changes in a directory.
fn is_watched(directory: &Path) -> bool {
    let watch = format!(" ino:{:x} ", fs::metadata(directory).unwrap().ino());
    let told = fs::read_dir("/proc/self/fdinfo").unwrap();
    told.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .any(|text| text.contains(&watch))
}

/// The prompt log is written to where a directory of rules may come to be.
#[tokio::test]
async fn a_directory_that_is_not_there_is_awaited_without_watching_the_one_above() {
    let directory = TempDir::new().unwrap();
    let live = Arc::new(Live::start(origin(&directory)).unwrap());
    let (heard, mut generations) = mpsc::unbounded_channel();
    let following = tokio::spawn(Arc::clone(&live).follow(true, move |attempt| {
        let _ = heard.send(attempt.generation);
    }));
    let rules = directory.path().join("rules");
    fs::create_dir(&rules).unwrap();
    assert_eq!(generations.recv().await, Some(1));
    assert!(is_watched(&rules));
    assert!(!is_watched(directory.path()));
    fs::write(rules.join("90-local.toml"), RULE).unwrap();
    while generations.recv().await != Some(2) {}
    fs::remove_dir_all(&rules).unwrap();
    while generations.recv().await != Some(3) {}
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("90-local.toml"), RULE).unwrap();
    while generations.recv().await != Some(4) {}
    following.abort();
}
