//! Which models stay in memory: the rules, apart from the doing.
//!
//! Two budgets hold. All resident models together stay below the memory budget; the least recently used go first.
//! The NPU reaches memory through IOMMU domains of 4 GB, so every model is placed where its weights fit.

use std::time::Instant;

/// What is placed into one domain at most: the runtime needs the rest of the 4 GB for its own buffers.
const DOMAIN: u64 = 3_500_000_000;
/// Domains to choose from.
const DOMAINS: usize = 16;

/// A resident model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resident {
    pub(super) model: String,
    /// Bytes reckoned with.
    pub(super) memory: u64,
    /// First domain of its weights.
    pub(super) domain: i32,
    pub(super) last_used: Instant,
}

/// How to make room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Models to unload first, least recently used first.
    pub(super) evict: Vec<String>,
    /// First domain for the new model.
    pub(super) domain: i32,
    /// Whether the model is within the budget. One that is not is loaded alone: what it takes is an estimate.
    pub(super) fits: bool,
}

/// How to make room for a model of `memory` bytes beside `residents`.
pub(super) fn plan(residents: &[Resident], memory: u64, budget: u64) -> Plan {
    let mut stay: Vec<&Resident> = residents.iter().collect();
    stay.sort_by_key(|resident| std::cmp::Reverse(resident.last_used));
    let mut evict = Vec::new();
    let domain = loop {
        let used: u64 = stay.iter().map(|resident| resident.memory).sum();
        match free_domain(&stay, memory) {
            Some(domain) if used.saturating_add(memory) <= budget => break domain,
            _ => {}
        }
        match stay.pop() {
            Some(oldest) => evict.push(oldest.model.clone()),
            None => break 0,
        }
    };
    Plan {
        evict,
        domain,
        fits: memory <= budget,
    }
}

/// The first domain in which the weights have room; a model larger than a domain needs several empty ones in a row.
fn free_domain(residents: &[&Resident], memory: u64) -> Option<i32> {
    let mut used = [0_u64; DOMAINS];
    for resident in residents {
        let first = usize::try_from(resident.domain).unwrap_or(0);
        let mut rest = resident.memory;
        for domain in used.iter_mut().skip(first) {
            let part = rest.min(DOMAIN);
            *domain += part;
            rest -= part;
        }
    }
    let needed = usize::try_from(memory.div_ceil(DOMAIN))
        .unwrap_or(usize::MAX)
        .max(1);
    let first = used
        .windows(needed.min(DOMAINS))
        .position(|domains| match domains {
            [only] => only.saturating_add(memory) <= DOMAIN,
            several => several.iter().all(|used| *used == 0),
        })?;
    i32::try_from(first).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const GB: u64 = 1_000_000_000;

    fn resident(model: &str, memory: u64, domain: i32, age: u64) -> Resident {
        let last_used = Instant::now()
            .checked_sub(Duration::from_secs(age))
            .unwrap();
        Resident {
            model: model.to_owned(),
            memory,
            domain,
            last_used,
        }
    }

    #[test]
    fn the_least_recently_used_goes_first_and_only_as_many_as_needed() {
        let residents = [
            resident("new", GB, 0, 1),
            resident("old", GB, 0, 30),
            resident("older", GB, 0, 60),
        ];
        assert_eq!(plan(&residents, GB, 4 * GB).evict, Vec::<String>::new());
        assert_eq!(plan(&residents, GB, 3 * GB).evict, ["older"]);
        assert_eq!(plan(&residents, 2 * GB, 3 * GB).evict, ["older", "old"]);
    }

    #[test]
    fn a_full_domain_sends_the_model_to_the_next() {
        let residents = [resident("a", 2 * GB, 0, 1)];
        assert_eq!(plan(&residents, GB, 100 * GB).domain, 0);
        assert_eq!(plan(&residents, 2 * GB, 100 * GB).domain, 1);
        assert_eq!(plan(&residents, 6 * GB, 100 * GB).domain, 1);
        assert_eq!(
            plan(&[resident("big", 6 * GB, 0, 1)], 2 * GB, 100 * GB).domain,
            2
        );
    }

    #[test]
    fn a_model_beyond_the_budget_is_loaded_alone() {
        let plan = plan(&[resident("a", GB, 0, 1)], 5 * GB, 4 * GB);
        assert_eq!(
            (plan.evict, plan.domain, plan.fits),
            (vec!["a".to_owned()], 0, false)
        );
    }

    proptest! {
        #[test]
        fn no_plan_breaks_the_budget(sizes in proptest::collection::vec(1..8 * GB, 0..8), memory in 1..8 * GB, budget in GB..20 * GB) {
            let mut residents: Vec<Resident> = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                let made = plan(&residents, *size, budget);
                residents.retain(|resident| !made.evict.contains(&resident.model));
                residents.push(resident(&index.to_string(), *size, made.domain, 100 - index as u64));
            }
            let made = plan(&residents, memory, budget);
            let stay: u64 = residents.iter().filter(|resident| !made.evict.contains(&resident.model)).map(|r| r.memory).sum();
            prop_assert!(stay + memory <= budget || stay == 0);
        }
    }
}
