//! How urgent a request is, and whether it is let in at all.

use super::{Class, Denial, Queue, Set, Stage, StepOutcome, matching::Signals, record::Recorder};
use crate::chat::Request;

impl Set {
    /// The first rule that refuses the request.
    pub(super) fn deny(&self, signals: &Signals<'_>, recorder: &mut Recorder) -> Option<Denial> {
        for deny in &self.rules.denials {
            let rule = &deny.rule;
            if let Some(unmet) = rule.unmet(signals) {
                recorder.idle(Stage::Deny, rule, || {
                    rule.not_matched(unmet, signals, &self.phrases)
                });
                continue;
            }
            let what = "refused".to_owned();
            if rule.shadow {
                let shadow = StepOutcome::Shadow {
                    what,
                    changes: Vec::new(),
                };
                recorder.rule(Stage::Deny, rule, shadow);
                continue;
            }
            recorder.rule(Stage::Deny, rule, StepOutcome::Matched { what });
            return Some(deny.denial.clone());
        }
        None
    }

    /// The queue class and the answer of last resort.
    pub(super) fn queue(&self, class: Class, request: &Request, recorder: &mut Recorder) -> Queue {
        let filled = self.policies.fallbacks.get(class);
        let (fallback, instead) = match filled.map(|fallback| fallback.fill(request)) {
            Some((answer, instead)) => (Some(answer), instead),
            None => (None, false),
        };
        match self.policies.queues.get(class) {
            Some((queue, origin)) => {
                let what = match instead {
                    true => "answered without the model".to_owned(),
                    false => format!("urgency {}", queue.urgency),
                };
                let outcome = StepOutcome::Matched { what };
                recorder.step(
                    Stage::Admit,
                    queue.name.clone(),
                    Some(origin.clone()),
                    outcome,
                );
                Queue {
                    fallback,
                    instead,
                    ..queue.clone()
                }
            }
            None => Queue {
                fallback,
                instead,
                ..Queue::of(class)
            },
        }
    }
}

impl Queue {
    /// Where no policy says more: a person goes before a task.
    pub(super) fn of(class: Class) -> Self {
        Self {
            name: if class.is_task() { "task" } else { "chat" }.into(),
            urgency: if class.is_task() { 5 } else { 0 },
            deadline: None,
            fallback: None,
            instead: false,
        }
    }
}
