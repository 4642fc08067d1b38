//! Which model answers.

use std::sync::Arc;

use super::{
    Facts, ModelFact, Set, Stage, StepOutcome, matching::Signals, record::Recorder, set::Route,
};

impl Set {
    /// The first route that holds decides; where none does, or none of its models is there, the requested model
    /// answers.
    pub(super) fn route(
        &self,
        signals: &Signals<'_>,
        facts: &Facts,
        recorder: &mut Recorder,
    ) -> Arc<str> {
        let requested = || match facts.model(&signals.request.model) {
            Some(model) => model.id.clone(),
            None => signals.request.model.as_str().into(),
        };
        for route in &self.policies.routes {
            let rule = &route.rule;
            if let Some(unmet) = rule.unmet(signals) {
                recorder.idle(Stage::Route, rule, || {
                    rule.not_matched(unmet, signals, &self.phrases)
                });
                continue;
            }
            let found = target(route, signals, facts);
            let what = match &found {
                Some(model) => format!("to {}", model.id),
                None => "none of its models can answer".to_owned(),
            };
            if rule.shadow {
                let shadow = StepOutcome::Shadow {
                    what,
                    changes: Vec::new(),
                };
                recorder.rule(Stage::Route, rule, shadow);
                continue;
            }
            let otherwise = || {
                route
                    .otherwise
                    .as_deref()
                    .and_then(|name| facts.model(name))
            };
            let model = found.or_else(otherwise).map(|model| model.id.clone());
            recorder.rule(Stage::Route, rule, StepOutcome::Matched { what });
            return model.unwrap_or_else(requested);
        }
        requested()
    }
}

/// The model that was asked for in place of all routes.
pub(super) fn forced(name: &str, facts: &Facts, recorder: &mut Recorder) -> Arc<str> {
    let model = facts.model(name).map(|model| model.id.clone());
    let model = model.unwrap_or_else(|| name.into());
    let what = format!("to {model}: asked for in place of the routes");
    recorder.step(
        Stage::Route,
        "forced".into(),
        None,
        StepOutcome::Matched { what },
    );
    model
}

/// The first model that the route names, in its order, and that can answer.
fn target<'f>(route: &Route, signals: &Signals<'_>, facts: &'f Facts) -> Option<&'f ModelFact> {
    let can = |model: &&ModelFact| model.vision || !signals.images();
    route.to.iter().find_map(|glob| {
        let called = |model: &&ModelFact| {
            glob.matches(&model.id) || model.aliases.iter().any(|alias| glob.matches(alias))
        };
        facts.models.iter().filter(can).find(called)
    })
}
