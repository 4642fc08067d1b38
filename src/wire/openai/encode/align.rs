//! Finding out which part of a changed list comes from which part of the original.

/// How far ahead an equal part is looked for among parts that were dropped.
const REACH: usize = 32;

/// Where a part comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It equals the original at this place.
    Same(usize),
    /// It is the original at this place, changed.
    Like(usize),
    /// It is new.
    New,
}

/// The origin of every part of `after`. It is a guess which changed part belongs to which original, but what is
/// `Same` is equal.
///
/// Histories lose their oldest parts first, so parts between are matched from the end.
pub(super) fn align<T: PartialEq>(
    before: &[T],
    after: &[T],
    alike: impl Fn(&T, &T) -> bool,
) -> Vec<Origin> {
    let both = || before.iter().zip(after);
    let prefix = both().take_while(|(old, new)| old == new).count();
    let both_back = before
        .iter()
        .skip(prefix)
        .rev()
        .zip(after.iter().skip(prefix).rev());
    let suffix = both_back.take_while(|(old, new)| old == new).count();

    let mut origins: Vec<Origin> = (1..=suffix)
        .map(|back| Origin::Same(before.len() - back))
        .collect();
    let mut old_end = before.len() - suffix;
    let mut middle = after.iter().take(after.len() - suffix).skip(prefix).rev();
    while let Some(new) = middle.next() {
        let old = before.iter().enumerate().take(old_end).skip(prefix).rev();
        let left = 1 + middle.len();
        let equal = old.clone().take(REACH).find(|(_, old)| *old == new);
        // A part that is not the last candidate may have been dropped, if that leaves enough for the others.
        let spare = (old_end - prefix).saturating_sub(left) + 1;
        let found = equal.or_else(|| old.take(spare).find(|(_, old)| alike(old, new)));
        origins.push(match (equal, found) {
            (Some((at, _)), _) => Origin::Same(at),
            (None, Some((at, _))) => Origin::Like(at),
            (None, None) => Origin::New,
        });
        if let Some((at, _)) = found {
            old_end = at;
        }
    }
    origins.extend((0..prefix).rev().map(Origin::Same));
    origins.reverse();
    origins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Origin::*, *};

    /// Words are alike if they begin with the same letter.
    fn aligned(before: &str, after: &str) -> Vec<Origin> {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        align(&words(before), &words(after), |old, new| {
            old.as_bytes()[0] == new.as_bytes()[0]
        })
    }

    #[test]
    fn histories() {
        assert_eq!(aligned("s u1 a1", "s u1 a1"), [Same(0), Same(1), Same(2)]);
        assert_eq!(
            aligned("s u1 a1 u2", "S u1 a1 u2"),
            [New, Same(1), Same(2), Same(3)]
        );
        assert_eq!(
            aligned("s1 u1 a1 u2", "s2 u1 a1 u3"),
            [Like(0), Same(1), Same(2), Like(3)]
        );
        assert_eq!(
            aligned("s u1 a1 u2 a2 u3", "s u2 a2 u3"),
            [Same(0), Same(3), Same(4), Same(5)]
        );
        assert_eq!(
            aligned("s u1 a1 u2 a2 u3", "s2 u2 a3 u4"),
            [Like(0), Same(3), Like(4), Like(5)]
        );
        assert_eq!(aligned("u1", "s u1"), [New, Same(0)]);
        assert_eq!(
            aligned("u1 a1 u2 u3", "u1 a1 u23"),
            [Same(0), Same(1), Like(3)]
        );
        assert_eq!(aligned("", "u1"), [New]);
        assert_eq!(aligned("u1", ""), []);
    }

    proptest! {
        #[test]
        fn origins_are_in_order_and_what_is_the_same_is_equal(
            before in prop::collection::vec(0_u8..4, 0..12),
            after in prop::collection::vec(0_u8..4, 0..12),
        ) {
            let origins = align(&before, &after, |old, new| old % 2 == new % 2);
            prop_assert_eq!(origins.len(), after.len());
            let mut last = None;
            for (origin, new) in origins.into_iter().zip(&after) {
                if let Same(at) = origin {
                    prop_assert_eq!(before[at], *new);
                }
                if let Same(at) | Like(at) = origin {
                    prop_assert!(last.is_none_or(|last| last < at));
                    last = Some(at);
                }
            }
            if before == after {
                prop_assert!(align(&before, &after, |_, _| true).into_iter().eq((0..before.len()).map(Same)));
            }
        }
    }
}
