//! Following messages through a trace: where each came from, and which rules touched it.

use std::sync::Arc;

use serde::Serialize;

use crate::policy::{Origin, Shift, Stage, StepOutcome, Trace};

/// A rule and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleAt {
    /// Its id; `tools` and `history` are the limits of the model's policy.
    pub rule: Arc<str>,
    /// Where it stands.
    pub origin: Option<Origin>,
}

/// A message of the rewritten request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Followed {
    /// Its index in the request as it came; `None` where a rule put it there.
    pub(super) from: Option<usize>,
    /// The rules that changed it, or took messages away right before it.
    pub(super) rules: Vec<RuleAt>,
}

/// What became of `count` messages, and which rules changed the tools.
pub(super) fn follow(count: usize, trace: &Trace) -> (Vec<Followed>, Vec<RuleAt>) {
    let mut messages: Vec<Followed> = (0..count)
        .map(|index| Followed {
            from: Some(index),
            rules: Vec::new(),
        })
        .collect();
    let mut tools = Vec::new();
    for step in &trace.steps {
        let StepOutcome::Applied { changes } = &step.outcome else {
            continue;
        };
        if step.stage == Stage::Sample {
            continue;
        }
        let rule = RuleAt {
            rule: step.rule.clone(),
            origin: step.origin.clone(),
        };
        for change in changes {
            match &change.shift {
                Shift::None => tools.push(rule.clone()),
                Shift::Edited(index) => touch(&mut messages, *index, &rule),
                Shift::Inserted(index) => {
                    let index = (*index).min(messages.len());
                    messages.insert(index, Followed::default());
                    touch(&mut messages, index, &rule);
                }
                Shift::Merged(index) => {
                    if index + 1 < messages.len() {
                        let second = messages.remove(index + 1);
                        for rule in &second.rules {
                            touch(&mut messages, *index, rule);
                        }
                    }
                    touch(&mut messages, *index, &rule);
                }
                Shift::Removed(range) => {
                    let end = range.end.min(messages.len());
                    messages.drain(range.start.min(end)..end);
                    touch(&mut messages, range.start, &rule);
                }
            }
        }
    }
    tools.dedup();
    (messages, tools)
}

fn touch(messages: &mut [Followed], index: usize, rule: &RuleAt) {
    if let Some(message) = messages.get_mut(index)
        && !message.rules.contains(rule)
    {
        message.rules.push(rule.clone());
    }
}
