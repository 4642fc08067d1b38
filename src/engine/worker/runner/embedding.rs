//! Runs that give an embedding: the last hidden layer at the last token, as models of the Qwen3-Embedding kind are
//! trained for it.

use std::time::Instant;

use rkllm::{AbortHandle, Input, Mode, RunError, RunOptions, RunReport};

use super::{Session, Shared, lock};
use crate::engine::protocol::{End, Finished};

impl Session {
    /// Reads a passage. The vector has length 1; there is none if the run was stopped before it was there.
    ///
    /// # Errors
    /// What failed; the runtime's own words are in what it printed.
    pub(super) fn embed(
        &mut self,
        shared: &Shared,
        ids: &[u32],
        abort: &AbortHandle,
    ) -> Result<(Option<Vec<f32>>, Finished), String> {
        // What this leaves in the cache is never asked for.
        lock(&shared.kv).clear();
        if self.model.is_none() {
            self.reload(shared)?;
        }
        let began = Instant::now();
        let outcome = match self.last_row(ids, abort) {
            Err(RunError::ReloadNeeded) => {
                self.reload(shared)?;
                self.last_row(ids, abort)
            }
            outcome => outcome,
        };
        let (row, report) = outcome.map_err(|error| error.to_string())?;
        let vector = match row {
            // Reading cannot be interrupted, so that a stopped run may well have its result.
            None if report.aborted => None,
            None => return Err("the runtime gave no hidden layer".to_owned()),
            Some(row) => {
                Some(unit(row).ok_or("the runtime gave a hidden layer without a direction")?)
            }
        };
        let perf = report.perf.filter(|perf| perf.prefill_tokens > 0);
        let prefill = perf.map_or_else(|| began.elapsed(), |perf| perf.prefill);
        let finished = Finished {
            reason: match vector {
                Some(_) => End::Stop,
                None => End::Aborted,
            },
            prompt: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            cached: 0,
            predicted: 0,
            loaded: 0,
            saved: false,
            completion: 0,
            prefill_ms: prefill.as_secs_f32() * 1e3,
            decode_ms: 0.0,
            reloads: 0,
            answer: Vec::new(),
            reusable: shared.reusable(),
        };
        Ok((vector, finished))
    }

    /// The hidden layer at the last token.
    fn last_row(
        &mut self,
        ids: &[u32],
        abort: &AbortHandle,
    ) -> Result<(Option<Vec<f32>>, RunReport), RunError> {
        let model = self.model.as_mut().ok_or(RunError::ReloadNeeded)?;
        // Whether a runtime gives the hidden layer of what it finds in its cache is not known; it is to find nothing.
        // Where emptying it fails, the run fails as well.
        let _ = model.clear_kv_cache(false);
        let ids: Vec<i32> = ids
            .iter()
            .filter_map(|id| i32::try_from(*id).ok())
            .collect();
        let options = RunOptions {
            mode: Mode::LastHiddenLayer,
            abort: abort.clone(),
            ..RunOptions::default()
        };
        let mut row = None;
        let report = model.run(Input::Tokens(&ids), &options, &mut |piece| {
            // The first piece may come without any.
            if let Some(hidden) = piece.hidden {
                row = Some(hidden.last().to_vec());
            }
        })?;
        Ok((row, report))
    }
}

/// The vector of length 1 in the same direction, if there is one.
fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    // In double precision, as a sum of thousands of squares may leave that of single precision.
    let square: f64 = vector.iter().map(|value| f64::from(*value).powi(2)).sum();
    let length = square.sqrt();
    if !(length.is_finite() && length > 0.0) {
        return None;
    }
    for value in &mut vector {
        *value = (f64::from(*value) / length) as f32;
    }
    Some(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_vector_keeps_the_direction() {
        assert_eq!(unit(vec![3.0, -4.0]), Some(vec![0.6, -0.8]));
        let huge = unit(vec![f32::MAX, 0.0, f32::MAX]).unwrap_or_default();
        assert!(huge.iter().all(|value| value.is_finite() && *value >= 0.0));
    }

    #[test]
    fn what_has_no_direction_has_no_unit_vector() {
        for vector in [
            vec![],
            vec![0.0, 0.0],
            vec![f32::NAN, 1.0],
            vec![f32::INFINITY],
        ] {
            assert_eq!(unit(vector), None);
        }
    }
}
