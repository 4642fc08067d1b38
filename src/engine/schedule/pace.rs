//! How long runs take, learnt from those that ended.

use std::time::Duration;

use super::ModelIndex;

/// Share of the newest run in the mean.
const NEWEST: f64 = 0.2;
/// Assumed before the first run has ended.
const FIRST_GUESS: Duration = Duration::from_secs(10);

/// Mean run times.
#[derive(Debug)]
pub(super) struct Pace {
    models: Vec<Option<Duration>>,
    any: Option<Duration>,
}

impl Pace {
    pub(super) fn new(models: usize) -> Self {
        Self {
            models: vec![None; models],
            any: None,
        }
    }

    /// A run has taken this long.
    pub(super) fn learn(&mut self, model: ModelIndex, run: Duration) {
        let known = self.models.get_mut(model.0).into_iter();
        for mean in known.chain([&mut self.any]) {
            *mean = Some(mean.map_or(run, |mean| mean.mul_f64(1.0 - NEWEST) + run.mul_f64(NEWEST)));
        }
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
