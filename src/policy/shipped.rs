//! The rule and policy files inside the binary, and how a user's directories come on top of them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Source,
    compile::ids,
    file::{keys::Key, policies, rules, table},
    live::Draft,
};

/// A file's name and its text.
type Shipped = (&'static str, &'static str);

/// The shipped rule files.
const RULES: &[Shipped] = &[
    (
        "10-open-webui.toml",
        include_str!("../../rules/10-open-webui.toml"),
    ),
    (
        "20-system-prompts.toml",
        include_str!("../../rules/20-system-prompts.toml"),
    ),
    (
        "30-history.toml",
        include_str!("../../rules/30-history.toml"),
    ),
    (
        "40-context.toml",
        include_str!("../../rules/40-context.toml"),
    ),
    ("60-tasks.toml", include_str!("../../rules/60-tasks.toml")),
    ("70-agents.toml", include_str!("../../rules/70-agents.toml")),
    (
        "80-redaction.toml",
        include_str!("../../rules/80-redaction.toml"),
    ),
];

/// The shipped policy files.
const POLICIES: &[Shipped] = &[
    (
        "10-families.toml",
        include_str!("../../policies/10-families.toml"),
    ),
    (
        "15-tasks.toml",
        include_str!("../../policies/15-tasks.toml"),
    ),
    (
        "20-rk3588.toml",
        include_str!("../../policies/20-rk3588.toml"),
    ),
    (
        "30-rk3576.toml",
        include_str!("../../policies/30-rk3576.toml"),
    ),
];

/// Ends the path of a file that is inside the binary.
pub(crate) const MARK: &str = " (shipped)";

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

/// The shipped files' names: `rules/NAME` and `policies/NAME`.
pub fn names() -> impl Iterator<Item = String> {
    let rules = RULES.iter().map(|(name, _)| format!("rules/{name}"));
    let policies = POLICIES.iter().map(|(name, _)| format!("policies/{name}"));
    rules.chain(policies)
}

/// The shipped files and those of two directories, in the byte order of their names. A file of a directory takes the
/// place of the shipped file with the same name. A directory that is not there adds nothing.
///
/// # Errors
/// When a directory or a file in it is there and cannot be read.
pub fn with_directories(rules: &Path, policies: &Path) -> Result<Vec<Source>, Unreadable> {
    with_drafts(rules, policies, &[])
}

/// As [`with_directories`], as it would be with these changes.
///
/// # Errors
/// As [`with_directories`].
pub fn with_drafts(
    rules: &Path,
    policies: &Path,
    drafts: &[Draft],
) -> Result<Vec<Source>, Unreadable> {
    let mut files = with_directory("rules", RULES, rules, false, drafts)?;
    files.extend(with_directory(
        "policies", POLICIES, policies, true, drafts,
    )?);
    Ok(files)
}

