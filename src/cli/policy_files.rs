//! The rule and policy files that a command is about.

use std::path::PathBuf;

use super::{Failure, code};
use crate::{
    config,
    policy::{Platform, Set, Source, shipped},
    problem::Report,
};

/// The shipped files with those at `paths`, or, without paths, with those of the configured directories.
pub(super) fn read(
    configured: Option<&config::Policy>,
    paths: &[PathBuf],
) -> Result<Vec<Source>, Failure> {
    let files = match configured {
        _ if !paths.is_empty() => shipped::with_paths(paths),
        Some(policy) => shipped::with_directories(&policy.rules, &policy.policies),
        None => Ok(shipped::files()),
    };
    files.map_err(|error| Failure::because(code::IO, "no files to check", &error))
}

/// Compiles the files and runs their tests as every board would: the warnings, and how many tests pass.
///
/// # Errors
/// What is wrong for the first board that cannot use the files.
pub(super) fn compile(files: &[Source]) -> Result<(Report, usize), Report> {
    let mut fine = (Report::default(), 0);
    for platform in Platform::ALL {
        let compiled = Set::compile(files, platform)?;
        let tests = compiled.test()?;
        if fine.1 <= tests {
            fine = (compiled.warnings, tests);
        }
    }
    Ok(fine)
}
