//! The reference of rule and policy files, from the same keys and descriptions that read them.

use std::fmt::Write as _;

use super::{
    file::{
        condition::CONDITION,
        keys::{Key, Kind},
        policies::POLICIES,
        rules::RULES,
    },
    ops::{self, Description},
};

/// `docs/policy-reference.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Policy reference\n\nMade by `rkgate schema reference` from the code that reads the files. \
         [Rules and policies](policies.md) is the tour.\n\n## Rule files\n\n",
    );
    keys(&mut text, RULES);
    tables(&mut text, RULES);
    text.push_str("\n## Conditions\n\nWhat `when` and `unless` may hold.\n\n");
    keys(&mut text, CONDITION);
    text.push_str("\n## Policy files\n\n");
    keys(&mut text, POLICIES);
    tables(&mut text, POLICIES);
    text.push_str("\n## Operations\n\nWhat `op` of a `[[rewrite]]` may say.\n");
    for description in ops::ALL {
        operation(&mut text, description);
    }
    text
}

/// The keys of the tables in a file.
fn tables(text: &mut String, file: &[Key]) {
    for key in file {
        let (heading, inner) = match key.kind {
            Kind::Tables(inner) => (format!("[[{}]]", key.name), inner),
            Kind::Table(inner) => (format!("[{}]", key.name), inner),
            Kind::Map(Kind::Table(inner)) => (format!("[{}.NAME]", key.name), *inner),
            Kind::Rewrites => ("[[rewrite]]".to_owned(), super::file::rules::REWRITE),
            _ => continue,
        };
        let _ = write!(text, "\n### `{heading}`\n\n{}\n\n", key.doc);
        keys(text, inner);
    }
}

fn keys(text: &mut String, keys: &[Key]) {
    text.push_str("| key | holds | |\n|---|---|---|\n");
    for key in keys {
        let required = if key.required { "**required.** " } else { "" };
        let _ = writeln!(
            text,
            "| `{}` | {} | {required}{} |",
            key.name,
            cell(&key.kind.expected()),
            cell(key.doc)
        );
    }
}

/// Text for a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn operation(text: &mut String, description: &Description) {
    let Description {
        name,
        summary,
        details,
        keys: own,
        examples,
        ..
    } = description;
    let _ = write!(text, "\n### `{name}`\n\n{summary}\n\n");
    if !details.is_empty() {
        let _ = write!(text, "{details}\n\n");
    }
    keys(text, own);
    for example in *examples {
        let _ = write!(
            text,
            "\nFor example, {} (`{}`):\n\n```toml\n{}\n```\n```json\n{}\n```\n",
            example.title, example.class, example.rule, example.before
        );
        if example.before == example.after {
            text.push_str("stays as it is.\n");
        } else {
            let _ = write!(text, "becomes\n```json\n{}\n```\n", example.after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::file::schema;

    /// What stands in the repository is what the code would write now; `make schemas` writes it.
    #[test]
    fn committed_files_are_current() {
        let json = |schema: &serde_json::Value| {
            serde_json::to_string_pretty(schema).unwrap_or_default() + "\n"
        };
        let made = [
            ("docs/policy-reference.md", reference()),
            ("rules/rules.schema.json", json(&schema::rules())),
            ("policies/policies.schema.json", json(&schema::policies())),
        ];
        for (file, now) in made {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let committed = std::fs::read_to_string(path).unwrap_or_default();
            assert!(
                committed == now,
                "{file} is not current: run `make schemas`"
            );
        }
    }
}
