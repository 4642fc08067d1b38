//! Which models are loaded, and how to make room for another.

use std::ops::RangeInclusive;

use super::{
    Time,
    residency::{self, Resident},
};
use crate::engine::Residency;

/// Number of a model. Several instances of one have a number each: they share nothing that the schedule reckons with.
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
    /// Whether it is pinned from the start: loaded without being asked for, where there is room, and last to go when
    /// room is needed.
    pub(in crate::engine) pinned: bool,
    /// Its turn among the models that are loaded once at the start, where there is room.
    pub(in crate::engine) preload: Option<usize>,
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

/// How long a pinned model rests that was lost while it was idle, before it is loaded again without being asked for.
/// Each further loss before a run doubles it up to the last one, so that a worker that dies of itself does not keep the
/// board busy.
const RESTS: RangeInclusive<Time> = Time::from_secs(1)..=Time::from_secs(64);

/// The models.
#[derive(Debug)]
pub(super) struct Models {
    models: Vec<Model>,
    budget: u64,
    /// Number of the next wish.
    wishes: u64,
}

#[derive(Debug)]
struct Model {
    table: ModelTable,
    pinned: bool,
    state: State,
    /// Its turn to be loaded at the start, until that is done or there is no room.
    preload: Option<usize>,
    /// Number of the wish of a person to have it loaded, until that is done.
    wish: Option<u64>,
    /// Whether the last attempt to load it has failed.
    given_up: bool,
    /// Whether it has run chats since it was loaded.
    serves_people: bool,
    /// The rest after its next loss.
    rest: Time,
    /// Until when it is not loaded without being asked for.
    rests_until: Option<Time>,
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
    Unloading,
}

