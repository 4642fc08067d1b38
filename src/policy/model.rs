//! Which settings hold for a model.

use super::{ModelFact, Set, Stage, StepOutcome, record::Recorder, set::Model};

impl Set {
    /// The settings whose glob has most literal characters among those that match the model's id or a name of it;
    /// where none does, among those that match its family.
    pub(super) fn settings(
        &self,
        id: &str,
        model: Option<&ModelFact>,
        recorder: &mut Recorder,
    ) -> Option<&Model> {
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
        let found = named(&names)
            .filter(particular)
            .or_else(|| family.and_then(|family| named(&[family])))
            .or_else(|| named(&names));
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
}
