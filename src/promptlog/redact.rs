//! Leaving out of a record what the redaction rules name, and whatever is no text.

use std::{mem, sync::Arc};

use serde_json::{Map, Value};

use super::Record;
use crate::{
    chat::{Content, Message, Part, Request, ToolCall, answer::Answer},
    policy::{Redaction, StepOutcome},
};

/// Bytes of the longest name of a kind of part.
const LONGEST_KIND: usize = 32;

/// Leaves out of a record what must not be kept.
pub(super) fn record(record: &mut Record, redaction: &Redaction) {
    let text = |said: &mut String| text(said, redaction);
    let told = [
        &mut record.error,
        &mut record.client,
        &mut record.user,
        &mut record.conversation,
    ];
    told.into_iter().flatten().for_each(text);
    // The name of a model may be anything that a client asks for.
    text(&mut record.asked);
    let mut model = String::from(&*record.model);
    text(&mut model);
    record.model = model.into();
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
    if content.unread.is_some() {
        // What cannot be read cannot be redacted.
        content.answer = Answer::default();
    }
    text(&mut content.answer.content);
    text(&mut content.answer.reasoning);
    content
        .answer
        .tool_calls
        .iter_mut()
        .for_each(|called| call(called, redaction));
}

fn request(request: &mut Request, redaction: &Redaction) {
    redaction.apply(&mut request.model);
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
    let text = |said: &mut String| text(said, redaction);
    match &mut message.content {
        Content::Text(said) => text(said),
        Content::Parts(parts) => parts.iter_mut().for_each(|part| match part {
            Part::Text(said) => text(said),
            // What it shows or says, nobody knows.
            Part::Image(_) => *part = Part::Text("[image]".to_owned()),
            Part::Other(other) => *part = Part::Text(format!("[{}]", kind(other))),
        }),
    }
    message.reasoning.iter_mut().for_each(text);
    for json in message.extra.values_mut() {
        value(json, redaction);
    }
    message.tool_call_id.iter_mut().for_each(text);
    for called in &mut message.tool_calls {
        call(called, redaction);
    }
}

fn call(call: &mut ToolCall, redaction: &Redaction) {
    for said in [&mut call.id, &mut call.name, &mut call.arguments] {
        text(said, redaction);
    }
}

