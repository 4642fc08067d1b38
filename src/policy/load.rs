//! The sampling values that a model is loaded with, for runtimes that take none per run.

use super::{
    Class, Facts, Headers, ModelFact, Set,
    matching::Signals,
    record::{Detail, Recorder},
};
use crate::chat::{Request, Sampling};

impl Set {
    /// The sampling values to load a model with, and the class that they are for: the chat's, but those of a task for a
    /// model to which the routes send tasks of the others, and no chats. `models` are all that there are.
    #[must_use]
    pub fn sampling_at_load(&self, model: &ModelFact, models: &Facts) -> (Class, Sampling) {
        let mut tasks = Class::ALL.into_iter().filter(|class| class.is_task());
        let class = match self.answers_for_others(model, Class::Chat, models) {
            true => Class::Chat,
            false => tasks
                .find(|class| self.answers_for_others(model, *class, models))
                .unwrap_or(Class::Chat),
        };
        let thinking = (!model.thinking).then_some(false);
        let profile = self
            .model_settings(&model.id, Some(model))
            .and_then(|settings| self.profile(settings, class, thinking));
        let sampling = profile.map(|profile| profile.sampling).unwrap_or_default();
        (class, sampling)
    }

    /// Whether the routes send requests of a class that name another model to this one.
    fn answers_for_others(&self, model: &ModelFact, class: Class, models: &Facts) -> bool {
        let others = models.models.iter().filter(|other| other.id != model.id);
        others.into_iter().any(|other| {
            let request = Request {
                model: other.id.to_string(),
                ..Request::default()
            };
            let look_up = |_: &str| None;
            let headers = Headers::new(&look_up);
            let mut signals = Signals::read(&request, headers, Some(other), &self.phrases);
            signals.class = Some(class);
            let mut recorder = Recorder::new(Detail::Effects);
            self.route(&signals, models, &mut recorder) == model.id
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::policy::{Platform, shipped};

    fn model(id: &str, family: &str, thinking: bool) -> ModelFact {
        ModelFact {
            id: id.into(),
            family: family.to_owned(),
            thinking,
            ..Facts::example().models.remove(0)
        }
    }

    #[test]
    fn a_model_that_does_the_tasks_of_others_is_loaded_for_them() {
        let set = Set::compile(&shipped::files(), Platform::Rk3588)
            .unwrap()
            .set;
        let (big, small, mini) = (
            model("qwen3-1.7b", "qwen3", true),
            model("qwen3-0.6b", "qwen3", true),
            model("minicpm4-0.5b", "minicpm4", false),
        );
        let at_load = |model: &ModelFact, all: &[&ModelFact]| {
            let models = all.iter().map(|model| (*model).clone()).collect();
            let (class, sampling) = set.sampling_at_load(model, &Facts { models });
            (class, sampling.temperature)
        };
        let (chat, title) = (Class::Chat, Class::Title);
        assert_eq!(at_load(&big, &[&big, &small]), (chat, Some(0.6)));
        assert_eq!(at_load(&small, &[&big, &small]), (title, Some(0.7)));
        // Alone it is what people talk to, and so it is where a smaller one does the tasks.
        assert_eq!(at_load(&small, &[&small]), (chat, Some(0.6)));
        let all = [&mini, &small, &big];
        assert_eq!(at_load(&small, &all), (chat, Some(0.6)));
        assert_eq!(at_load(&mini, &all).0, title);
    }
}
