//! What the commands make of a log that a gateway writes: following it, what was changed, other rules.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{
    log::{FAST, chat, logged},
    rkgate,
    server::Server,
    text,
};

/// A gateway that has logged these questions.
fn asked<const N: usize>(dir: &Path, questions: [&str; N]) -> Server {
    let server = Server::start(dir, &["serve"], &[FAST]);
    for question in questions {
        assert_eq!(chat(&server, "", question).0, 200);
    }
    logged(&server, "", N);
    server
}

fn printed(dir: &Path, args: &[&str]) -> String {
    let output = rkgate(dir, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout).to_owned()
}

/// A command that goes on until the test ends.
struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_comes_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["serve"], &[FAST]);
    let ask = |question: &str, count: usize| {
        assert_eq!(chat(&server, "", question).0, 200);
        logged(&server, "", count);
    };
    ask("What came before?", 1);
    let mut following = Command::new(env!("CARGO_BIN_EXE_rkgate"))
        .args(["log", "tail", "--follow"])
        .current_dir(dir.path())
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .map(Following)
        .unwrap();
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert!(line().contains("What came before?"));
    for (question, count) in [("What comes now?", 2), ("And after it?", 3)] {
        ask(question, count);
        let said = line();
        assert!(said.contains(question), "{said}");
    }
}

#[test]
fn what_was_changed_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let question = "Tell me of heat pumps. /think";
    let _server = asked(dir.path(), [question]);
    let diff = printed(dir.path(), &["log", "show", "--diff", "1"]);
    let lines = |sign: &str| {
        let changed = diff
            .lines()
            .filter(|line| line.trim_start().starts_with(sign));
        changed.collect::<Vec<_>>().join("\n")
    };
    assert!(lines("-").contains(question), "{diff}");
    assert!(lines("+").contains("Tell me of heat pumps."), "{diff}");
}

#[test]
fn words_are_searched_for() {
    let dir = tempfile::tempdir().unwrap();
    let _server = asked(
        dir.path(),
        ["How warm is a stove?", "How cold is a fridge?"],
    );
    let found = printed(dir.path(), &["log", "tail", "--text", "warm stov"]);
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.contains("How warm is a stove?"), "{found}");
}

#[test]
fn other_rules_are_tried_on_what_was_logged() {
    let dir = tempfile::tempdir().unwrap();
    let _server = asked(
        dir.path(),
        ["Who sings?", "Who is it that nobody may ask for?"],
    );
    let tried = dir.path().join("tried");
    fs::create_dir(&tried).unwrap();
    let rules = r#"schema = 1

[[rewrite]]
id = "tried.words"
on = ["chat"]
op = "append"
to = "system"
text = "Sing it."

[[deny]]
id = "tried.no"
when = { last_user_has = [["nobody may ask"]] }
message = "no"
"#;
    fs::write(tried.join("90-tried.toml"), rules).unwrap();
    let told = printed(dir.path(), &["replay", "--rules", "tried"]);
    assert!(told.starts_with("2 requests, 2 change\n"), "{told}");
    let counted = |what: &str, count: &str| {
        let line = told
            .lines()
            .find(|line| line.trim_start().starts_with(what));
        let line = line.unwrap_or_else(|| panic!("no {what} in {told}"));
        assert!(line.ends_with(count), "{line}");
    };
    counted("refused or not", " 1");
    counted("class", " 0");
    assert!(told.contains("Sing it."), "{told}");
    assert!(told.contains("to prefill, estimated"), "{told}");

    let newest = ["replay", "--rules", "tried", "--limit", "1", "--diffs", "0"];
    let told = printed(dir.path(), &newest);
    assert!(told.starts_with("1 requests, 1 change\n"), "{told}");
    assert!(!told.contains("Sing it."), "{told}");

    let missing = rkgate(dir.path(), &["replay", "--rules", "nowhere"]);
    assert_eq!(missing.status.code(), Some(66));
    assert!(text(&missing.stderr).contains("nowhere"));
}
