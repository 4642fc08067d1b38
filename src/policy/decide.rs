//! The stages, one after the other.

use std::sync::Arc;

use super::{
    AnswerRules, Class, Decision, Input, ModelSettings, Outcome, Queue, Set, Stage, Trace,
    context::Context,
    matching::Signals,
    record::{Detail, Recorder},
    rewrite::Rewritten,
    route,
    sample::{Ask, Choice},
};

impl Set {
    /// Decides about a request. Never fails: what goes wrong inside is passed over, and the trace says so.
    #[must_use]
    pub fn decide(&self, input: &Input<'_>) -> Outcome {
        self.run(input, None, &mut Recorder::new(Detail::Effects))
    }

    /// As [`Set::decide`], with a trace that also says why rules did not hold. `forced` names the model that answers,
    /// whatever the routes say.
    #[must_use]
    pub fn explain(&self, input: &Input<'_>, forced: Option<&str>) -> Outcome {
        self.run(input, forced, &mut Recorder::new(Detail::Everything))
    }

    fn run(&self, input: &Input<'_>, forced: Option<&str>, recorder: &mut Recorder) -> Outcome {
        let read = recorder.guard(Stage::Classify, |_| {
            let model = input.facts.model(&input.request.model);
            Signals::read(input.request, input.headers, model, &self.phrases)
        });
        match read {
            Some(signals) => self.stages(input, forced, signals, recorder),
            None => Outcome::unchanged(input, recorder.take()),
        }
    }

    fn stages<'a>(
        &self,
        input: &Input<'a>,
        forced: Option<&str>,
        mut signals: Signals<'a>,
        recorder: &mut Recorder,
    ) -> Outcome {
        let (class, by) = recorder
            .guard(Stage::Classify, |recorder| {
                self.classify(&signals, recorder)
            })
            .unwrap_or_else(|| (Class::Chat, "default".into()));
        signals.class = Some(class);
        signals.labels = recorder
            .guard(Stage::Label, |recorder| self.label(&signals, recorder))
            .unwrap_or_default();
        let model = recorder
            .guard(Stage::Route, |recorder| match forced {
                Some(name) => route::forced(name, input.facts, recorder),
                None => self.route(&signals, input.facts, recorder),
            })
            .unwrap_or_else(|| input.request.model.as_str().into());
        let fact = input.facts.model(&model);
        signals.model = fact;
        let default = ModelSettings::default();
        let settings = recorder
            .guard(Stage::Policy, |recorder| {
                self.settings(&model, fact, recorder)
            })
            .flatten()
            .map_or(&default, |policy| &policy.settings);
        let deny = recorder
            .guard(Stage::Deny, |recorder| self.deny(&signals, recorder))
            .flatten();
        let rewritten = match deny {
            Some(_) => Rewritten::default(),
            None => {
                let context = Context {
                    original: input.request,
                    labels: &signals.labels,
                    model: fact,
                    settings,
                };
                let rewritten = recorder.guard(Stage::Rewrite, |recorder| {
                    self.rewrite(&signals, &context, recorder)
                });
                rewritten.unwrap_or_default()
            }
        };
        let ask = Ask {
            request: input.request,
            class,
            model: fact,
            settings,
            typed: rewritten.thinking,
        };
        let sampled = recorder.guard(Stage::Sample, |recorder| self.sample(&ask, recorder));
        let sampled = sampled.unwrap_or_else(|| Choice::of_client(input.request));
        let queue = recorder.guard(Stage::Admit, |recorder| {
            self.queue(class, input.request, recorder)
        });
        let answer = recorder.guard(Stage::Answer, |recorder| {
            self.answer(class, &signals, recorder)
        });
        let cache = recorder.guard(Stage::Answer, |recorder| self.cache(class, recorder));
        Outcome {
            decision: Decision {
                class,
                by,
                labels: signals.labels,
                model,
                profile: sampled.profile,
                thinking: sampled.thinking,
                sampling: sampled.sampling,
                max_tokens: sampled.max_tokens,
                queue: queue.unwrap_or_else(|| Queue::of(class)),
                answer: answer.unwrap_or(AnswerRules::NONE),
                cache: cache.flatten(),
                deny,
            },
            request: rewritten.request,
            trace: recorder.take(),
        }
    }
}

impl Outcome {
    /// A chat with the requested model, as it came.
    fn unchanged(input: &Input<'_>, trace: Trace) -> Self {
        let model = input.facts.model(&input.request.model);
        let model: Arc<str> = model.map_or_else(
            || input.request.model.as_str().into(),
            |model| model.id.clone(),
        );
        let sampled = Choice::of_client(input.request);
        Self {
            decision: Decision {
                class: Class::Chat,
                by: "default".into(),
                labels: Vec::new(),
                model,
                profile: None,
                thinking: sampled.thinking,
                sampling: sampled.sampling,
                max_tokens: sampled.max_tokens,
                queue: Queue::of(Class::Chat),
                answer: AnswerRules::NONE,
                cache: None,
                deny: None,
            },
            request: None,
            trace,
        }
    }
}
