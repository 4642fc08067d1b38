#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::*;
use crate::policy::Platform;

const RULE: &str = "schema = 1\n[[label]]\nid = \"local\"\nlabel = \"local\"\n";
const OTHER: &str = "schema = 1\n[[label]]\nid = \"other\"\nlabel = \"other\"\n";
const WRONG: &str = "schema = 1\n[[label]]\nid = \"local\"\n";

fn live(directory: &TempDir) -> Live {
    Live::start(Origin {
        rules: directory.path().join("rules"),
        policies: directory.path().join("policies"),
        platform: Platform::Rk3588,
    })
    .unwrap()
}

fn draft(text: Option<&str>) -> Draft {
    Draft {
        is_policy: false,
        name: FileName::new("90-local.toml").unwrap(),
        text: text.map(str::to_owned),
    }
}

fn on_disk(directory: &TempDir) -> Option<String> {
    fs::read_to_string(directory.path().join("rules/90-local.toml")).ok()
}

#[test]
fn names_lead_nowhere_else() {
    for name in ["90-local.toml", "a.toml", "A_b-1.2.toml"] {
        assert!(FileName::new(name).is_some(), "{name}");
    }
    for name in [
        "",
        ".toml",
        "..toml",
        "../x.toml",
        "a/b.toml",
        "a\\b.toml",
        "x.txt",
        "a b.toml",
        "x.toml\0",
        "\u{e9}.toml",
    ] {
        assert!(FileName::new(name).is_none(), "{name}");
    }
    assert!(FileName::new(&format!("{}.toml", "x".repeat(100))).is_none());
}

#[test]
fn what_is_fine_is_written_and_takes_effect() {
    let directory = TempDir::new().unwrap();
    let live = live(&directory);
    let attempt = live.save(&draft(Some(RULE)), "").unwrap();
    assert_eq!(attempt.generation, 2);
    assert_eq!(live.set().generation(), 2);
    assert_eq!(on_disk(&directory).as_deref(), Some(RULE));
    let mode = fs::metadata(directory.path().join("rules/90-local.toml")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o644);
    // The watcher that comes after it finds nothing new.
    assert_eq!(live.reload().generation, 2);
}

#[test]
fn what_is_wrong_is_refused_and_nothing_is_written() {
    let directory = TempDir::new().unwrap();
    let live = live(&directory);
    let refused = live.save(&draft(Some(WRONG)), "").unwrap_err();
    let EditError::Refused(LoadError::Wrong(report)) = refused else {
        panic!("{refused}");
    };
    assert!(report.to_string().contains("90-local.toml:2:1"), "{report}");
    assert!(on_disk(&directory).is_none());
    assert_eq!(live.set().generation(), 1);
    assert!(live.with_drafts(&[draft(Some(RULE))]).is_ok());
    assert!(on_disk(&directory).is_none());
}

#[test]
fn a_change_made_meanwhile_is_not_overwritten() {
    let directory = TempDir::new().unwrap();
    let live = live(&directory);
    live.save(&draft(Some(RULE)), "").unwrap();
    let late = live.save(&draft(Some(OTHER)), "").unwrap_err();
    assert!(matches!(late, EditError::Changed(_)), "{late}");
    live.save(&draft(Some(OTHER)), &version(RULE)).unwrap();
    assert_eq!(on_disk(&directory).as_deref(), Some(OTHER));
}

#[test]
fn a_copy_of_a_shipped_file_is_changed_and_removed_again() {
    let directory = TempDir::new().unwrap();
    let live = live(&directory);
    let file = live.files().unwrap().remove(0);
    let name = file.path.strip_suffix(shipped::MARK).unwrap();
    assert_eq!(live.id_of(&file.path).as_deref(), Some(name));
    let name = FileName::new(name.strip_prefix("rules/").unwrap()).unwrap();
    let mut draft = Draft {
        is_policy: false,
        name: name.clone(),
        text: Some(format!("{}\n# Mine.\n", file.text)),
    };
    live.save(&draft, &version(&file.text)).unwrap();
    let own = live.text(false, &name).unwrap().unwrap();
    assert!(own.ends_with("# Mine.\n"));
    draft.text = None;
    assert_eq!(live.save(&draft, &version(&own)).unwrap().generation, 3);
    assert_eq!(live.text(false, &name).unwrap().unwrap(), file.text);
}

#[test]
fn an_earlier_generation_comes_back_as_a_new_one() {
    let directory = TempDir::new().unwrap();
    let live = live(&directory);
    live.save(&draft(Some(RULE)), "").unwrap();
    live.save(&draft(Some(OTHER)), &version(RULE)).unwrap();
    assert_eq!(live.return_to(2).unwrap().generation, 4);
    assert_eq!(on_disk(&directory).as_deref(), Some(RULE));
    assert_eq!(live.return_to(1).unwrap().generation, 5);
    assert!(on_disk(&directory).is_none());
    let forgotten = live.return_to(9).unwrap_err();
    assert_eq!(
        forgotten.to_string(),
        "generation 9 is not remembered; 1, 2, 3, 4, 5 are"
    );
    let numbers: Vec<u64> = live.generations().iter().map(|it| it.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[test]
fn a_link_stays_one_and_no_temporary_file_is_left() {
    let directory = TempDir::new().unwrap();
    let (rules, elsewhere) = (
        directory.path().join("rules"),
        directory.path().join("real.toml"),
    );
    fs::create_dir(&rules).unwrap();
    fs::write(&elsewhere, RULE).unwrap();
    symlink(&elsewhere, rules.join("90-local.toml")).unwrap();
    let live = live(&directory);
    live.save(&draft(Some(OTHER)), &version(RULE)).unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), OTHER);
    assert!(
        fs::symlink_metadata(rules.join("90-local.toml"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read_dir(&rules).unwrap().count(), 1);
}
