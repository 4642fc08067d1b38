//! What the log's numbers add up to.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Filter, Reader, StoreError, store::Numbers};

/// The requests of one class that one model answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The class.
    pub class: String,
    /// The model; empty where none was found.
    pub model: String,
    /// What they add up to.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What some requests add up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sums {
    /// Requests.
    pub requests: u64,
    /// Of these, with a status of 400 or higher.
    pub failed: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Of these, tokens that were in the KV cache already.
    pub cached_tokens: u64,
    /// Generated tokens.
    pub completion_tokens: u64,
    /// Time to the first token, in milliseconds.
    pub first_token_ms: Option<Quantiles>,
    /// Time to the answer's end, in milliseconds.
    pub total_ms: Option<Quantiles>,
    /// Tokens per second after the first one.
    pub tokens_per_second: Option<Quantiles>,
}

/// Where the middle and the slow end of some values lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of the values are not above this.
    pub p50: f64,
    /// 95 % of the values are not above this.
    pub p95: f64,
}

impl Quantiles {
    fn of(values: &mut [f32]) -> Option<Self> {
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| {
            let rank = (values.len().checked_sub(1)? as f64 * share).round() as usize;
            values.get(rank).map(|value| f64::from(*value))
        };
        Some(Self {
            p50: at(0.50)?,
            p95: at(0.95)?,
        })
    }
}

/// Sums on the way.
#[derive(Default)]
pub(super) struct Gathered {
    sums: Sums,
    first_token: Vec<f32>,
    total: Vec<f32>,
    speed: Vec<f32>,
}

impl Reader {
    /// Sums of the records that fit, by class and model; most requests first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn stats(&mut self, filter: &Filter) -> Result<Vec<Group>, StoreError> {
        let mut groups = Groups::default();
        self.scan(filter, |row| groups.add(row))?;
        groups.finish(self)
    }
}

/// Groups on the way, by the numbers of class and model.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<(i64, i64), Gathered>);

impl Groups {
    pub(super) fn add(&mut self, row: &Numbers) {
        self.0.entry((row.class, row.model)).or_default().add(row);
    }

    /// Most requests first.
    pub(super) fn finish(self, reader: &mut Reader) -> Result<Vec<Group>, StoreError> {
        let groups = self.0.into_iter().map(|((class, model), gathered)| {
            Ok(Group {
                class: reader.word(class)?.to_string(),
                model: reader.word(model)?.to_string(),
                sums: gathered.finish(),
            })
        });
        let mut groups = groups.collect::<Result<Vec<Group>, StoreError>>()?;
        groups.sort_by(|one, other| {
            let most = other.sums.requests.cmp(&one.sums.requests);
            most.then_with(|| (&one.class, &one.model).cmp(&(&other.class, &other.model)))
        });
        Ok(groups)
    }
}

impl Gathered {
    pub(super) fn add(&mut self, row: &Numbers) {
        let sums = &mut self.sums;
        sums.requests += 1;
        sums.failed += u64::from(row.status >= 400);
        if let Some(usage) = row.usage {
            sums.prompt_tokens += u64::from(usage.prompt);
            sums.cached_tokens += u64::from(usage.cached);
            sums.completion_tokens += u64::from(usage.completion);
        }
        let millis = |time: Duration| time.as_secs_f32() * 1000.0;
        self.first_token.extend(row.timings.first_token.map(millis));
        self.total.push(millis(row.timings.total));
        let speed = row.timings.tokens_per_second(row.usage);
        self.speed.extend(speed.map(|speed| speed as f32));
    }

    pub(super) fn finish(mut self) -> Sums {
        Sums {
            first_token_ms: Quantiles::of(&mut self.first_token),
            total_ms: Quantiles::of(&mut self.total),
            tokens_per_second: Quantiles::of(&mut self.speed),
            ..self.sums
        }
    }
}
