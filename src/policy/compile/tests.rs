#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{env, fs, path::Path};

use super::{Platform, Set, Source};

/// The cases of `tests/policy_errors`: each directory-less file `NAME.toml` holds files separated by lines
/// `#--- path`, and `NAME.txt` what is reported about them. `RKGATE_BLESS=1` writes the latter anew.
#[test]
fn errors_are_reported_as_the_golden_files_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy_errors");
    let mut names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    names.sort();
    assert!(names.len() > 20);
    for path in names {
        let files = files(&fs::read_to_string(&path).unwrap());
        let report = match Set::compile(&files, Platform::Rk3588) {
            Err(report) => report.to_string(),
            Ok(compiled) => match compiled.test() {
                Err(report) => report.to_string(),
                Ok(_) => compiled.warnings.to_string(),
            },
        };
        let golden = path.with_extension("txt");
        if env::var_os("RKGATE_BLESS").is_some() {
            fs::write(&golden, &report).unwrap();
        }
        let wanted = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(report, wanted, "{}", path.display());
        assert!(!report.is_empty(), "{}", path.display());
        // Every problem says what to do about it.
        for problem in report
            .split("\n\n")
            .filter(|problem| problem.contains("[P0"))
        {
            assert!(
                problem.contains("= help: "),
                "{}: {problem}",
                path.display()
            );
        }
    }
}

fn files(text: &str) -> Vec<Source> {
    let mut files: Vec<Source> = Vec::new();
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix("#--- "), files.last_mut()) {
            (Some(path), _) => files.push(Source {
                path: path.trim().into(),
                text: String::new(),
                is_policy: path.starts_with("policies/"),
                is_shipped: false,
            }),
            (None, Some(file)) => file.text.push_str(line),
            (None, None) => panic!("a line before the first path"),
        }
    }
    files
}
