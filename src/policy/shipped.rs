//! The rule and policy files inside the binary, and how a user's directories come on top of them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::Source;

/// A file's name and its text.
type Shipped = (&'static str, &'static str);

/// The shipped rule files.
const RULES: &[Shipped] = &[(
    "10-open-webui.toml",
    include_str!("../../rules/10-open-webui.toml"),
)];

/// The shipped policy files.
const POLICIES: &[Shipped] = &[(
    "10-default.toml",
    include_str!("../../policies/10-default.toml"),
)];

/// A file or directory that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
pub struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

/// The shipped files alone.
#[must_use]
pub fn files() -> Vec<Source> {
    let rules = RULES.iter().map(|file| shipped("rules", *file, false));
    let policies = POLICIES.iter().map(|file| shipped("policies", *file, true));
    rules.chain(policies).collect()
}

/// The shipped files and those of two directories, in the byte order of their names. A file of a directory takes the
/// place of the shipped file with the same name. A directory that is not there adds nothing.
///
/// # Errors
/// When a directory or a file in it is there and cannot be read.
pub fn with_directories(rules: &Path, policies: &Path) -> Result<Vec<Source>, Unreadable> {
    let mut files = with_directory("rules", RULES, rules, false)?;
    files.extend(with_directory("policies", POLICIES, policies, true)?);
    Ok(files)
}

fn shipped(kind: &str, (name, text): Shipped, is_policy: bool) -> Source {
    Source {
        path: format!("{kind}/{name} (shipped)").into(),
        text: text.to_owned(),
        is_policy,
    }
}

fn with_directory(
    kind: &str,
    files: &[Shipped],
    directory: &Path,
    is_policy: bool,
) -> Result<Vec<Source>, Unreadable> {
    let mut by_name: BTreeMap<String, Source> = files
        .iter()
        .map(|file| (file.0.to_owned(), shipped(kind, *file, is_policy)))
        .collect();
    for path in toml_files(directory)? {
        let text = fs::read_to_string(&path).map_err(|source| Unreadable {
            path: path.clone(),
            source,
        })?;
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let source = Source {
            path: path.display().to_string().into(),
            text,
            is_policy,
        };
        by_name.insert(name.unwrap_or_default(), source);
    }
    Ok(by_name.into_values().collect())
}

/// `*.toml` in a directory; names that begin with a dot are an editor's own.
fn toml_files(directory: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let unreadable = |source| Unreadable {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    Ok(paths)
}
