//! How long a board takes: the benchmark rows and the formulas over them.

use serde::Deserialize;

/// Timing of one model on one chip, in milliseconds of a board with pinned clocks.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Rates {
    /// Fixed cost of a prefill.
    #[serde(rename = "a_ms")]
    start: f64,
    /// Per new token.
    #[serde(rename = "b_ms_per_tok")]
    token: f64,
    /// Per pair of tokens that attend to each other.
    #[serde(rename = "c_ms_per_tok2")]
    pair: f64,
    /// One decode step with 160 tokens in the cache.
    #[serde(rename = "decode_ms_at_ctx160")]
    step: f64,
    /// What each token in the cache adds to a decode step.
    #[serde(rename = "decode_extra_ms_per_ctx_tok")]
    step_per_token: f64,
}

impl Rates {
    /// Time before the first chunk of a prefill.
    pub(crate) fn prefill_start_ms(&self) -> f64 {
        self.start
    }

    /// Time of `new` prompt tokens behind `past` cached ones. Sums of chunks equal the whole.
    pub(crate) fn prefill_ms(&self, new: usize, past: usize) -> f64 {
        let (new, past) = (new as f64, past as f64);
        self.token * new + self.pair * ((past + new).powi(2) - past.powi(2))
    }

    /// Time of one decode step with `context` tokens in the cache.
    pub(crate) fn decode_ms(&self, context: usize) -> f64 {
        (self.step + self.step_per_token * (context as f64 - 160.0)).max(0.1)
    }
}

#[derive(Deserialize)]
struct Table {
    platform: String,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    model: String,
    params: String,
    dtype: String,
    #[serde(flatten)]
    rates: Rates,
}

const TABLES: [&str; 2] = [
    include_str!("../data/rk3588.json"),
    include_str!("../data/rk3576.json"),
];

/// The row of a model on a chip.
pub(crate) fn rates(platform: &str, model: &str, params: &str, dtype: &str) -> Option<Rates> {
    let tables = TABLES
        .iter()
        .filter_map(|text| serde_json::from_str::<Table>(text).ok());
    let mut rows = tables
        .filter(|table| table.platform == platform)
        .flat_map(|table| table.rows);
    rows.find(|row| row.model == model && row.params == params && row.dtype == dtype)
        .map(|row| row.rates)
}

/// Time to load a model file: a fixed part plus reading it, from the page cache or from cold flash storage.
pub(crate) fn load_ms(size_bytes: u64, cold: bool) -> f64 {
    400.0 + file_ms(size_bytes, cold)
}

/// Time to read or write so much of a file, in the page cache or on cold flash storage.
pub(crate) fn file_ms(bytes: u64, cold: bool) -> f64 {
    let bytes_per_ms = if cold { 0.4e6 } else { 1.5e6 };
    bytes as f64 / bytes_per_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_the_benchmarked_time_to_first_token() {
        for (platform, model, params, dtype, published) in [
            ("RK3588", "Qwen3", "0.6B", "w8a8", 199.09),
            ("RK3588", "Phi3", "3.8B", "w8a8", 1017.28),
            ("RK3576", "Qwen3", "0.6B", "w8a8", 461.2),
        ] {
            let row = rates(platform, model, params, dtype).unwrap();
            let modelled = row.prefill_start_ms() + row.prefill_ms(128, 0);
            assert!(
                (modelled / published - 1.0).abs() < 0.05,
                "{model}: {modelled} against {published}"
            );
        }
        assert_eq!(rates("RK3588", "Qwen3", "0.6B", "w4a16"), None);
    }

    #[test]
    fn chunks_add_up_to_the_whole() {
        let row = rates("RK3588", "Qwen3", "0.6B", "w8a8").unwrap();
        let chunks = row.prefill_ms(128, 10) + row.prefill_ms(128, 138) + row.prefill_ms(44, 266);
        assert!((chunks - row.prefill_ms(300, 10)).abs() < 1e-6);
    }

    #[test]
    fn attention_over_a_long_context_slows_both_phases() {
        let row = rates("RK3588", "Qwen3", "0.6B", "w8a8").unwrap();
        assert!(row.prefill_ms(100, 4000) > 2.0 * row.prefill_ms(100, 0));
        assert!(row.decode_ms(4000) > row.decode_ms(160));
    }
}
