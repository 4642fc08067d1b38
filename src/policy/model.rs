//! Which settings hold for a model.

use super::{ModelFact, ModelSettings, Set, Stage, StepOutcome, record::Recorder, set::Model};

impl Set {
    /// The settings that hold for a model.
    #[must_use]
    pub fn model_settings(&self, id: &str, model: Option<&ModelFact>) -> Option<&ModelSettings> {
        self.model_policy(id, model).map(|policy| &policy.settings)
    }

    /// As [`Set::model_policy`], and tells the trace.
    pub(super) fn settings(
        &self,
        id: &str,
        model: Option<&ModelFact>,
        recorder: &mut Recorder,
    ) -> Option<&Model> {
        let found = self.model_policy(id, model);
        let (rule, origin, what) = match found {
            Some(model) => (
                model.id.clone(),
                Some(model.origin.clone()),
                format!("{id} matches {}", model.glob),
            ),
            None => ("default".into(), None, format!("no policy is for {id}")),
        };
        recorder.step(Stage::Policy, rule, origin, StepOutcome::Matched { what });
        found
    }

    /// The settings whose glob has most literal characters among those that match the model's id or a name of it;
    /// where none does, among those that match its family.
    fn model_policy(&self, id: &str, model: Option<&ModelFact>) -> Option<&Model> {
        let aliases = model
            .map(|model| model.aliases.as_slice())
            .unwrap_or_default();
        let names: Vec<&str> = std::iter::once(id)
            .chain(aliases.iter().map(String::as_str))
            .collect();
        let family = model
            .map(|model| model.family.as_str())
            .filter(|family| !family.is_empty());
        let named = |names: &[&str]| {
            let fits = |model: &&Model| names.iter().any(|name| model.glob.matches(name));
            let literal = |model: &&Model| model.glob.literals();
            self.policies.models.iter().filter(fits).max_by_key(literal)
        };
        // A glob without literals is for models that nothing else is known of.
        let particular = |model: &&Model| model.glob.literals() > 0;
        named(&names)
            .filter(particular)
            .or_else(|| family.and_then(|family| named(&[family])))
            .or_else(|| named(&names))
    }
}
