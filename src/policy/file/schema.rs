//! JSON Schema of rule and policy files, made from the same keys that check them.
//!
//! Kept to what draft 4 knows: the usual TOML editor engine understands no more.

use serde_json::{Map, Value, json};

use super::{
    keys::{Key, Kind},
    policies::POLICIES,
    rules::{REWRITE, RULES},
};
use crate::policy::{Class, ops};

/// The schema of rule files.
#[must_use]
pub fn rules() -> Value {
    schema("rkgate rules", RULES)
}

/// The schema of policy files.
#[must_use]
pub fn policies() -> Value {
    schema("rkgate policies", POLICIES)
}

fn schema(title: &str, keys: &[Key]) -> Value {
    let mut schema = table(&[keys]);
    if let Value::Object(fields) = &mut schema {
        fields.insert(
            "$schema".to_owned(),
            json!("http://json-schema.org/draft-04/schema#"),
        );
        fields.insert("title".to_owned(), json!(title));
    }
    schema
}

/// A rewrite rule with this operation.
fn rewrite(op: &ops::Description) -> Value {
    let mut schema = table(&[REWRITE, op.keys]);
    if let Some(name) = schema.pointer_mut("/properties/op") {
        *name = json!({"type": "string", "enum": [op.name], "description": op.summary});
    }
    schema
}

fn table(keys: &[&[Key]]) -> Value {
    let keys = || keys.iter().copied().flatten();
    let properties: Map<String, Value> = keys()
        .map(|key| {
            let mut schema = of(&key.kind);
            if let Value::Object(fields) = &mut schema {
                fields.insert("description".to_owned(), json!(key.doc));
            }
            (key.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = keys()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let mut schema =
        json!({"type": "object", "properties": properties, "additionalProperties": false});
    // Draft 4 does not allow an empty list here.
    if let (Value::Object(fields), false) = (&mut schema, required.is_empty()) {
        fields.insert("required".to_owned(), json!(required));
    }
    schema
}

fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Duration => json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Groups => {
            json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}}})
        }
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Number(min, max) => json!({"type": "number", "minimum": min, "maximum": max}),
        Kind::Choice(words) => json!({"type": "string", "enum": words}),
        Kind::Classes => {
            let names = Class::ALL.iter().map(|class| class.as_str());
            let words: Vec<&str> = ["*", "task/*"].into_iter().chain(names).collect();
            json!({"type": "array", "items": {"type": "string", "enum": words}})
        }
        Kind::Class => {
            let names: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
            json!({"type": "string", "enum": names})
        }
        Kind::Rewrites => {
            let tables: Vec<Value> = ops::ALL.iter().map(|op| rewrite(op)).collect();
            json!({"type": "array", "items": {"anyOf": tables}})
        }
        Kind::Table(keys) => table(&[keys]),
        Kind::Map(kind) => json!({"type": "object", "additionalProperties": of(kind)}),
        Kind::Tables(keys) => json!({"type": "array", "items": table(&[keys])}),
        Kind::TextOr(kind) => json!({"anyOf": [{"type": "string"}, of(kind)]}),
        Kind::Any => json!({}),
    }
}
