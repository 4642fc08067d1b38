//! What becomes of every captured request: the trace and the request as it goes to the model.
//!
//! `UPDATE_GOLDEN=1 cargo test --test policy` writes the files anew; what changed is for eyes to review.

use std::fmt::Write;

use rkgate::{
    chat::{self, Content, Part},
    policy::{Change, Decision, Outcome, StepOutcome, Trace},
};

use crate::{
    fixtures::{self, Fixture},
    shipped,
};

#[test]
fn captured_requests_become_what_the_golden_files_show() {
    let dir = fixtures::directory().join("golden/policy");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut stale = Vec::new();
    for fixture in fixtures::read("captures") {
        let facts = fixtures::one_model("qwen3-1.7b", "qwen3", &fixture);
        let shown = show(&fixture, &fixture.decide(&shipped(), &facts));
        let path = dir.join(format!("{}.txt", fixture.name));
        if update {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &shown).unwrap();
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(shown.as_str()) {
            stale.push(format!("{} is now:\n{shown}", path.display()));
        }
    }
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

fn show(fixture: &Fixture, outcome: &Outcome) -> String {
    let mut text = String::new();
    decision(&mut text, &outcome.decision);
    trace(&mut text, &outcome.trace);
    match &outcome.request {
        None => text.push_str("\nunchanged\n"),
        Some(rewritten) => request(&mut text, &fixture.request(), rewritten),
    }
    text
}

fn decision(text: &mut String, decision: &Decision) {
    let Decision {
        class,
        by,
        labels,
        model,
        profile,
        thinking,
        sampling,
        max_tokens,
        queue,
        answer,
        cache,
        deny,
    } = decision;
    assert_eq!(*deny, None);
    writeln!(text, "class    {class} by {by} {}", labels.join(" ")).unwrap();
    let profile = profile.as_deref().unwrap_or("-");
    writeln!(
        text,
        "model    {model} {profile} thinking {thinking:?} max_tokens {max_tokens:?}"
    )
    .unwrap();
    let json = serde_json::to_value(sampling).unwrap();
    let values = json
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(name, value)| {
            let value = value.as_f64()?;
            Some(format!("{name} {}", (value * 1000.0).round() / 1000.0))
        });
    writeln!(text, "sampling {}", values.collect::<Vec<_>>().join(" ")).unwrap();
    let fallback = queue.fallback.as_deref().unwrap_or("-");
    writeln!(
        text,
        "queue    {} {} {:?} fallback {fallback}",
        queue.name, queue.urgency, queue.deadline
    )
    .unwrap();
    writeln!(text, "answer   {}", serde_json::to_string(answer).unwrap()).unwrap();
    if let Some(cache) = cache {
        writeln!(text, "shared   {:?} by {}", cache.ttl, cache.by).unwrap();
    }
}

/// What was changed, by which rule. Lines are left out: they move with every comment.
fn trace(text: &mut String, trace: &Trace) {
    for step in &trace.steps {
        let changes = match &step.outcome {
            StepOutcome::Applied { changes } => changes,
            StepOutcome::Shadow { .. } | StepOutcome::Failed { .. } => panic!("{step:?}"),
            StepOutcome::Matched { .. }
            | StepOutcome::NotMatched { .. }
            | StepOutcome::Left { .. }
            | StepOutcome::Sampled { .. } => continue,
        };
        let file = step.origin.as_ref().map_or("-", |origin| &origin.file);
        for Change {
            place,
            what,
            before,
            after,
            ..
        } in changes
        {
            writeln!(
                text,
                "{:?} {} ({file}) {place}: {what}, {before} -> {after}",
                step.stage, step.rule
            )
            .unwrap();
        }
    }
}

fn request(text: &mut String, original: &chat::Request, rewritten: &chat::Request) {
    let size = |request: &chat::Request| -> usize {
        request
            .tools
            .iter()
            .map(|tool| tool.definition.to_string().chars().count())
            .sum()
    };
    let names: Vec<&str> = rewritten
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    let (before, after) = (original.tools.len(), names.len());
    writeln!(
        text,
        "tools    {before} -> {after} ({} -> {} characters) {}",
        size(original),
        size(rewritten),
        names.join(" ")
    )
    .unwrap();
    for message in &rewritten.messages {
        write!(text, "\n--- {}", message.role.as_str()).unwrap();
        for call in &message.tool_calls {
            write!(text, " calls {} {}", call.name, call.arguments).unwrap();
        }
        if let Some(reasoning) = &message.reasoning {
            write!(text, " thought {reasoning:?}").unwrap();
        }
        text.push('\n');
        content(text, &message.content);
    }
}

fn content(text: &mut String, content: &Content) {
    match content {
        Content::Text(words) => writeln!(text, "{words}").unwrap(),
        Content::Parts(parts) => {
            for part in parts {
                match part {
                    Part::Text(words) => writeln!(text, "[text] {words}").unwrap(),
                    Part::Image(url) => {
                        writeln!(text, "[image of {} characters]", url.len()).unwrap()
                    }
                    Part::Other(value) => writeln!(text, "[other] {value}").unwrap(),
                }
            }
        }
    }
}