impl Models {
    pub(super) fn new(tables: Vec<ModelTable>, budget: u64) -> Self {
        let models = tables.into_iter().map(|table| Model {
            pinned: table.pinned,
            preload: table.preload,
            table,
            state: State::Absent,
            wish: None,
            given_up: false,
            serves_people: false,
            rest: *RESTS.start(),
            rests_until: None,
        });
        Self {
            models: models.collect(),
            budget,
            wishes: 0,
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

    /// Whether a model is being loaded or unloaded.
    pub(super) fn is_moving(&self) -> bool {
        self.models
            .iter()
            .any(|model| matches!(model.state, State::Loading { .. } | State::Unloading))
    }

    /// Where each model is, and whether it is pinned.
    pub(super) fn residency(&self) -> impl Iterator<Item = (Residency, bool)> {
        self.models.iter().map(|model| {
            let residency = match model.state {
                State::Loading { .. } => Residency::Loading,
                State::Loaded { .. } => Residency::Loaded,
                State::Unloading => Residency::Unloading,
                State::Absent if model.wish.is_some() => Residency::Waiting,
                State::Absent => Residency::Absent,
            };
            (residency, model.pinned)
        })
    }

    /// Where a model is.
    pub(super) fn residency_of(&self, model: ModelIndex) -> Residency {
        let known = self.residency().nth(model.0);
        known.map_or(Residency::Absent, |(residency, _)| residency)
    }

    /// Whether it is to be kept.
    pub(super) fn is_pinned(&self, model: ModelIndex) -> bool {
        self.models.get(model.0).is_some_and(|model| model.pinned)
    }

    /// Keeps it from now on, or no longer.
    pub(super) fn pin(&mut self, model: ModelIndex, pinned: bool) {
        if let Some(model) = self.models.get_mut(model.0) {
            model.pinned = pinned;
            model.given_up = false;
            model.rests_until = None;
        }
    }

    /// A person wants it loaded.
    pub(super) fn wish(&mut self, model: ModelIndex) {
        if let Some(model) = self.models.get_mut(model.0) {
            model.wish.get_or_insert(self.wishes);
            self.wishes += 1;
        }
    }

    /// Nobody wants it loaded any more.
    pub(super) fn forget_wish(&mut self, model: ModelIndex) {
        if let Some(model) = self.models.get_mut(model.0) {
            model.wish = None;
        }
    }

    /// What people want loaded and is not, the oldest wish first.
    pub(super) fn wished(&self) -> Vec<ModelIndex> {
        let models = self.models.iter().enumerate();
        let mut wished: Vec<(u64, ModelIndex)> = models
            .filter(|(_, model)| matches!(model.state, State::Absent))
            .filter_map(|(index, model)| Some((model.wish?, ModelIndex(index))))
            .collect();
        wished.sort_unstable();
        wished.into_iter().map(|(_, model)| model).collect()
    }

    /// A model that is to be there and is not, and the domain in which it has room now: first those to be loaded at the
    /// start, which have one chance, then what is pinned.
    pub(super) fn missing(&mut self) -> Option<(ModelIndex, Domain)> {
        while let Some(index) = self.next_preload() {
            if let Some(model) = self.models.get_mut(index.0) {
                model.preload = None;
            }
            if let Some(domain) = self.free_place(index) {
                return Some((index, domain));
            }
        }
        (0..self.models.len()).map(ModelIndex).find_map(|index| {
            let model = self.models.get(index.0)?;
            let is_missing = model.pinned && matches!(model.state, State::Absent);
            if !is_missing || model.given_up || model.rests_until.is_some() {
                return None;
            }
            Some((index, self.free_place(index)?))
        })
    }

    fn next_preload(&self) -> Option<ModelIndex> {
        let models = self.models.iter().enumerate();
        models
            .filter(|(_, model)| matches!(model.state, State::Absent))
            .filter_map(|(index, model)| Some((model.preload?, ModelIndex(index))))
            .min()
            .map(|(_, index)| index)
    }

    /// The domain in which a model has room without any other being unloaded.
    pub(super) fn free_place(&self, model: ModelIndex) -> Option<Domain> {
        match self.room(model, None) {
            Room::Free { domain, unload } if unload.is_empty() => Some(domain),
            Room::Free { .. } | Room::Busy => None,
        }
    }

    /// The model cannot be loaded; it is not tried again before a job asks for it.
    pub(super) fn failed(&mut self, model: ModelIndex) {
        self.set(model, State::Absent);
        if let Some(model) = self.models.get_mut(model.0) {
            model.given_up = true;
            model.wish = None;
        }
    }

    /// Whether the last attempt to load it has failed.
    pub(super) fn has_failed(&self, model: ModelIndex) -> bool {
        self.models.get(model.0).is_some_and(|model| model.given_up)
    }

    /// How to make room for a model while a run of `busy` goes on.
    pub(super) fn room(&self, model: ModelIndex, busy: Option<ModelIndex>) -> Room {
        let Some(table) = self.models.get(model.0).map(|model| model.table) else {
            return Room::Busy;
        };
        let plan = residency::plan(&self.residents(), table.memory, table.domain, self.budget);
        if busy.is_some_and(|busy| plan.unload.contains(&busy)) {
            return Room::Busy;
        }
        Room::Free {
            domain: plan.domain,
            unload: plan.unload,
        }
    }

    fn residents(&self) -> Vec<Resident> {
        let models = self.models.iter().enumerate();
        let residents = models.filter_map(|(index, model)| match model.state {
            State::Loaded {
                domain,
                memory,
                used,
            } => Some(Resident {
                model: ModelIndex(index),
                memory,
                domain,
                used,
                pinned: model.pinned,
            }),
            State::Absent | State::Loading { .. } | State::Unloading => None,
        });
        residents.collect()
    }

    /// Whether a model has room beside those that are loaded, being loaded, or to be loaded: at the start, as somebody
    /// wishes, because they are pinned, or because they are `wanted`.
    pub(super) fn fits(&self, model: ModelIndex, wanted: &[ModelIndex]) -> bool {
        let models = (0..).map(ModelIndex).zip(&self.models);
        let coming = models.filter(|(index, other)| match other.state {
            State::Loaded { .. } => false,
            State::Loading { .. } => true,
            State::Absent | State::Unloading => {
                *index == model
                    || wanted.contains(index)
                    || other.preload.is_some()
                    || other.wish.is_some()
                    || (other.pinned && !other.given_up)
            }
        });
        let mut residents = self.residents();
        for (index, other) in coming {
            let memory = other.table.memory;
            let fixed = match other.state {
                State::Loading { domain } => Some(domain),
                _ => other.table.domain,
            };
            let plan = residency::plan(&residents, memory, fixed, self.budget);
            if memory > self.budget || !plan.unload.is_empty() {
                return false;
            }
            residents.push(Resident {
                model: index,
                memory,
                domain: plan.domain,
                used: Time::ZERO,
                pinned: other.pinned,
            });
        }
        true
    }

    /// A load begins.
    pub(super) fn load(&mut self, model: ModelIndex, domain: Domain, unload: &[ModelIndex]) {
        for gone in unload {
            self.set(*gone, State::Absent);
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
                model.wish = None;
                model.serves_people = false;
            }
        }
    }

    /// A run of the model has ended.
    pub(super) fn used(&mut self, model: ModelIndex, now: Time) {
        if let Some(Model {
            state: State::Loaded { used, .. },
            rest,
            ..
        }) = self.models.get_mut(model.0)
        {
            *used = now;
            *rest = *RESTS.start();
        }
    }

    /// The first moment at which a model has rested.
    pub(super) fn next_rested(&self) -> Option<Time> {
        let rests = self.models.iter().filter_map(|model| model.rests_until);
        rests.min()
    }

    /// Lets models be loaded again that have rested.
    pub(super) fn wake(&mut self, now: Time) {
        for model in &mut self.models {
            model.rests_until.take_if(|until| *until <= now);
        }
    }

    /// It is being unloaded.
    pub(super) fn unload(&mut self, model: ModelIndex) {
        self.set(model, State::Unloading);
    }

    /// It is unloaded.
    pub(super) fn unloaded(&mut self, model: ModelIndex) {
        if self.residency_of(model) == Residency::Unloading {
            self.set(model, State::Absent);
        }
    }

    /// The worker that had it has ended. A load or an unload under way tells of its end itself.
    pub(super) fn lost(&mut self, model: ModelIndex, now: Time) {
        if let Some(model) = self.models.get_mut(model.0)
            && matches!(model.state, State::Loaded { .. })
        {
            model.state = State::Absent;
            if model.pinned {
                model.rests_until = Some(now + model.rest);
                model.rest = (2 * model.rest).min(*RESTS.end());
            }
        }
    }

    fn set(&mut self, model: ModelIndex, state: State) {
        if let Some(model) = self.models.get_mut(model.0) {
            model.state = state;
        }
    }
}
