//! What is known to do better: models that others have overtaken, and conversions that cost more than they bring.

/// Families that others have overtaken on these boards, by the beginning of their names: what is wrong with them, and
/// what to take instead.
const OVERTAKEN: [(&str, &str); 4] = [
    (
        "chatglm",
        "writes 5 tokens a second and takes 6 GB; Qwen3-4B answers better in less",
    ),
    (
        "gemma2",
        "has been overtaken; Gemma-3n-E2B answers better at the same speed",
    ),
    (
        "gemma-2",
        "has been overtaken; Gemma-3n-E2B answers better at the same speed",
    ),
    (
        "tinyllama",
        "has been overtaken; Qwen3-0.6B answers better and faster",
    ),
];

/// What to tell of a model of this family, quantisation and chip, each with its cure.
pub(super) fn about(family: &str, quantisation: Option<&str>, chip: Option<&str>) -> Vec<String> {
    let lower = family.to_lowercase();
    let overtaken = OVERTAKEN
        .iter()
        .filter(|(start, _)| lower.starts_with(start))
        .map(|(_, what)| format!("{family} {what}"));
    overtaken
        .chain(of_quantisation(&lower, quantisation, chip))
        .collect()
}

/// An RK3576 has less memory to spare: there four bits may be the only way.
fn of_quantisation(family: &str, quantisation: Option<&str>, chip: Option<&str>) -> Option<String> {
    let four_bits = quantisation.is_some_and(|name| name.to_lowercase().starts_with("w4"));
    let large_board = chip.is_none_or(|chip| chip.eq_ignore_ascii_case("rk3588"));
    if !four_bits || !large_board {
        return None;
    }
    Some(if family.starts_with("qwen3") {
        "four bits cost Qwen3 more than other models, and w8a8 is faster on an RK3588; convert it with quantized_dtype w8a8"
            .to_owned()
    } else {
        "w8a8 is both better and faster on an RK3588; convert it with quantized_dtype w8a8"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_better_is_named() {
        for (family, quantisation, chip, wanted) in [
            ("Qwen3", Some("w8a8"), Some("rk3588"), None),
            (
                "Qwen3",
                Some("w4a16_g64"),
                Some("rk3588"),
                Some("four bits cost Qwen3"),
            ),
            ("Qwen3", Some("W4A16"), None, Some("w8a8")),
            ("Qwen3", Some("w4a16"), Some("rk3576"), None),
            (
                "Phi-3",
                Some("w4a16"),
                Some("RK3588"),
                Some("better and faster"),
            ),
            ("ChatGLM3", None, None, Some("Qwen3-4B")),
            ("Gemma2", None, None, Some("Gemma-3n-E2B")),
            ("Gemma-3n", None, None, None),
            ("TinyLLAMA", None, None, Some("Qwen3-0.6B")),
        ] {
            let told = about(family, quantisation, chip);
            match wanted {
                None => assert!(told.is_empty(), "{family}: {told:?}"),
                Some(wanted) => assert!(told[0].contains(wanted), "{family}: {told:?}"),
            }
        }
    }
}
