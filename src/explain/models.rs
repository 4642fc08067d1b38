//! What is at hand of local models: their entries in the catalogue and, where counting is wanted, their tokenizers.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use crate::{
    chat::Sampling,
    engine::{ModelCard, worker::PromptReader},
    policy::{Class, Decision, Facts, ModelFact, Set},
};

/// What is at hand of local models.
#[derive(Debug)]
pub struct Models<'a> {
    cards: &'a [ModelCard],
    /// `None` where nothing is to be counted.
    readers: Option<RefCell<HashMap<String, Opened>>>,
    /// Whether the runtime takes sampling values with each run.
    samples_per_run: bool,
}

/// A tokenizer, or why there is none.
type Opened = Result<Rc<PromptReader>, Rc<str>>;

impl<'a> Models<'a> {
    /// Reads a model's tokenizer when it is needed first: counts are exact. It takes a second and some 100 MB.
    #[must_use]
    pub fn counting(cards: &'a [ModelCard]) -> Self {
        Self {
            cards,
            readers: Some(RefCell::default()),
            samples_per_run: true,
        }
    }

    /// Reads no tokenizer: all counts are estimates.
    #[must_use]
    pub fn estimating(cards: &'a [ModelCard]) -> Self {
        Self {
            cards,
            readers: None,
            samples_per_run: true,
        }
    }

    /// Says whether the runtime takes sampling values with each run, as it does unless told otherwise.
    #[must_use]
    pub fn sampled_per_run(self, samples_per_run: bool) -> Self {
        Self {
            samples_per_run,
            ..self
        }
    }

    /// The tokenizer and template of a model.
    pub(super) fn reader(&self, model: Option<&ModelFact>) -> Opened {
        let Some(model) = model else {
            return Err("the model is not known here".into());
        };
        if let Some(upstream) = &model.upstream {
            return Err(format!(
                "only the server behind `{upstream}` knows its template and tokenizer"
            )
            .into());
        }
        let (Some(readers), Some(card)) = (&self.readers, self.card(&model.id)) else {
            return Err("no tokenizer is at hand".into());
        };
        let mut readers = readers.borrow_mut();
        let opened =
            readers
                .entry(card.id.clone())
                .or_insert_with(|| match PromptReader::open(card) {
                    Ok(Some(reader)) => Ok(Rc::new(reader)),
                    Ok(None) => Err(
                        "the model has no tokenizer.json or no chat template; the runtime's own \
                     template takes only the last user message"
                            .into(),
                    ),
                    Err(why) => Err(why.into()),
                });
        opened.clone()
    }

    /// The sampling values that the engine gives to a model's runtime, and the class that they are for where it does so
    /// when the model is loaded rather than for the request; `None` for other models.
    pub(super) fn sampling(
        &self,
        set: &Set,
        decision: &Decision,
    ) -> Option<(Sampling, Option<Class>)> {
        let card = self.card(&decision.model)?;
        if self.samples_per_run {
            let defaults = card.sampling(decision.thinking.unwrap_or(card.thinking));
            let values = defaults.with(&decision.sampling, &card.family);
            return Some((values.into(), None));
        }
        let (class, profile) =
            set.sampling_at_load(&ModelFact::from(card), &Facts::from(self.cards));
        Some((card.sampling_at_load(&profile).into(), Some(class)))
    }

    fn card(&self, id: &str) -> Option<&'a ModelCard> {
        self.cards.iter().find(|card| card.id == id)
    }
}
