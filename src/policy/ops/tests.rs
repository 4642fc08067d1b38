#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::Value;

use super::*;
use crate::{
    chat,
    policy::{Class, Facts, ModelSettings, file::rules::REWRITE},
    problem::{Report, Sources},
    wire::openai,
};

/// Every example of every operation does what it says, and applied to its own result changes nothing more.
#[test]
fn examples_hold() {
    for op in ALL {
        for example in op.examples {
            let title = format!("{}: {}", op.name, example.title);
            let rule = compile(op, example.rule);
            let before = request(example.before);
            let after = request(example.after);
            assert!(Class::parse(example.class).is_some(), "{title}");
            assert_eq!(apply(&*rule, &before), after, "{title}");
            assert_eq!(apply(&*rule, &after), after, "{title}: a second time");
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = ALL.iter().map(|op| op.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}

pub(super) fn compile(op: &Description, rule: &str) -> Box<dyn Operation> {
    let text = format!("id = \"example\"\non = [\"*\"]\n{rule}\n");
    let mut sources = Sources::default();
    sources.add("example", text.as_str());
    let document = toml::de::DeTable::parse(&text).unwrap();
    let mut problems = Vec::new();
    let table = Table::check(
        0..text.len(),
        document.get_ref(),
        &[REWRITE, op.keys],
        &mut problems,
    );
    assert_eq!(table.text("op"), Some(op.name));
    let rule = (op.compile)(&table, &mut problems);
    if !problems.is_empty() {
        panic!("{}", Report { problems, sources });
    }
    rule.unwrap()
}

pub(super) fn request(json: &str) -> chat::Request {
    let mut body: Value =
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    if body.get("model").is_none() {
        body["model"] = "qwen3-1.7b".into();
    }
    openai::decode_chat(body.to_string().as_bytes()).unwrap()
}

pub(super) fn apply(operation: &dyn Operation, request: &chat::Request) -> chat::Request {
    let facts = Facts::example();
    let mut rewriter = Rewriter::new(request);
    let settings = ModelSettings::default();
    let context = Context {
        original: request,
        labels: &[],
        model: facts.models.first(),
        settings: &settings,
    };
    operation.apply(&mut rewriter, &context);
    rewriter.finish().unwrap_or_else(|| request.clone())
}
