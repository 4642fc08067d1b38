//! What a model's file name says.
//!
//! There is no standard, so the name is cut into words and each word is taken for what it looks like. Seen in the
//! wild: `Qwen3-1.7B-rk3588-w8a8.rkllm`, `qwen3-vl-2b-instruct_w8a8_rk3588.rkllm`,
//! `Qwen3-1.7B-rk3588-w8a8_g128-opt-1-hybrid-ratio-0.5.rkllm`, `Qwen3-4B-rk3588-w8a8-16k.rkllm`,
//! `Gemma-3n-E2B-it_w8a8_rk3588_ctx4096.rkllm`.

/// What a file name says; everything that it does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedName {
    /// Family and variant before the size, in the file's spelling: `Qwen3`, `qwen3-vl`.
    pub family: Option<String>,
    /// Parameters in the file's spelling, upper case: `1.7B`, `E2B`.
    pub size: Option<String>,
    /// Quantisation, lower case: `w8a8`, `w8a8_g128`, `fp16`.
    pub quantisation: Option<String>,
    /// Chip, lower case: `rk3588`.
    pub chip: Option<String>,
    /// Context limit in tokens.
    pub context: Option<u32>,
}

/// Reads the stem of a model's file name.
#[must_use]
pub fn parse(stem: &str) -> ParsedName {
    let mut parsed = ParsedName::default();
    let mut family: Vec<&str> = Vec::new();
    let mut family_open = true;
    for word in stem.split(['-', '_', ' ']).filter(|word| !word.is_empty()) {
        let lower = word.to_lowercase();
        let after_quantisation = parsed
            .quantisation
            .as_ref()
            .is_some_and(|q| !q.contains("_g"));
        if is_chip(&lower) {
            parsed.chip.get_or_insert(lower);
        } else if is_quantisation(&lower) {
            parsed.quantisation.get_or_insert(lower);
        } else if after_quantisation && is_group(&lower) {
            if let Some(quantisation) = &mut parsed.quantisation {
                quantisation.push('_');
                quantisation.push_str(&lower);
            }
        } else if let Some(context) = context(&lower) {
            parsed.context.get_or_insert(context);
        } else if parsed.size.is_none() && is_size(&lower) {
            parsed.size = Some(word.to_uppercase());
            family_open = false;
            continue;
        } else if family_open {
            family.push(word);
            continue;
        } else {
            continue;
        }
        // A chip, a quantisation or a context ends the family's name as a size does; at the very start of the
        // name it only precedes it.
        family_open = family.is_empty();
    }
    if !family.is_empty() {
        parsed.family = Some(family.join("-"));
    }
    parsed
}

/// Parameters in billions that a size such as `1.7B`, `E2B` or `256M` stands for.
#[must_use]
pub fn billions(size: &str) -> Option<f64> {
    let lower = size.to_lowercase();
    let digits = lower.strip_prefix('e').unwrap_or(&lower);
    let (number, unit) = digits.split_at_checked(digits.len().checked_sub(1)?)?;
    let number: f64 = number
        .parse()
        .ok()
        .filter(|n: &f64| n.is_finite() && *n > 0.0)?;
    match unit {
        "b" => Some(number),
        "m" => Some(number / 1000.0),
        _ => None,
    }
}

/// Whether models of a family, in lower case, usually see images.
#[must_use]
pub fn sees(family: &str) -> bool {
    ["vl", "minicpm-v", "ocr"]
        .iter()
        .any(|word| family.contains(word))
}

/// Whether the stem of a model's file name says that it is an embedding model.
#[must_use]
pub fn embeds(stem: &str) -> bool {
    stem.to_lowercase()
        .split(['-', '_', ' '])
        .any(|word| matches!(word, "embed" | "embedding" | "embeddings"))
}

/// Whether models of a family, in lower case, can think before they answer.
#[must_use]
pub fn thinks(family: &str) -> bool {
    family == "qwen3" || family.starts_with("deepseek-r1")
}

fn is_chip(word: &str) -> bool {
    ["rk35", "rv11"]
        .iter()
        .any(|prefix| word.starts_with(prefix))
        && word.len() >= 6
}

fn is_quantisation(word: &str) -> bool {
    let bits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let weights_and_activations = word
        .strip_prefix('w')
        .and_then(|rest| rest.split_once('a'))
        .is_some_and(|(weights, activations)| bits(weights) && bits(activations));
    weights_and_activations || matches!(word, "fp16" | "f16" | "bf16")
}

