//! Which models are loaded, and how to make room for another.

use super::{
    Time,
    residency::{self, Resident},
};

/// Index of a model in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::engine) struct ModelIndex(pub(in crate::engine) usize);

/// Number of an IOMMU domain.
pub(in crate::engine) type Domain = i32;

/// What is to be known of a model before it is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::engine) struct ModelTable {
    /// Bytes that it is expected to take.
    pub(in crate::engine) memory: u64,
    /// The domain to load it into, where that is not to be chosen here.
    pub(in crate::engine) domain: Option<Domain>,
    /// Whether it is loaded without being asked for, where there is room, and goes last when room is needed.
    pub(in crate::engine) pinned: bool,
}

/// How a model gets room.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// In this domain, once these models are unloaded.
    Free {
        domain: Domain,
        unload: Vec<ModelIndex>,
    },
    /// Only when the run in its way is over.
    Busy,
}

/// The models.
#[derive(Debug)]
pub(super) struct Models {
    models: Vec<Model>,
    budget: u64,
}

#[derive(Debug)]
struct Model {
    table: ModelTable,
    state: State,
    /// Whether the last attempt to load it has failed.
    given_up: bool,
    /// Whether it has run chats since it was loaded.
    serves_people: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Absent,
    Loading {
        domain: Domain,
    },
    Loaded {
        domain: Domain,
        memory: u64,
        used: Time,
    },
}

impl Models {
    pub(super) fn new(tables: Vec<ModelTable>, budget: u64) -> Self {
        let models = tables.into_iter().map(|table| Model {
            table,
            state: State::Absent,
            given_up: false,
            serves_people: false,
        });
        Self {
            models: models.collect(),
            budget,
        }
    }

    /// Whether a run of this model can begin.
    pub(super) fn is_loaded(&self, model: ModelIndex) -> bool {
        self.models
            .get(model.0)
            .is_some_and(|model| matches!(model.state, State::Loaded { .. }))
    }

    /// Whether it has run chats since it was loaded.
    pub(super) fn serves_people(&self, model: ModelIndex) -> bool {
        self.models
            .get(model.0)
            .is_some_and(|model| model.serves_people)
    }

    /// It runs a chat.
    pub(super) fn serve_people(&mut self, model: ModelIndex) {
        if let Some(model) = self.models.get_mut(model.0) {
            model.serves_people = true;
        }
    }

    /// The model that is being loaded.
    pub(super) fn loading(&self) -> Option<ModelIndex> {
        self.models
            .iter()
            .position(|model| matches!(model.state, State::Loading { .. }))
            .map(ModelIndex)
    }

    /// A model that is to be there and is not, and the domain in which it has room now.
    pub(super) fn missing(&self) -> Option<(ModelIndex, Domain)> {
        (0..self.models.len()).map(ModelIndex).find_map(|index| {
            let model = self.models.get(index.0)?;
            if !model.table.pinned || model.given_up || !matches!(model.state, State::Absent) {
                return None;
            }
            match self.room(index, None) {
                Room::Free { domain, unload } if unload.is_empty() => Some((index, domain)),
                Room::Free { .. } | Room::Busy => None,
            }
        })
    }

    /// The model cannot be loaded; it is not tried again before a job asks for it.
    pub(super) fn failed(&mut self, model: ModelIndex) {
        self.lost(model);
        if let Some(model) = self.models.get_mut(model.0) {
            model.given_up = true;
        }
    }

    /// How to make room for a model while a run of `busy` goes on.
    pub(super) fn room(&self, model: ModelIndex, busy: Option<ModelIndex>) -> Room {
        let Some(table) = self.models.get(model.0).map(|model| model.table) else {
            return Room::Busy;
        };
        let residents: Vec<Resident> = self
            .models
            .iter()
            .enumerate()
            .filter_map(|(index, model)| match model.state {
                State::Loaded {
                    domain,
                    memory,
                    used,
                } => Some(Resident {
                    model: ModelIndex(index),
                    memory,
                    domain,
                    used,
                    pinned: model.table.pinned,
                }),
                State::Absent | State::Loading { .. } => None,
            })
            .collect();
        let plan = residency::plan(&residents, table.memory, self.budget);
        if busy.is_some_and(|busy| plan.unload.contains(&busy)) {
            return Room::Busy;
        }
        Room::Free {
            domain: table.domain.unwrap_or(plan.domain),
            unload: plan.unload,
        }
    }

    /// A load begins.
    pub(super) fn load(&mut self, model: ModelIndex, domain: Domain, unload: &[ModelIndex]) {
        for gone in unload {
            self.lost(*gone);
        }
        self.set(model, State::Loading { domain });
    }

    /// A load has ended well.
    pub(super) fn loaded(&mut self, model: ModelIndex, memory: u64, now: Time) {
        if let Some(Model {
            state: State::Loading { domain },
            ..
        }) = self.models.get(model.0)
        {
            let domain = *domain;
            self.set(
                model,
                State::Loaded {
                    domain,
                    memory,
                    used: now,
                },
            );
            if let Some(model) = self.models.get_mut(model.0) {
                model.given_up = false;
                model.serves_people = false;
            }
        }
    }

    /// A run of the model has ended.
    pub(super) fn used(&mut self, model: ModelIndex, now: Time) {
        if let Some(Model {
            state: State::Loaded { used, .. },
            ..
        }) = self.models.get_mut(model.0)
        {
            *used = now;
        }
    }

    /// The model is not in memory any more.
    pub(super) fn lost(&mut self, model: ModelIndex) {
        self.set(model, State::Absent);
    }

    fn set(&mut self, model: ModelIndex, state: State) {
        if let Some(model) = self.models.get_mut(model.0) {
            model.state = state;
        }
    }
}
