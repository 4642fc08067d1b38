//! How fast a model should run and how much memory it should take, from the vendor's benchmark.

use std::sync::LazyLock;

use super::{kv_cache, name};

/// The vendor's measurements; the file says where they come from.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    include_str!("benchmark.tsv")
        .lines()
        .filter_map(Row::parse)
        .collect()
});

/// What to expect of a model. Estimates for models that the vendor did not measure are scaled from the nearest row.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Parameters in billions.
    pub parameters: f64,
    /// Tokens per second while reading a prompt of 128 tokens.
    pub prefill: f64,
    /// Tokens per second while answering.
    pub decode: f64,
    /// Bytes of memory with a short context.
    pub memory: u64,
    /// Bytes of memory for each token of the context; 0 where it is not known, or the model needs none.
    pub memory_per_token: u64,
    /// The measured row, e.g. `qwen3 0.6B w8a8`, and whether it is this very model.
    pub basis: String,
    /// Whether the numbers were measured on this family and size.
    pub measured: bool,
}

struct Row {
    chip: &'static str,
    family: &'static str,
    parameters: f64,
    quantisation: &'static str,
    prefill: f64,
    decode: f64,
    memory_mb: f64,
}

impl Row {
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        Some(Self {
            chip: fields.next().filter(|chip| !chip.starts_with('#'))?,
            family: fields.next()?,
            parameters: fields.next()?.parse().ok()?,
            quantisation: fields.next()?,
            prefill: fields.next()?.parse().ok()?,
            decode: fields.next()?.parse().ok()?,
            memory_mb: fields.next()?.parse().ok()?,
        })
    }
}

/// What to expect of a model of this family, size and quantisation on `chip` (RK3588 if not known).
///
/// `None` if neither the size nor the family says how big the model is.
#[must_use]
pub fn expect(
    family: Option<&str>,
    size: Option<&str>,
    quantisation: Option<&str>,
    chip: Option<&str>,
) -> Option<Expectation> {
    let chip = if chip.is_some_and(|chip| chip.starts_with("rk3576")) {
        "rk3576"
    } else {
        "rk3588"
    };
    let family: String = family
        .unwrap_or_default()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '.')
        .collect();
    let quantisation = quantisation.unwrap_or("w8a8");
    let same_family = |row: &Row| family.starts_with(row.family);
    let parameters = match size.and_then(name::billions) {
        Some(parameters) => parameters,
        // `Phi-3-mini` names no size; the benchmark knows the family's.
        None => {
            ROWS.iter()
                .filter(|row| same_family(row))
                .max_by_key(|row| row.family.len())?
                .parameters
        }
    };
    let distance = |row: &Row| {
        let size = (row.parameters / parameters).ln().abs();
        let kin = if same_family(row) {
            -0.1 * row.family.len() as f64
        } else {
            0.0
        };
        let weights = match (
            row.quantisation == quantisation,
            row.quantisation.get(..2) == quantisation.get(..2),
        ) {
            (true, _) => 0.0,
            (false, true) => 0.3,
            (false, false) => 2.0,
        };
        size + kin + weights
    };
    let row = ROWS
        .iter()
        .filter(|row| row.chip == chip)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let scale = parameters / row.parameters;
    Some(Expectation {
        parameters,
        prefill: row.prefill / scale,
        decode: row.decode / scale,
        memory: (row.memory_mb * scale * 1e6) as u64,
        memory_per_token: kv_cache::bytes_per_token(&family, parameters).unwrap_or(0),
        basis: format!("{} {}B {}", row.family, row.parameters, row.quantisation),
        measured: same_family(row)
            && (scale - 1.0).abs() < 0.01
            && row.quantisation == quantisation,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_table_is_read_completely() {
        let data = include_str!("benchmark.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count();
        assert_eq!(ROWS.len(), data);
    }

    #[test]
    fn a_measured_model_has_its_own_numbers() {
        let expected = expect(Some("Qwen3"), Some("0.6B"), Some("w8a8"), Some("rk3588")).unwrap();
        assert!(expected.measured);
        assert_eq!((expected.prefill, expected.decode), (642.9, 32.91));
        assert!(
            expect(Some("Phi-3-mini"), None, Some("w8a8"), None)
                .unwrap()
                .basis
                .starts_with("phi3")
        );
    }

    #[test]
    fn another_size_is_scaled() {
        let expected = expect(Some("Qwen3"), Some("1.7B"), Some("w8a8"), Some("rk3588")).unwrap();
        assert!(!expected.measured);
        assert!((10.0..20.0).contains(&expected.decode), "{expected:?}");
        assert!(expect(Some("unheard-of"), None, None, None).is_none());
    }
}