/// The text of the file at `path`, or else of the shipped one of that name.
///
/// # Errors
/// When it is there and cannot be read.
pub(super) fn text_at(path: &Path, is_policy: bool) -> Result<Option<String>, Unreadable> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let files = if is_policy { POLICIES } else { RULES };
            let name = file_name(path);
            let found = files.iter().find(|(shipped, _)| *shipped == name);
            Ok(found.map(|(_, text)| (*text).to_owned()))
        }
        Err(source) => Err(Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

fn shipped(kind: &str, (name, text): Shipped, is_policy: bool) -> Source {
    Source {
        path: format!("{kind}/{name}{MARK}").into(),
        text: text.to_owned(),
        is_policy,
        is_shipped: true,
    }
}

fn with_directory(
    kind: &str,
    files: &[Shipped],
    directory: &Path,
    is_policy: bool,
    drafts: &[Draft],
) -> Result<Vec<Source>, Unreadable> {
    let shipped = files;
    let mut files = by_name(kind, shipped, is_policy);
    for path in toml_files(directory)? {
        let source = read(&path)?;
        files.insert(
            file_name(&path),
            Source {
                is_policy,
                ..source
            },
        );
    }
    for draft in drafts.iter().filter(|draft| draft.is_policy == is_policy) {
        let name = draft.name.as_str();
        let underneath = by_name(kind, shipped, is_policy).remove(name);
        let source = match &draft.text {
            Some(text) => Some(source(&directory.join(name), text.clone(), is_policy)),
            None => underneath,
        };
        match source {
            Some(source) => files.insert(name.to_owned(), source),
            None => files.remove(name),
        };
    }
    Ok(files.into_values().collect())
}

fn by_name(kind: &str, files: &[Shipped], is_policy: bool) -> BTreeMap<String, Source> {
    files
        .iter()
        .map(|file| (file.0.to_owned(), shipped(kind, *file, is_policy)))
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The shipped files and the files at these paths: `*.toml` in a directory and in its `rules` and `policies`, or a
/// file. What kind of file it is follows from the directory's name, or else from its tables.
///
/// # Errors
/// When a path is not there or cannot be read.
pub fn with_paths(paths: &[PathBuf]) -> Result<Vec<Source>, Unreadable> {
    let mut rules = by_name("rules", RULES, false);
    let mut policies = by_name("policies", POLICIES, true);
    for path in paths {
        for file in files_at(path)? {
            let source = read(&file)?;
            let files = if source.is_policy {
                &mut policies
            } else {
                &mut rules
            };
            files.insert(file_name(&file), source);
        }
    }
    Ok(rules.into_values().chain(policies.into_values()).collect())
}

fn files_at(path: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let below = ["rules", "policies"].map(|name| path.join(name));
    if below.iter().any(|directory| directory.is_dir()) {
        for directory in below {
            files.extend(toml_files(&directory)?);
        }
    } else {
        files.extend(toml_files(path)?);
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Source, Unreadable> {
    let text = fs::read_to_string(path).map_err(|source| Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let directory = path
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy());
    let is_policy = match directory.as_deref() {
        Some("rules") => false,
        Some("policies") => true,
        _ => is_policy(&text),
    };
    Ok(source(path, text, is_policy))
}

fn source(path: &Path, text: String, is_policy: bool) -> Source {
    let is_shipped = RULES
        .iter()
        .chain(POLICIES)
        .any(|(_, shipped)| *shipped == text);
    Source {
        path: path.display().to_string().into(),
        text,
        is_policy,
        is_shipped,
    }
}

/// Whether a file has a key that only policy files have or, where it has none of rule files either, changes what a
/// shipped policy file has.
fn is_policy(text: &str) -> bool {
    // What is wrong with the text is told when it is compiled.
    let (file, _) = DeTable::parse_recoverable(text.trim_start_matches('\u{feff}'));
    let file = file.get_ref();
    let has_own = |own: &[Key], others: &[Key]| {
        let shared = |key: &Key| others.iter().any(|other| other.name == key.name);
        own.iter()
            .any(|key| !shared(key) && file.contains_key(key.name))
    };
    has_own(policies::POLICIES, rules::RULES)
        || !has_own(rules::RULES, policies::POLICIES) && changes_policy(file)
}

fn changes_policy(file: &DeTable<'_>) -> bool {
    let Some(DeValue::Array(changes)) = file.get("change").map(Spanned::get_ref) else {
        return false;
    };
    let shipped: Vec<Source> = files().into_iter().filter(|file| file.is_policy).collect();
    let known = ids(&shipped);
    changes.iter().any(|change| match change.get_ref() {
        DeValue::Table(change) => change
            .get("id")
            .and_then(table::text)
            .is_some_and(|id| known.iter().any(|known| known == id)),
        _ => false,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_keys_or_else_what_it_changes_tell_its_kind() {
        for (text, expected) in [
            ("[[cache]]\nid = \"a\"", true),
            ("platform = \"rk3588\"", true),
            ("[profile]\na = {}", true),
            ("[[rewrite]]\nid = \"a\"", false),
            ("[[change]]\nid = \"tasks-to-small\"", true),
            ("[[change]]\nid = \"profile.qwen3.plain\"", true),
            ("[[change]]\nid = \"cache.query\"", true),
            ("[[change]]\nid = \"system.padding\"", false),
            ("pack = \"a\"\n[[change]]\nid = \"cache.query\"", false),
            ("[[change]]\nid = \"nobody\"", false),
            ("", false),
        ] {
            let text = format!("schema = 1\n{text}\n");
            assert_eq!(is_policy(&text), expected, "{text}");
        }
    }
}
