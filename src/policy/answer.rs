//! Which rules hold for the answer.

use std::sync::Arc;

use super::{
    AnswerRules, Cache, Class, Set, Stage, StepOutcome,
    matching::Signals,
    record::Recorder,
    set::{Answer, Rule},
};

impl Set {
    /// Key by key, the rule that is most particular about the class; a rule with conditions goes before one without.
    pub(super) fn answer(
        &self,
        class: Class,
        signals: &Signals<'_>,
        recorder: &mut Recorder,
    ) -> AnswerRules {
        let mut holding: Vec<&Answer> = Vec::new();
        for answer in &self.rules.answers {
            let rule = &answer.rule;
            match rule.unmet(signals) {
                None if rule.shadow => {
                    let shadow = StepOutcome::Shadow {
                        what: says(answer),
                        changes: Vec::new(),
                    };
                    recorder.rule(Stage::Answer, rule, shadow);
                }
                None => holding.push(answer),
                Some(unmet) => {
                    recorder.idle(Stage::Answer, rule, || {
                        rule.not_matched(unmet, signals, &self.phrases)
                    });
                }
            }
        }
        let mut used: Vec<&Rule> = Vec::new();
        let think = best(&holding, class, |answer| answer.think, &mut used);
        let json = best(&holding, class, |answer| answer.json.clone(), &mut used);
        let repetition = best(&holding, class, |answer| answer.repetition, &mut used);
        let stop = best(&holding, class, |answer| answer.stop.clone(), &mut used);
        for answer in holding {
            let is_used = used
                .iter()
                .any(|rule| Arc::ptr_eq(&rule.id, &answer.rule.id));
            if is_used {
                recorder.rule(
                    Stage::Answer,
                    &answer.rule,
                    StepOutcome::Matched { what: says(answer) },
                );
            } else {
                recorder.idle(Stage::Answer, &answer.rule, || StepOutcome::Left {
                    why: Some("a more particular rule says it all".to_owned()),
                });
            }
        }
        AnswerRules {
            think,
            json,
            repetition,
            stop: stop.unwrap_or_default(),
        }
    }

    /// Whether the answer is shared with requests that ask the same.
    pub(super) fn cache(&self, class: Class, recorder: &mut Recorder) -> Option<Cache> {
        let (cache, origin) = self.policies.caches.get(class)?;
        let what = match cache.ttl.is_zero() {
            true => "shared while it is being made".to_owned(),
            false => format!("shared for {:?}", cache.ttl),
        };
        recorder.step(
            Stage::Answer,
            cache.by.clone(),
            Some(origin.clone()),
            StepOutcome::Matched { what },
        );
        Some(cache.clone())
    }
}

/// The value of the first rule among the most particular ones.
fn best<'s, T>(
    holding: &[&'s Answer],
    class: Class,
    value: impl Fn(&Answer) -> Option<T>,
    used: &mut Vec<&'s Rule>,
) -> Option<T> {
    let mut best: Option<((u8, bool), &'s Answer, T)> = None;
    for answer in holding {
        let rank = answer.rule.rank(class);
        if let Some(value) = value(answer)
            && best.as_ref().is_none_or(|(best, ..)| rank > *best)
        {
            best = Some((rank, answer, value));
        }
    }
    let (_, answer, value) = best?;
    used.push(&answer.rule);
    Some(value)
}

fn says(answer: &Answer) -> String {
    let mut says = Vec::new();
    says.extend(
        answer
            .think
            .map(|think| format!("thinking: {}", think.as_str())),
    );
    says.extend(
        answer
            .json
            .as_ref()
            .map(|json| format!("JSON with `{}`", json.key)),
    );
    says.extend(
        answer
            .repetition
            .map(|repetition| format!("ends after {} repetitions", repetition.times)),
    );
    says.extend(answer.stop.as_ref().map(|stop| match stop.len() {
        1 => "1 stop string".to_owned(),
        count => format!("{count} stop strings"),
    }));
    says.join(", ")
}
