//! What a request is for, and what else is known of it.

use std::sync::Arc;

use super::{
    Class, Set, Stage, StepOutcome,
    matching::Signals,
    record::Recorder,
    set::{Classify, ClassifyBy, Rule},
};

/// Names the classification where no rule made it.
const DEFAULT: &str = "default";

impl Set {
    /// The first rule that holds decides; where none does, it is a chat.
    pub(super) fn classify(
        &self,
        signals: &Signals<'_>,
        recorder: &mut Recorder,
    ) -> (Class, Arc<str>) {
        for classify in &self.rules.classify {
            let rule = &classify.rule;
            let (class, what) = match self.class_by(classify, signals, recorder) {
                Some(found) => found,
                None => continue,
            };
            if rule.shadow {
                let shadow = StepOutcome::Shadow {
                    what,
                    changes: Vec::new(),
                };
                recorder.rule(Stage::Classify, rule, shadow);
                continue;
            }
            recorder.rule(Stage::Classify, rule, StepOutcome::Matched { what });
            return (class, rule.id.clone());
        }
        let what = format!("{}: no rule says otherwise", Class::Chat);
        recorder.step(
            Stage::Classify,
            DEFAULT.into(),
            None,
            StepOutcome::Matched { what },
        );
        (Class::Chat, DEFAULT.into())
    }

    fn class_by(
        &self,
        classify: &Classify,
        signals: &Signals<'_>,
        recorder: &mut Recorder,
    ) -> Option<(Class, String)> {
        let rule = &classify.rule;
        if let Some(unmet) = rule.unmet(signals) {
            recorder.idle(Stage::Classify, rule, || {
                rule.not_matched(unmet, signals, &self.phrases)
            });
            return None;
        }
        match &classify.by {
            ClassifyBy::Condition(class) => Some((*class, class.to_string())),
            ClassifyBy::Keys(keys) => {
                let shown = keys.iter().filter(|(phrase, _)| signals.shows(*phrase));
                let mut classes: Vec<Class> = shown.map(|(_, class)| *class).collect();
                classes.dedup();
                if let [class] = classes.as_slice() {
                    return Some((*class, format!("{class}: the key that it asks for says so")));
                }
                recorder.idle(Stage::Classify, rule, || {
                    let why = match classes.is_empty() {
                        true => "none of its keys is asked for",
                        false => "keys of several classes are asked for",
                    };
                    but_one(rule, why.to_owned())
                });
                None
            }
            ClassifyBy::Header { names, values } => {
                let sent = names
                    .iter()
                    .find_map(|name| Some((name, signals.headers.get(name)?.trim())));
                let Some((name, value)) = sent else {
                    recorder.idle(Stage::Classify, rule, || {
                        but_one(rule, format!("there is no header {}", names.join(" or ")))
                    });
                    return None;
                };
                let class = values
                    .get(value)
                    .copied()
                    .or_else(|| Class::from_open_webui(value));
                if class.is_none() {
                    recorder.idle(Stage::Classify, rule, || {
                        but_one(
                            rule,
                            format!("the header {name} names no task that is known"),
                        )
                    });
                }
                class.map(|class| (class, format!("{class}: the header {name} says so")))
            }
        }
    }

    /// Every label whose rule holds, each once.
    pub(super) fn label(&self, signals: &Signals<'_>, recorder: &mut Recorder) -> Vec<Arc<str>> {
        let mut labels: Vec<Arc<str>> = Vec::new();
        for label in &self.rules.labels {
            let rule = &label.rule;
            if let Some(unmet) = rule.unmet(signals) {
                recorder.idle(Stage::Label, rule, || {
                    rule.not_matched(unmet, signals, &self.phrases)
                });
                continue;
            }
            let what = format!("label {}", label.label);
            if rule.shadow {
                let shadow = StepOutcome::Shadow {
                    what,
                    changes: Vec::new(),
                };
                recorder.rule(Stage::Label, rule, shadow);
                continue;
            }
            recorder.rule(Stage::Label, rule, StepOutcome::Matched { what });
            if !labels.contains(&label.label) {
                labels.push(label.label.clone());
            }
        }
        labels
    }
}

/// A rule that holds but for the header or the key that names the class.
fn but_one(rule: &Rule, why: String) -> StepOutcome {
    let held = rule.conditions();
    StepOutcome::NotMatched {
        why,
        held,
        of: held + 1,
        near: held > 0,
    }
}
