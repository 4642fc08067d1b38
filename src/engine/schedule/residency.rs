//! Which models stay in memory: the rules, apart from the doing.
//!
//! Two budgets hold. All resident models together stay below the memory budget; the least recently used go first,
//! those that are to be kept last.
//! The NPU reaches memory through IOMMU domains of 4 GB, so every model is placed where its weights fit.

use std::ops::Range;

use super::{Domain, ModelIndex, Time};

/// What is placed into one domain at most: the runtime needs the rest of the 4 GB for its own buffers.
const DOMAIN: u64 = 3_500_000_000;
/// Domains to choose from.
const DOMAINS: Domain = 16;

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

/// How to make room for a model of `memory` bytes beside `residents`, in the domain that is `fixed` if one is. A model
/// that is larger than the budget is loaded alone: what it takes is an estimate.
pub(super) fn plan(
    residents: &[Resident],
    memory: u64,
    fixed: Option<Domain>,
    budget: u64,
) -> Plan {
    let mut stay: Vec<&Resident> = residents.iter().collect();
    stay.sort_by_key(|resident| (!resident.pinned, std::cmp::Reverse(resident.used)));
    let mut unload = Vec::new();
    let domain = loop {
        let used: u64 = stay.iter().map(|resident| resident.memory).sum();
        let is_within = used.saturating_add(memory) <= budget;
        let place = match fixed {
            Some(domain) => has_room(&stay, memory, domain).then_some(domain),
            None => free_domain(&stay, memory),
        };
        if let Some(domain) = place.filter(|_| is_within) {
            break domain;
        }
        let oldest = match fixed.filter(|_| is_within) {
            // Only what shares the domain is in the way.
            Some(domain) => stay.iter().rposition(|other| {
                span(other.memory, other.domain).any(|at| span(memory, domain).contains(&at))
            }),
            None => stay.len().checked_sub(1),
        };
        match oldest {
            Some(oldest) => unload.push(stay.remove(oldest).model),
            None => break fixed.unwrap_or(0),
        }
    };
    Plan { unload, domain }
}

/// The first domain in which the weights have room.
fn free_domain(residents: &[&Resident], memory: u64) -> Option<Domain> {
    (0..DOMAINS).find(|domain| has_room(residents, memory, *domain))
}

/// Whether weights have room from this domain on; a model larger than a domain needs several empty ones in a row.
fn has_room(residents: &[&Resident], memory: u64, domain: Domain) -> bool {
    let own = span(memory, domain);
    let used = |at: Domain| -> u64 {
        let parts = residents.iter().map(|other| part(other, at));
        parts.sum()
    };
    let limit = match own.end - own.start {
        1 => DOMAIN.saturating_sub(memory),
        _ => 0,
    };
    own.start >= 0 && own.end <= DOMAINS && (own.start..own.end).all(|at| used(at) <= limit)
}

/// The domains that so much memory takes from this one on.
fn span(memory: u64, domain: Domain) -> Range<Domain> {
    let needed = memory.div_ceil(DOMAIN).max(1);
    let needed = Domain::try_from(needed).unwrap_or(Domain::MAX);
    domain..domain.saturating_add(needed)
}

/// What a model takes of one domain.
fn part(resident: &Resident, domain: Domain) -> u64 {
    let before = u64::try_from(domain.saturating_sub(resident.domain));
    before.map_or(0, |before| {
        let rest = resident
            .memory
            .saturating_sub(before.saturating_mul(DOMAIN));
        rest.min(DOMAIN)
    })
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
        let plan = plan(residents, memory, None, budget);
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
        assert_eq!(plan(&residents, GB, None, 100 * GB).domain, 0);
        assert_eq!(plan(&residents, 2 * GB, None, 100 * GB).domain, 1);
        assert_eq!(plan(&residents, 6 * GB, None, 100 * GB).domain, 1);
        let big = [resident(0, 6 * GB, 0, 1)];
        assert_eq!(plan(&big, 2 * GB, None, 100 * GB).domain, 2);
    }

    #[test]
    fn a_model_beyond_the_budget_is_loaded_alone() {
        let plan = plan(&[resident(0, GB, 0, 1)], 5 * GB, None, 4 * GB);
        assert_eq!((plan.unload, plan.domain), (vec![ModelIndex(0)], 0));
    }

    #[test]
    fn what_shares_a_given_domain_makes_room_and_nothing_else() {
        let residents = [
            resident(0, 2 * GB, 0, 1),
            resident(1, 6 * GB, 1, 9),
            resident(2, 2 * GB, 3, 2),
        ];
        let made = |memory, fixed| {
            let plan = plan(&residents, memory, Some(fixed), 100 * GB);
            let unload: Vec<usize> = plan.unload.into_iter().map(|model| model.0).collect();
            (plan.domain, unload)
        };
        assert_eq!(made(GB, 0), (0, vec![]));
        assert_eq!(made(2 * GB, 0), (0, vec![0]));
        assert_eq!(made(GB, 1), (1, vec![1]));
        assert_eq!(made(GB, 2), (2, vec![]));
        assert_eq!(made(2 * GB, 2), (2, vec![1]));
        assert_eq!(made(6 * GB, 2), (2, vec![2, 1]));
        assert_eq!(made(6 * GB, 15), (15, vec![]), "nobody is in the way");
        assert_eq!(made(GB, -1), (-1, vec![]));
        // The budget comes first, whoever is in the domain.
        let plan = plan(&residents, GB, Some(9), 10 * GB);
        assert_eq!((plan.domain, plan.unload), (9, vec![ModelIndex(0)]));
    }

    proptest! {
        #[test]
        fn no_plan_breaks_the_budget(sizes in proptest::collection::vec((1..8 * GB, any::<bool>(), proptest::option::of(0..4)), 0..8), memory in 1..8 * GB, budget in GB..20 * GB) {
            let mut residents: Vec<Resident> = Vec::new();
            for (index, (size, pinned, fixed)) in sizes.iter().enumerate() {
                let made = plan(&residents, *size, *fixed, budget);
                residents.retain(|resident| !made.unload.contains(&resident.model));
                residents.push(Resident { pinned: *pinned, ..resident(index, *size, made.domain, index as u64) });
            }
            let made = plan(&residents, memory, None, budget);
            let stay: u64 = residents.iter().filter(|resident| !made.unload.contains(&resident.model)).map(|resident| resident.memory).sum();
            prop_assert!(stay + memory <= budget || stay == 0);
        }
    }
}
