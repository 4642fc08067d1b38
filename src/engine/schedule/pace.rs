//! How long runs and loads take, learnt from those that ended.

use std::time::Duration;

use super::{ModelIndex, ModelTable};

/// Share of the newest run in the mean.
const NEWEST: f64 = 0.2;
/// Assumed before the first run has ended.
const FIRST_GUESS: Duration = Duration::from_secs(10);
/// A first load, of a file that the system has in memory: bytes per second, and time that does not depend on size.
/// 1.7 billion parameters of a byte each were loaded in 2.8 s on an RK3588.
const LOAD_SPEED: u64 = 1_000_000_000;
const LOAD_BASE: Duration = Duration::from_millis(400);

/// Mean run times, and the times of the last loads.
#[derive(Debug)]
pub(super) struct Pace {
    models: Vec<Option<Duration>>,
    any: Option<Duration>,
    loads: Vec<Duration>,
}

impl Pace {
    pub(super) fn new(models: &[ModelTable]) -> Self {
        let load = |model: &ModelTable| {
            LOAD_BASE + Duration::from_millis(model.memory / (LOAD_SPEED / 1000))
        };
        Self {
            models: vec![None; models.len()],
            any: None,
            loads: models.iter().map(load).collect(),
        }
    }

    /// A run has taken this long.
    pub(super) fn learn(&mut self, model: ModelIndex, run: Duration) {
        let known = self.models.get_mut(model.0).into_iter();
        for mean in known.chain([&mut self.any]) {
            *mean = Some(mean.map_or(run, |mean| mean.mul_f64(1.0 - NEWEST) + run.mul_f64(NEWEST)));
        }
    }

    /// A load has taken this long. The last one counts: the first of a file reads it from the card.
    pub(super) fn learn_load(&mut self, model: ModelIndex, load: Duration) {
        if let Some(known) = self.loads.get_mut(model.0) {
            *known = load;
        }
    }

    /// The likely time of a load of this model.
    pub(super) fn of_load(&self, model: ModelIndex) -> Duration {
        self.loads.get(model.0).copied().unwrap_or_default()
    }

    /// The likely time of a run of this model.
    pub(super) fn of(&self, model: ModelIndex) -> Duration {
        let known = self.models.get(model.0).copied().flatten();
        known.unwrap_or(self.any())
    }

    /// The likely time of any run.
    pub(super) fn any(&self) -> Duration {
        self.any.unwrap_or(FIRST_GUESS)
    }
}