fn is_group(word: &str) -> bool {
    word.strip_prefix('g')
        .is_some_and(|n| matches!(n, "32" | "64" | "128" | "256" | "512"))
}

fn is_size(word: &str) -> bool {
    billions(word).is_some()
}

/// `ctx4096`, `c4096`, `16k`, `ctx16k`.
fn context(word: &str) -> Option<u32> {
    let named = word
        .strip_prefix("ctx")
        .or_else(|| word.strip_prefix("context"));
    let number = named.unwrap_or(word);
    let tokens = match number.strip_suffix('k') {
        Some(thousands) => thousands.parse::<u32>().ok()?.checked_mul(1024)?,
        None => {
            named?;
            number.parse::<u32>().ok()?
        }
    };
    (32..=1 << 20).contains(&tokens).then_some(tokens)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(stem: &str) -> (String, String, String, String, u32) {
        let name = parse(stem);
        (
            name.family.unwrap_or_default(),
            name.size.unwrap_or_default(),
            name.quantisation.unwrap_or_default(),
            name.chip.unwrap_or_default(),
            name.context.unwrap_or_default(),
        )
    }

    fn expect(
        family: &str,
        size: &str,
        quantisation: &str,
        chip: &str,
        context: u32,
    ) -> (String, String, String, String, u32) {
        (
            family.into(),
            size.into(),
            quantisation.into(),
            chip.into(),
            context,
        )
    }

    #[test]
    fn the_naming_styles_of_the_field() {
        for (stem, expected) in [
            (
                "Qwen3-1.7B-rk3588-w8a8",
                expect("Qwen3", "1.7B", "w8a8", "rk3588", 0),
            ),
            (
                "qwen3-vl-2b-instruct_w8a8_rk3588",
                expect("qwen3-vl", "2B", "w8a8", "rk3588", 0),
            ),
            (
                "Qwen3-1.7B-rk3588-w8a8_g128-opt-1-hybrid-ratio-0.5",
                expect("Qwen3", "1.7B", "w8a8_g128", "rk3588", 0),
            ),
            (
                "Qwen3-4B-rk3588-w8a8-16k",
                expect("Qwen3", "4B", "w8a8", "rk3588", 16384),
            ),
            (
                "Gemma-3n-E2B-it_w8a8_rk3588_ctx4096",
                expect("Gemma-3n", "E2B", "w8a8", "rk3588", 4096),
            ),
            (
                "Phi-3-mini-4k-instruct-3.8B-w4a16_g64",
                expect("Phi-3-mini", "3.8B", "w4a16_g64", "", 4096),
            ),
            (
                "MiniCPM4-0.5B-Chat-RK3576-W4A16",
                expect("MiniCPM4", "0.5B", "w4a16", "rk3576", 0),
            ),
            (
                "SmolVLM-256M-fp16",
                expect("SmolVLM", "256M", "fp16", "", 0),
            ),
            (
                "rk3588-Qwen2.5-3B",
                expect("Qwen2.5", "3B", "", "rk3588", 0),
            ),
            ("mymodel", expect("mymodel", "", "", "", 0)),
            ("", expect("", "", "", "", 0)),
        ] {
            assert_eq!(parsed(stem), expected, "{stem}");
        }
    }

    #[test]
    fn embedding_models_say_so() {
        for stem in [
            "Qwen3-Embedding-0.6B-rk3588-w8a8",
            "nomic-embed-text-v1.5",
            "some_0.6B_embeddings",
        ] {
            assert!(embeds(stem), "{stem}");
        }
        assert!(!embeds("Qwen3-0.6B-rk3588-w8a8-embedflash"));
    }

    proptest! {
        #[test]
        fn no_name_panics(stem in "\\PC*") {
            prop_assert!(parse(&stem).family.is_none_or(|family| !family.is_empty()));
        }

        #[test]
        fn no_likely_name_panics(words in proptest::collection::vec("(w[0-9]{0,3}a[0-9]{0,3}|g[0-9]{0,4}|ctx[0-9]{0,12}k?|[eE]?[0-9.]{0,8}[bBmMkK]?|rk35[0-9]{0,3}|é?)", 0..8), separator in "[-_ ]") {
            prop_assert!(parse(&words.join(&separator)).context.is_none_or(|tokens| tokens >= 32));
        }
    }
}
