//! How much memory the context of a model takes.

/// Bytes of a key or a value: the runtime keeps them in half precision, whatever the weights have.
const WIDTH: u64 = 2;

/// Bytes that each token of the context takes in a model of this family and about this many billions of parameters;
/// `family` in lower case with letters, digits and dots only. `None` where nothing is known of the family.
pub(super) fn bytes_per_token(family: &str, parameters: f64) -> Option<u64> {
    let distance = |row: &Row| (row.parameters / parameters).ln().abs();
    rows()
        .filter(|row| is_of(family, row.family))
        .min_by(|a, b| {
            let longest_first = b.family.len().cmp(&a.family.len());
            longest_first.then(distance(a).total_cmp(&distance(b)))
        })
        .map(|row| 2 * row.layers * row.heads * row.width * WIDTH)
}

struct Row {
    family: &'static str,
    parameters: f64,
    layers: u64,
    heads: u64,
    width: u64,
}

fn rows() -> impl Iterator<Item = Row> {
    include_str!("kv_cache.tsv").lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Row {
            family: fields.next().filter(|family| !family.starts_with('#'))?,
            parameters: fields.next()?.parse().ok()?,
            layers: fields.next()?.parse().ok()?,
            heads: fields.next()?.parse().ok()?,
            width: fields.next()?.parse().ok()?,
        })
    })
}

/// Whether a family is `known` or a variant of it (`phi3mini`), but not another version (`qwen3.5`).
fn is_of(family: &str, known: &str) -> bool {
    family
        .strip_prefix(known)
        .is_some_and(|rest| !rest.starts_with(|c: char| c == '.' || c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_completely() {
        let data = include_str!("kv_cache.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'));
        assert_eq!(rows().count(), data.count());
    }

    #[test]
    fn keys_and_values_of_all_layers() {
        // Measured on a saved prompt cache of Qwen3-4B: 147 472 bytes per token, 16 of them not keys and values.
        assert_eq!(bytes_per_token("qwen3", 4.0), Some(147_456));
        assert_eq!(bytes_per_token("qwen3", 1.7), Some(114_688));
        assert_eq!(bytes_per_token("phi3mini", 3.8), Some(393_216));
        assert_eq!(bytes_per_token("gemma3n", 2.0), Some(61_440));
    }

    #[test]
    fn another_version_or_family_is_not_guessed() {
        assert_eq!(bytes_per_token("qwen3.5", 4.0), None);
        assert_eq!(bytes_per_token("rwkv7", 1.5), None);
    }
}
