//! Regular expressions in rule files.

use regex::{Regex, RegexBuilder};

use crate::problem::{Problem, Span};

/// Bytes that a compiled pattern may take; ordinary ones take a few thousand.
const LARGEST: usize = 1 << 20;

/// Compiles the pattern that stands at `place` under `key`; what is wrong with it goes to `problems`.
pub(super) fn compile(
    pattern: &str,
    key: &str,
    place: Span,
    problems: &mut Vec<Problem>,
) -> Option<Regex> {
    let compiled = RegexBuilder::new(pattern)
        .size_limit(LARGEST)
        .dfa_size_limit(LARGEST)
        .build();
    let error = match compiled {
        Ok(pattern) => return Some(pattern),
        Err(error) => error.to_string(),
    };
    // The last line says what is wrong; the lines above it draw the place, which our own caret does as well.
    let reason = error.lines().last().unwrap_or_default();
    problems.push(
        Problem::error(
            "P003",
            format!("`{key}` is no regular expression that can be used"),
        )
        .at(Some(place), reason.trim_start_matches("error: "))
        .help("between three single quotes a backslash stands for itself; look-around and back references are not known"),
    );
    None
}
