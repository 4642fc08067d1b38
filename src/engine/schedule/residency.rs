//! Which models stay in memory: the rules, apart from the doing.
//!
//! Two budgets hold. All resident models together stay below the memory budget; the least recently used go first,
//! those that are to be kept last.
//! The NPU reaches memory through IOMMU domains of 4 GB, so every model is placed where its weights fit.

use super::{Domain, ModelIndex, Time};

/// What is placed into one domain at most: the runtime needs the rest of the 4 GB for its own buffers.
const DOMAIN: u64 = 3_500_000_000;
/// Domains to choose from.
const DOMAINS: usize = 16;

/// A resident model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resident {
    pub(super) model: ModelIndex,
    /// Bytes reckoned with.
    pub(super) memory: u64,
    /// First domain of its weights.
    pub(super) domain: Domain,
    /// When its last run ended.
    pub(super) used: Time,
    /// Whether it goes last.
    pub(super) pinned: bool,
}

/// How to make room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Models to unload first, least recently used first.
    pub(super) unload: Vec<ModelIndex>,
    /// First domain for the new model.
    pub(super) domain: Domain,
}

/// How to make room for a model of `memory` bytes beside `residents`. One that is larger than the budget is loaded
/// alone: what it takes is an estimate.
pub(super) fn plan(residents: &[Resident], memory: u64, budget: u64) -> Plan {
    let mut stay: Vec<&Resident> = residents.iter().collect();
    stay.sort_by_key(|resident| (!resident.pinned, std::cmp::Reverse(resident.used)));
    let mut unload = Vec::new();
    let domain = loop {
        let used: u64 = stay.iter().map(|resident| resident.memory).sum();
        match free_domain(&stay, memory) {
            Some(domain) if used.saturating_add(memory) <= budget => break domain,
            _ => {}
        }
        match stay.pop() {
            Some(oldest) => unload.push(oldest.model),
            None => break 0,
        }
    };
    Plan { unload, domain }
}

/// The first domain in which the weights have room; a model larger than a domain needs several empty ones in a row.
fn free_domain(residents: &[&Resident], memory: u64) -> Option<Domain> {
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
    Domain::try_from(first).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const GB: u64 = 1_000_000_000;

    fn resident(model: usize, memory: u64, domain: Domain, used: u64) -> Resident {
        Resident {
            model: ModelIndex(model),
            memory,
            domain,
            used: Duration::from_secs(used),
            pinned: false,
        }
    }

    fn unloaded(residents: &[Resident], memory: u64, budget: u64) -> Vec<usize> {
        let plan = plan(residents, memory, budget);
        plan.unload.into_iter().map(|model| model.0).collect()
    }

    #[test]
    fn the_least_recently_used_goes_first_and_only_as_many_as_needed() {
        let mut residents = [
            resident(0, GB, 0, 60),
            resident(1, GB, 0, 30),
            resident(2, GB, 0, 1),
        ];
        assert_eq!(unloaded(&residents, GB, 4 * GB), [0; 0]);
        assert_eq!(unloaded(&residents, GB, 3 * GB), [2]);
        assert_eq!(unloaded(&residents, 2 * GB, 3 * GB), [2, 1]);
        residents[2].pinned = true;
        assert_eq!(unloaded(&residents, GB, 3 * GB), [1]);
        assert_eq!(unloaded(&residents, 3 * GB, 3 * GB), [1, 0, 2]);
    }

    #[test]
    fn a_full_domain_sends_the_model_to_the_next() {
        let residents = [resident(0, 2 * GB, 0, 1)];
        assert_eq!(plan(&residents, GB, 100 * GB).domain, 0);
        assert_eq!(plan(&residents, 2 * GB, 100 * GB).domain, 1);
        assert_eq!(plan(&residents, 6 * GB, 100 * GB).domain, 1);
        let big = [resident(0, 6 * GB, 0, 1)];
        assert_eq!(plan(&big, 2 * GB, 100 * GB).domain, 2);
    }

    #[test]
    fn a_model_beyond_the_budget_is_loaded_alone() {
        let plan = plan(&[resident(0, GB, 0, 1)], 5 * GB, 4 * GB);
        assert_eq!((plan.unload, plan.domain), (vec![ModelIndex(0)], 0));
    }

    proptest! {
        #[test]
        fn no_plan_breaks_the_budget(sizes in proptest::collection::vec((1..8 * GB, any::<bool>()), 0..8), memory in 1..8 * GB, budget in GB..20 * GB) {
            let mut residents: Vec<Resident> = Vec::new();
            for (index, (size, pinned)) in sizes.iter().enumerate() {
                let made = plan(&residents, *size, budget);
                residents.retain(|resident| !made.unload.contains(&resident.model));
                residents.push(Resident { pinned: *pinned, ..resident(index, *size, made.domain, index as u64) });
            }
            let made = plan(&residents, memory, budget);
            let stay: u64 = residents.iter().filter(|resident| !made.unload.contains(&resident.model)).map(|resident| resident.memory).sum();
            prop_assert!(stay + memory <= budget || stay == 0);
        }
    }
}
