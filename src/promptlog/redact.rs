//! Leaving out of a record what the redaction rules name, and images.

use std::sync::Arc;

use serde_json::Value;

use super::Record;
use crate::{
    chat::{Content, Message, Part, Request},
    policy::{Redaction, StepOutcome},
};

/// Leaves out of a record what must not be kept.
pub(super) fn record(record: &mut Record, redaction: &Redaction) {
    let text = |said: &mut String| redaction.apply(said);
    let names = [&mut record.error, &mut record.client, &mut record.user];
    names.into_iter().flatten().for_each(text);
    let Some(content) = &mut record.content else {
        return;
    };
    for (name, value) in &mut content.headers {
        // Open WebUI's names of people.
        if name.ends_with("-name") || name.ends_with("-email") {
            "[person]".clone_into(value);
        }
        text(value);
    }
    request(Arc::make_mut(&mut content.before), redaction);
    if let Some(after) = &mut content.after {
        request(Arc::make_mut(after), redaction);
    }
    for step in &mut Arc::make_mut(&mut content.trace).steps {
        outcome(&mut step.outcome, redaction);
    }
    text(&mut content.answer.content);
    text(&mut content.answer.reasoning);
    for call in &mut content.answer.tool_calls {
        text(&mut call.arguments);
    }
}

fn request(request: &mut Request, redaction: &Redaction) {
    for said in &mut request.messages {
        message(said, redaction);
    }
    request
        .stop
        .iter_mut()
        .for_each(|stop| redaction.apply(stop));
    let tools = request.tools.iter_mut().map(|tool| &mut tool.definition);
    for json in request.extra.values_mut().chain(tools) {
        value(json, redaction);
    }
}

fn message(message: &mut Message, redaction: &Redaction) {
    let text = |said: &mut String| redaction.apply(said);
    match &mut message.content {
        Content::Text(said) => text(said),
        Content::Parts(parts) => parts.iter_mut().for_each(|part| match part {
            Part::Text(said) => text(said),
            // What it shows, nobody knows.
            Part::Image(_) => *part = Part::Text("[image]".to_owned()),
            Part::Other(other) => value(other, redaction),
        }),
    }
    message.reasoning.iter_mut().for_each(text);
    for json in message.extra.values_mut() {
        value(json, redaction);
    }
    for call in &mut message.tool_calls {
        text(&mut call.arguments);
    }
}

fn outcome(outcome: &mut StepOutcome, redaction: &Redaction) {
    let text = |said: &mut String| redaction.apply(said);
    match outcome {
        StepOutcome::Matched { what: said }
        | StepOutcome::NotMatched { why: said, .. }
        | StepOutcome::Failed { why: said } => text(said),
        StepOutcome::Left { why } => why.iter_mut().for_each(text),
        StepOutcome::Sampled { .. } => {}
        StepOutcome::Applied { changes } => {
            changes.iter_mut().for_each(|change| text(&mut change.what));
        }
        StepOutcome::Shadow { what, changes } => {
            text(what);
            changes.iter_mut().for_each(|change| text(&mut change.what));
        }
    }
}

fn value(json: &mut Value, redaction: &Redaction) {
    match json {
        Value::String(said) => redaction.apply(said),
        Value::Array(list) => list.iter_mut().for_each(|item| value(item, redaction)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| value(field, redaction)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        policy::{Platform, Set, shipped},
        promptlog::tests::{NOW, chat},
    };

    /// What the shipped rules leave out.
    fn shipped() -> Arc<Redaction> {
        let compiled = Set::compile(&shipped::files(), Platform::Rk3588);
        Arc::clone(compiled.unwrap().set.redaction())
    }

    #[test]
    fn every_part_of_a_record_is_looked_at() {
        const SECRET: &str = "anna@example.org";
        let mut record = chat(NOW, SECRET, SECRET);
        record.error = Some(SECRET.to_owned());
        let content = record.content.as_mut().unwrap();
        content.headers = vec![("x-openwebui-user-name".to_owned(), "Anna".to_owned())];
        content.answer.reasoning = SECRET.to_owned();
        let mut after = (*content.before).clone();
        after.extra.insert(
            "metadata".to_owned(),
            serde_json::json!({ "mail": [SECRET] }),
        );
        let mut photo = after.messages.first().unwrap().clone();
        photo.content = Content::Parts(vec![
            Part::Text(SECRET.to_owned()),
            Part::Image("data:image/png;base64,AAAA".to_owned()),
        ]);
        after.messages.push(photo);
        content.after = Some(Arc::new(after));
        super::record(&mut record, &shipped());
        let json = record.to_json(1).to_string();
        for secret in [SECRET, "Anna", "base64"] {
            assert!(!json.contains(secret), "{secret} in {json}");
        }
        assert!(json.contains("[image]"), "{json}");
    }

    #[test]
    fn redacting_twice_changes_nothing_more() {
        let redaction = shipped();
        let redacted = |said: &str| {
            let mut said = said.to_owned();
            redaction.apply(&mut said);
            said
        };
        proptest!(|(said in "[ -~]{0,80}|[0-9 +()-]{0,40}")| {
            let once = redacted(&said);
            prop_assert_eq!(redacted(&once), once);
        });
    }
}