/// What a part calls itself, where that can be nothing but a name.
fn kind(part: &Value) -> &str {
    let is_name = |kind: &&str| {
        kind.len() <= LONGEST_KIND
            && kind
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let kind = part.get("type").and_then(Value::as_str);
    kind.filter(is_name).unwrap_or("part")
}

fn outcome(outcome: &mut StepOutcome, redaction: &Redaction) {
    let text = |said: &mut String| text(said, redaction);
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

/// Redacts a text. The arguments and results of tools are JSON, where `\n` in front of a word hides its beginning and a
/// mark in the wrong place breaks the whole: there, the patterns are for the strings that the JSON stands for.
fn text(said: &mut String, redaction: &Redaction) {
    if let Some(mut json) = structured(said)
        && value(&mut json, redaction)
    {
        *said = json.to_string();
    }
    // Patterns may span several values.
    redaction.apply(said);
}

/// A text that is a JSON object, array or string.
fn structured(said: &str) -> Option<Value> {
    let begins = said.trim_start().starts_with(['{', '[', '"']);
    begins.then(|| serde_json::from_str(said).ok())?
}

/// Redacts every string and number in a value, and the names of fields; says whether anything was found.
fn value(json: &mut Value, redaction: &Redaction) -> bool {
    let mut found = false;
    match json {
        Value::String(said) => found = is_changed(said, redaction),
        Value::Number(number) => {
            let mut said = number.to_string();
            found = is_changed(&mut said, redaction);
            if found {
                *json = Value::String(said);
            }
        }
        Value::Array(list) => {
            for item in list {
                found |= value(item, redaction);
            }
        }
        Value::Object(fields) => {
            let mut redacted = Map::with_capacity(fields.len());
            for (mut name, mut field) in mem::take(fields) {
                found |= is_changed(&mut name, redaction) | value(&mut field, redaction);
                redacted.insert(name, field);
            }
            *fields = redacted;
        }
        Value::Null | Value::Bool(_) => {}
    }
    found
}

fn is_changed(said: &mut String, redaction: &Redaction) -> bool {
    let before = said.clone();
    text(said, redaction);
    *said != before
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{Role, ToolCall},
        policy::{Platform, Set, shipped},
        promptlog::tests::{NOW, chat, message},
    };

    /// What the shipped rules leave out.
    fn shipped() -> Arc<Redaction> {
        let compiled = Set::compile(&shipped::files(), Platform::Rk3588);
        Arc::clone(compiled.unwrap().set.redaction())
    }

    #[test]
    fn every_part_of_a_record_is_looked_at() {
        const SECRET: &str = "anna@example.org";
        let secret = || Some(SECRET.to_owned());
        let call = || ToolCall {
            id: SECRET.to_owned(),
            name: SECRET.to_owned(),
            arguments: SECRET.to_owned(),
        };
        let mut record = chat(NOW, SECRET, SECRET);
        SECRET.clone_into(&mut record.asked);
        record.model = SECRET.into();
        record.error = secret();
        record.client = secret();
        record.user = secret();
        record.conversation = secret();
        let content = record.content.as_mut().unwrap();
        content.headers = vec![("x-openwebui-user-name".to_owned(), "Anna".to_owned())];
        content.answer.reasoning = SECRET.to_owned();
        content.answer.tool_calls = vec![call()];
        let mut after = (*content.before).clone();
        after.extra.insert(
            "metadata".to_owned(),
            serde_json::json!({ "mail": [SECRET] }),
        );
        let mut photo = after.messages.first().unwrap().clone();
        photo.content = Content::Parts(vec![
            Part::Text(SECRET.to_owned()),
            Part::Image("data:image/png;base64,AAAA".to_owned()),
            Part::Other(json!({ "type": "input_audio", "input_audio": { "data": "UklGRg" } })),
            Part::Other(json!({ "type": "file", "file": { "file_data": "JVBERi0x" } })),
            Part::Other(json!({ "type": SECRET })),
        ]);
        photo.tool_calls = vec![call()];
        photo.tool_call_id = secret();
        after.messages.push(photo);
        content.after = Some(Arc::new(after));
        super::record(&mut record, &shipped());
        let json = record.to_json(1).to_string();
        for secret in [SECRET, "Anna", "base64", "UklGRg", "JVBERi0x"] {
            assert!(!json.contains(secret), "{secret} in {json}");
        }
        for mark in ["[image]", "[input_audio]", "[file]", "[part]"] {
            assert!(json.contains(mark), "{mark} in {json}");
        }
    }

    #[test]
    fn what_json_says_is_redacted_and_stays_json() {
        const KEY: &str = "sk-proj-abcdefghijklmnop1234";
        let inner = json!({ "text": format!("first\n{KEY}\nlast") }).to_string();
        let said = json!({
            "q": format!("line\n{KEY} and\n4111 1111 1111 1111 and\nanna@example.org"),
            "number": 4_111_111_111_111_111_u64,
            "list": [1, true, null, inner],
            "anna@example.org": "her",
        });
        let inner = json!({ "text": "first\n[key]\nlast" }).to_string();
        let kept = json!({
            "q": "line\n[key] and\n[card] and\n[e-mail]",
            "number": "[card]",
            "list": [1, true, null, inner],
            "[e-mail]": "her",
        });
        let call = || ToolCall {
            id: "c1".to_owned(),
            name: "send".to_owned(),
            arguments: said.to_string(),
        };
        let mut record = chat(NOW, "hello", "hi");
        let content = record.content.as_mut().unwrap();
        content.answer.tool_calls = vec![call()];
        let request = Arc::make_mut(&mut content.before);
        let mut asked = message(Role::Assistant, "");
        asked.tool_calls = vec![call()];
        let result = message(Role::Tool, &said.to_string());
        request.messages.extend([asked, result]);
        super::record(&mut record, &shipped());
        let content = record.content.unwrap();
        let last = |back: usize| content.before.messages.iter().rev().nth(back).unwrap();
        for redacted in [
            &content.answer.tool_calls.first().unwrap().arguments,
            &last(1).tool_calls.first().unwrap().arguments,
            &*last(0).content.text(),
        ] {
            assert_eq!(serde_json::from_str::<Value>(redacted).unwrap(), kept);
        }
    }

    #[test]
    fn json_that_says_nothing_secret_keeps_its_spelling() {
        for said in [
            r#"{ "a": 1.50, "b" : "\u0041\/" }"#,
            "[broken",
            "\"a\" and b",
        ] {
            let mut redacted = said.to_owned();
            text(&mut redacted, &shipped());
            assert_eq!(redacted, said);
        }
    }

    #[test]
    fn redacting_twice_changes_nothing_more() {
        let redaction = shipped();
        let redacted = |said: &str| {
            let mut said = said.to_owned();
            text(&mut said, &redaction);
            said
        };
        proptest!(|(said in "[ -~]{0,80}|[0-9 +()-]{0,40}|\\[\"[a-z@. 0-9-]{0,40}\"\\]")| {
            let once = redacted(&said);
            prop_assert_eq!(redacted(&once), once);
        });
    }
}
