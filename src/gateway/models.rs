//! Which models there are, and who answers for each.

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::{
    LocalEngine,
    failure::Failure,
    upstream::{Listings, ModelAlias, Upstream, Upstreams},
};
use crate::{
    engine::{ModelCard, catalog::upstream_model},
    excerpt,
    policy::{Facts, ModelFact},
    wire::openai::{DecodeError, Model, ThinkSwitch, model_list},
};

/// Names in an error message about an unknown model.
const NAMES_TOLD: usize = 20;

/// The models of the engine and of all upstreams.
#[derive(Debug)]
pub(super) struct Models {
    listings: Listings,
    /// What the policy engine is told of them: made anew when a list has changed, not for a request.
    facts: Arc<ArcSwap<Facts>>,
}

/// Who answers a request.
pub(super) enum Destination<'a> {
    /// The engine, with this model.
    Engine(&'a ModelCard),
    /// An upstream, which may know the model by another name.
    Upstream {
        upstream: &'a Upstream,
        alias: Option<&'a ModelAlias>,
    },
}

impl Models {
    pub(super) fn new(engine: &dyn LocalEngine, upstreams: &Upstreams) -> Self {
        Self {
            listings: Listings::new(upstreams),
            facts: Arc::new(ArcSwap::from_pointee(facts(engine, upstreams, &[]))),
        }
    }

    /// What the policy engine is told of the models.
    pub(super) fn facts(&self) -> Arc<Facts> {
        self.facts.load_full()
    }

    /// The place where the facts of the moment are.
    pub(super) fn facts_place(&self) -> Arc<ArcSwap<Facts>> {
        Arc::clone(&self.facts)
    }

    /// What all upstreams list now; the facts follow it.
    pub(super) async fn lists(
        &self,
        engine: &dyn LocalEngine,
        upstreams: &Upstreams,
    ) -> Vec<Arc<[Model]>> {
        let lists = self.listings.all(upstreams).await;
        let facts = facts(engine, upstreams, &lists);
        if facts != **self.facts.load() {
            self.facts.store(Arc::new(facts));
        }
        lists
    }

    /// Finds who answers for a model: the engine, then an upstream that offers it under this name, then one
    /// that lists it. A sole upstream without a list of its own in the configuration gets every other name,
    /// since servers take names that they do not list.
    pub(super) async fn locate<'a>(
        &self,
        name: Result<&str, &DecodeError>,
        engine: &'a dyn LocalEngine,
        upstreams: &'a Upstreams,
    ) -> Result<Destination<'a>, Failure> {
        let mut open = upstreams.all().iter().filter(|upstream| upstream.is_open());
        let sole_open = open.next().filter(|_| open.next().is_none());
        let name = match (name, sole_open) {
            (Ok(name), _) => name,
            // With nobody else to ask, what is wrong with the request is for the server to say.
            (Err(_), Some(upstream))
                if engine.models().is_empty() && upstreams.all().len() == 1 =>
            {
                return Ok(Destination::Upstream {
                    upstream,
                    alias: None,
                });
            }
            (Err(error), _) => return Err(error.clone().into()),
        };
        if let Some(card) = engine.model(name) {
            return Ok(Destination::Engine(card));
        }
        for upstream in upstreams.all() {
            if let Some(alias) = upstream.aliases().iter().find(|alias| alias.alias == name) {
                return Ok(Destination::Upstream {
                    upstream,
                    alias: Some(alias),
                });
            }
        }
        if let Some(upstream) = sole_open {
            return Ok(Destination::Upstream {
                upstream,
                alias: None,
            });
        }
        let lists = self.lists(engine, upstreams).await;
        upstreams
            .all()
            .iter()
            .zip(&lists)
            .find(|(upstream, entries)| {
                upstream.is_open() && entries.iter().any(|model| model.id == name)
            })
            .map(|(upstream, _)| Destination::Upstream {
                upstream,
                alias: None,
            })
            .ok_or_else(|| unknown(name, engine, &lists))
    }

    /// The answer to `GET /v1/models`.
    pub(super) async fn list(&self, engine: &dyn LocalEngine, upstreams: &Upstreams) -> Bytes {
        let lists = self.lists(engine, upstreams).await;
        let own: Vec<Model> = engine.models().iter().map(describe).collect();
        let mut seen = HashSet::new();
        let all = own.iter().chain(lists.iter().flat_map(|list| list.iter()));
        model_list(all.filter(|model| seen.insert(model.id.as_str())))
    }

    /// The answer to `GET /v1/models/{id}`.
    pub(super) async fn describe(
        &self,
        name: &str,
        engine: &dyn LocalEngine,
        upstreams: &Upstreams,
    ) -> Result<Bytes, Failure> {
        if let Some(card) = engine.model(name) {
            return Ok(describe(card).to_json());
        }
        let lists = self.lists(engine, upstreams).await;
        let found = lists
            .iter()
            .flat_map(|list| list.iter())
            .find(|model| model.id == name);
        found
            .map(Model::to_json)
            .ok_or_else(|| unknown(name, engine, &lists))
    }
}

/// The models of the engine, then those that upstreams offer under a name of the configuration or list.
fn facts(engine: &dyn LocalEngine, upstreams: &Upstreams, lists: &[Arc<[Model]>]) -> Facts {
    let mut models: Vec<ModelFact> = engine.models().iter().map(ModelFact::from).collect();
    for (index, upstream) in upstreams.all().iter().enumerate() {
        let name: Arc<str> = upstream.name().into();
        let fact = |model: &str| ModelFact {
            switchable: upstream.think_switch() != ThinkSwitch::None,
            ..upstream_model(model, name.clone())
        };
        if upstream.is_open() {
            let listed = lists.get(index).map(AsRef::as_ref).unwrap_or_default();
            models.extend(listed.iter().map(|model| fact(&model.id)));
        } else {
            models.extend(upstream.aliases().iter().map(|alias| ModelFact {
                id: alias.alias.as_str().into(),
                aliases: vec![alias.model.clone()],
                ..fact(&alias.model)
            }));
        }
    }
    Facts { models }
}

fn unknown(name: &str, engine: &dyn LocalEngine, lists: &[Arc<[Model]>]) -> Failure {
    let own = engine.models().iter().map(|card| card.id.as_str());
    let listed = lists
        .iter()
        .flat_map(|list| list.iter())
        .map(|model| model.id.as_str());
    let mut known: Vec<&str> = own.chain(listed).take(NAMES_TOLD + 1).collect();
    if known.len() > NAMES_TOLD {
        known.truncate(NAMES_TOLD);
        known.push("...");
    }
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    Failure::UnknownModel {
        model: excerpt::name(name).into_owned(),
        known,
    }
}

/// A model of the engine as clients see it.
fn describe(card: &ModelCard) -> Model {
    let mut model = Model::new(card.id.as_str(), card.written, "rkllm");
    model
        .extra
        .insert("name".to_owned(), card.name.as_str().into());
    model
        .extra
        .insert("kind".to_owned(), card.kind.as_str().into());
    model.extra.insert(
        "context_length".to_owned(),
        card.context_or_default().into(),
    );
    model
}
