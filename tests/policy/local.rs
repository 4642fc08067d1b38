//! The starter file for users.

use rkgate::policy::{Platform, Set, Source, shipped};

/// What a user gets who takes the `#` away everywhere: all of it compiles, and its tests pass.
#[test]
fn the_starter_file_works_when_all_of_it_is_switched_on() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/90-local.toml.example");
    let text = std::fs::read_to_string(path).unwrap();
    let is_code = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| !rest.starts_with([' ', ':']) && !rest.is_empty())
    };
    let lines = text
        .lines()
        .map(|line| if is_code(line) { &line[1..] } else { line });
    let text = lines.collect::<Vec<_>>().join("\n");
    assert!(text.matches("\n[[").count() >= 6, "{text}");
    compile(text)
        .test()
        .unwrap_or_else(|report| panic!("{report}"));
}

/// As it comes it changes nothing: all of it is commented out.
#[test]
fn the_starter_file_as_it_comes_says_nothing() {
    let text = include_str!("../../rules/90-local.toml.example");
    assert!(!text.lines().any(|line| line.starts_with('[')));
    compile(text.to_owned());
}

fn compile(text: String) -> rkgate::policy::Compiled {
    let mut files = shipped::files();
    files.insert(
        files.iter().position(|file| file.is_policy).unwrap(),
        Source {
            path: "rules/90-local.toml".into(),
            text,
            is_policy: false,
            is_shipped: false,
        },
    );
    Set::compile(&files, Platform::Rk3588).unwrap_or_else(|report| panic!("{report}"))
}
