//! The schemas that editors are given, held against the files that people are given.

use std::{fs, path::PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value, json};

use crate::rkgate;

/// The schemas that `rkgate schema` prints.
struct Printed {
    schemas: Schemas,
    config: SchemaIndex,
    rules: SchemaIndex,
    policies: SchemaIndex,
}

impl Printed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut schemas = Schemas::new();
        let [config, rules, policies] = ["config", "rules", "policies"].map(|of| {
            let output = rkgate(dir.path(), &["schema", of]);
            let schema = serde_json::from_slice(&output.stdout).unwrap();
            let name = format!("mem:///{of}");
            let mut compiler = Compiler::new();
            compiler.add_resource(&name, schema).unwrap();
            compiler.compile(&name, &mut schemas).unwrap()
        });
        Self {
            schemas,
            config,
            rules,
            policies,
        }
    }

    /// Nothing, or what is wrong.
    fn faults(&self, of: SchemaIndex, toml: &str) -> Option<String> {
        let table: Value = toml::from_str(toml).unwrap();
        let faults = self.schemas.validate(&table, of).err();
        faults.map(|error| format!("{error:#}"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &str, ends: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let fits = |path: &PathBuf| ends.iter().any(|end| path.to_string_lossy().ends_with(end));
    paths.filter(fits).collect()
}

#[test]
fn shipped_files_fit_their_schemas() {
    let printed = Printed::new();
    let mut shipped = vec![(printed.config, root().join("rkgate.example.toml"))];
    let of = |schema: SchemaIndex| move |path: PathBuf| (schema, path);
    let rules = files("rules", &[".toml", ".toml.example"]);
    shipped.extend(rules.into_iter().map(of(printed.rules)));
    let policies = files("policies", &[".toml"]);
    shipped.extend(policies.into_iter().map(of(printed.policies)));
    assert!(shipped.len() > 10, "{}", shipped.len());
    for (schema, path) in shipped {
        let faults = printed.faults(schema, &fs::read_to_string(&path).unwrap());
        assert_eq!(faults, None, "{}", path.display());
    }
}

#[test]
fn what_the_readers_refuse_does_not_fit() {
    let printed = Printed::new();
    for (schema, toml) in [
        (printed.config, "[engine]\nlibary = \"sim\"\n"),
        (printed.config, "[limits]\nconnections = \"many\"\n"),
        (printed.rules, "[[label]]\nid = \"a\"\nlabel = \"b\"\n"),
        (
            printed.rules,
            "schema = 1\n[[answer]]\nid = \"a\"\nthink = \"aloud\"\n",
        ),
        (
            printed.rules,
            "schema = 1\n[[rewrite]]\nid = \"a\"\non = [\"chat\"]\nop = \"strip\"\n",
        ),
        (printed.policies, "schema = 1\n[[model]]\nmtch = \"a*\"\n"),
    ] {
        assert!(printed.faults(schema, toml).is_some(), "{toml}");
    }
}

/// The TOML of a page, with the line at which each piece begins.
fn pieces(page: &str) -> Vec<(usize, String)> {
    let mut pieces = Vec::new();
    let mut piece: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.trim(), &mut piece) {
            ("```toml", None) => piece = Some((number + 2, String::new())),
            ("```", Some(_)) => pieces.extend(piece.take()),
            (_, Some((_, text))) => *text += &format!("{line}\n"),
            (_, None) => {}
        }
    }
    pieces
}

/// A piece that is about one rule or leaves out the first line, as a whole file.
fn completed(piece: &str) -> Value {
    let mut table: Map<String, Value> = toml::from_str(piece).unwrap();
    if table.contains_key("op") {
        let id = table.entry("id").or_insert("an-id".into());
        assert!(id.is_string());
        table.entry("on").or_insert(json!(["chat"]));
        table = Map::from_iter([("rewrite".to_owned(), json!([table]))]);
    }
    let tables = table.values().any(Value::is_array);
    if tables && !table.contains_key("upstream") {
        table.entry("schema").or_insert(1.into());
    }
    table.into()
}

#[test]
fn what_the_pages_show_fits_a_schema() {
    let printed = Printed::new();
    let mut pages = files("docs", &[".md"]);
    pages.push(root().join("README.md"));
    let mut seen = 0;
    for page in pages {
        for (line, piece) in pieces(&fs::read_to_string(&page).unwrap()) {
            let whole = completed(&piece);
            // A script of `rkgate bench` has no schema.
            if whole.get("people").is_some() {
                continue;
            }
            let kinds = [printed.config, printed.rules, printed.policies];
            let faults = kinds.map(|kind| printed.schemas.validate(&whole, kind).err());
            let faults: Vec<String> = faults
                .into_iter()
                .flatten()
                .map(|it| it.to_string())
                .collect();
            assert!(
                faults.len() < 3,
                "{}:{line}\n{}",
                page.display(),
                faults.join("\n")
            );
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
