//! Versions of the simulated runtimes.

use rkllm::abi::Abi;

/// The runtime that stands for an ABI: the newest of its generation.
pub(crate) fn number(abi: Abi) -> &'static str {
    match abi {
        Abi::V1_2_0 => "1.2.0",
        Abi::V1_2_1 => "1.2.3",
        Abi::V1_3_0 => "1.3.0",
    }
}

/// The three numbers of a version, whatever follows them.
pub(crate) fn parse(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.splitn(3, '.').map(|part| {
        let digits = part
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        digits.parse().ok()
    });
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(parse("1.2.1b1"), Some((1, 2, 1)));
        assert!(parse("1.10.0") > parse("1.2.3"));
        assert_eq!((parse("unknown"), parse("1.2")), (None, None));
    }
}
